#!/bin/sh
# The shared library exports what hemline.h declares, all of it and nothing else.
# Usage: exported_symbols.sh LIBRARY HEADER
set -u
library=$1 header=$2
exported=$(nm -D --defined-only "$library" | awk '{print $NF}' | sed 's/@.*//' | sort -u)
declared=$(tr '\n' ' ' <"$header" | grep -oE 'HEM_API[^;(]*\(' | grep -oE 'hem_[a-z0-9_]+ ?\($' | tr -d ' (' | sort -u)
if [ "$(echo "$declared" | wc -l)" -lt 15 ]; then
  echo "only these functions were found in $header:" $declared >&2
  exit 1
fi
if [ "$exported" != "$declared" ]; then
  for name in $exported; do echo "$declared" | grep -qx "$name" || echo "exported but not declared: $name" >&2; done
  for name in $declared; do echo "$exported" | grep -qx "$name" || echo "declared but not exported: $name" >&2; done
  exit 1
fi
