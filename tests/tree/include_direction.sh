#!/bin/sh
# Includes point one way: base <- ingest <- metric <- index <- query <- serve <- bench <- cli, cluster; and each foreign library
# has one adapter, which alone includes its header. Usage: include_direction.sh SOURCE_TREE
set -u
cd "$1" || exit 1
bad=0

complain() {
  echo "$*" >&2
  bad=1
}

# "file included" for every quoted include of our own.
ours() {
  grep -rHoE '^[[:space:]]*#[[:space:]]*include[[:space:]]+"[^"]+"' base ingest metric index query serve bench cli cluster \
    --include='*.[ch]' 2>/dev/null | sed -E 's/:[^"]*"/ /; s/"$//'
}

# What a folder may include from.
allowed() {
  case $1 in
    base) echo base ;;
    ingest) echo base ingest ;;
    metric) echo base ingest metric ;;
    index) echo base ingest metric index ;;
    query) echo base ingest metric index query ;;
    serve) echo base ingest metric index query serve ;;
    bench) echo base ingest metric index query serve bench ;;
    cli | cluster) echo base ingest metric index query serve bench "$1" ;;
  esac
}

list=$(ours)
[ "$(echo "$list" | wc -l)" -ge 50 ] || complain "only $(echo "$list" | wc -l) includes were found: is $1 the source tree?"
while read -r file included; do
  [ "$included" = hemline.h ] && continue
  from=${file%%/*} to=${included%%/*}
  case " $(allowed "$from") " in
    *" $to "*) ;;
    *) complain "$file includes $included: $from may include from: $(allowed "$from")" ;;
  esac
  [ -f "$included" ] || complain "$file includes $included, which is not in the tree"
done <<LIST
$list
LIST

# only HEADER_PATTERN WHO FILE...: nobody else includes it, and somebody does.
only() {
  header=$1 who=$2
  shift 2
  users=$(grep -rlE "^[[:space:]]*#[[:space:]]*include[[:space:]]+[<\"]$header" base ingest metric index query serve bench cli \
    cluster --include='*.[ch]' 2>/dev/null)
  [ -n "$users" ] || complain "nobody includes $header: the check has gone stale"
  for user in $users; do
    echo "$user" | grep -qE "^($who)\$" || complain "$user includes $header: only $who may"
  done
}
only 'hdf5|H5' 'ingest/catalog[a-z0-9_]*\.(c|h)|ingest/vectors_hdf5\.c|ingest/benchmark_hdf5\.c|metric/metric_file\.c'
only 'faiss/' 'index/faiss_index\.c|bench/peer_faiss\.c'
only 'usearch\.h' 'bench/peer_usearch\.c'
only 'vips/' 'ingest/image_vips\.c'
only 'microhttpd' 'serve/http[a-z_]*\.(c|h)'
only '(cblas|openblas)' 'metric/blas\.c|bench/[a-z]*_main\.c'
only '(jpeglib|jerror)' 'ingest/image_jpeg\.c'
only '(libheif|dav1d)/' 'ingest/image_av1\.c'
only 'onnxruntime_c_api' 'ingest/onnx_runtime\.c'

# A header of an adapter must not hand its library on to the rest of the tree.
for header in $(grep -rlE 'include[[:space:]]+<(hdf5|H5)' ingest --include='*.h'); do
  users=$(grep -rlE "include[[:space:]]+\"$header\"" base ingest metric index query serve bench cli cluster \
    --include='*.[ch]' 2>/dev/null)
  for user in $users; do
    case $user in ingest/catalog* | ingest/vectors_hdf5.c | ingest/benchmark_hdf5.c | metric/metric_file.c) ;; *) complain "$user includes $header, which brings HDF5 along" ;; esac
  done
done

# Plots are drawn in one place.
for user in $(grep -rlE '(exec[lv]p?e?|posix_spawnp?|popen|system)[[:space:]]*\(' base ingest metric index query serve bench cli \
  --include='*.c' 2>/dev/null); do
  grep -q gnuplot "$user" && [ "$user" != bench/plot.c ] && complain "$user runs gnuplot: only bench/plot.c may"
done
exit $bad
