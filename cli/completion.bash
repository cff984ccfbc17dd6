# Completion for hemline, in bash: commands, options (asked of the program itself) and their values.
_hemline() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
  local commands='demo ingest delete train index query serve cost rollback drift evaluate info verify doctor export-onnx views plot bench'
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$current")
    return
  fi
  case $previous in
    --kind) mapfile -t COMPREPLY < <(compgen -W 'flat hnsw hnsw-sq8 hnsw-pca ivf ivf-sq8 ivf-pq' -- "$current") ;;
    -d | --distance) mapfile -t COMPREPLY < <(compgen -W 'l2 l1 cosine ip' -- "$current") ;;
    -f | --features) mapfile -t COMPREPLY < <(compgen -W 'hog color hue ccv harris pixels hemnet' -- "$current") ;;
    --preset)
      mapfile -t COMPREPLY < <(compgen -W 'vgg16 vgg19 inception_v3 resnet50 mobilenet_v2 mobilenet_v1_tf mobilenet_v2_tf help' -- "$current") ;;
    --form) mapfile -t COMPREPLY < <(compgen -W 'head l1 l2' -- "$current") ;;
    --precision) mapfile -t COMPREPLY < <(compgen -W 'u8 f16' -- "$current") ;;
    --loss) mapfile -t COMPREPLY < <(compgen -W 'bce triplet' -- "$current") ;;
    --negatives) mapfile -t COMPREPLY < <(compgen -W 'hard category random first' -- "$current") ;;
    --optimiser) mapfile -t COMPREPLY < <(compgen -W 'adam rmsprop' -- "$current") ;;
    --match) mapfile -t COMPREPLY < <(compgen -W 'item label' -- "$current") ;;
    --domain) mapfile -t COMPREPLY < <(compgen -W "shop consumer$([[ $command == plot ]] && echo ' all')" -- "$current") ;;
    --split | --query-split | --gallery-split)
      mapfile -t COMPREPLY < <(compgen -W 'train validation test none' -- "$current") ;;
    --kinds) mapfile -t COMPREPLY < <(compgen -W 'flat hnsw hnsw-sq8 hnsw-pca ivf ivf-sq8 ivf-pq none' -- "$current") ;;
    --peers) mapfile -t COMPREPLY < <(compgen -W "$(hemline bench --list 2>/dev/null | grep -v '^hemline-') none" -- "$current") ;;
    plot) mapfile -t COMPREPLY < <(compgen -W 'tsne' -- "$current") ;;
    *)
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(hemline "$command" --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*')" -- "$current")
      else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
      fi ;;
  esac
}
complete -o filenames -F _hemline hemline
