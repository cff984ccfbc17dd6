#!/bin/sh
# Installs into a scratch prefix, then uses only what lies there: the command makes a store, and a small program is
# built against the library twice (pkg-config, find_package) and asks it.
# Usage: install_and_consume.sh BUILD_TREE SOURCE_TREE CC CXX CMAKE
set -eu
build=$1 source=$2 cc=$3 cxx=$4 cmake=$5
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix
consumer=$source/tests/install/consumer
unset DESTDIR

"$cmake" --install "$build" --prefix "$prefix" >"$scratch/install.log" || { cat "$scratch/install.log" >&2; exit 1; }
for wanted in bin/hemline include/hemline.h; do
  [ -f "$prefix/$wanted" ] || { echo "$wanted was not installed" >&2; exit 1; }
done
pc=$(find "$prefix" -name hemline.pc)
library=$(dirname "$(find "$prefix" -name libhemline.so)")
[ -n "$pc" ] && [ -d "$library" ] || { echo "hemline.pc or libhemline.so was not installed" >&2; exit 1; }

# idx files: 200 shop photos and 20 of customers, their pixels the bytes of the header.
idx() { # NAME COUNT IN_OCTAL
  printf '\0\0\010\003\0\0\0%b\0\0\0\034\0\0\0\034' "$3" >"$scratch/idx/$1-images-idx3-ubyte"
  yes "$(cat "$prefix/include/hemline.h")" | head -c $(($2 * 784)) >>"$scratch/idx/$1-images-idx3-ubyte"
  printf '\0\0\010\001\0\0\0%b' "$3" >"$scratch/idx/$1-labels-idx1-ubyte"
  i=0
  while [ $i -lt "$2" ]; do
    printf '%b' "\\0$((i % 8))"
    i=$((i + 1))
  done >>"$scratch/idx/$1-labels-idx1-ubyte"
}
mkdir "$scratch/idx"
idx train 200 '\0310'
idx t10k 20 '\024'
"$prefix/bin/hemline" ingest "$scratch/shop.h5" --idx "$scratch/idx" --features pixels --quiet
"$prefix/bin/hemline" index "$scratch/shop.h5" -o "$scratch/store" --quiet

flags="-std=c17 -Wall -Wextra -Wpedantic -Werror"
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046,SC2086
"$cc" $flags "$consumer/consumer.c" -o "$scratch/by_pkg_config" $(pkg-config --cflags --libs hemline)
# shellcheck disable=SC2046
"$cxx" -std=c++17 -Wall -Wextra -Wpedantic -Werror -c "$consumer/header.cpp" -o "$scratch/header.o" \
  $(pkg-config --cflags hemline)
"$cmake" -S "$consumer" -B "$scratch/by_cmake" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" >/dev/null
"$cmake" --build "$scratch/by_cmake" >"$scratch/build.log" || { cat "$scratch/build.log" >&2; exit 1; }

for program in by_pkg_config by_cmake/consumer; do
  LD_LIBRARY_PATH=$library "$scratch/$program" "$scratch/store" >"$scratch/hits"
  [ "$(wc -l <"$scratch/hits")" -eq 3 ] || { echo "$program did not print three hits" >&2; exit 1; }
done

# The example, as it was installed: what is like the first hit's item?
example=$(find "$prefix/share" -name search.c)
# shellcheck disable=SC2046,SC2086
"$cc" $flags "$example" -o "$scratch/search" $(pkg-config --cflags --libs hemline)
LD_LIBRARY_PATH=$library "$scratch/search" "$scratch/store" --item "$(head -n 1 "$scratch/hits" | cut -f1)" >"$scratch/like"
[ "$(wc -l <"$scratch/like")" -eq 7 ] || { echo "the installed example did not print five hits" >&2; exit 1; }
[ "$(pkg-config --modversion hemline)" = "$("$prefix/bin/hemline" --version | cut -d' ' -f2)" ]
