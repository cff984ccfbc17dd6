#!/bin/sh
# The NEON kernels, built for arm64 and run by an emulator: as on a processor with the dot product, and without.
# Usage: arm64.sh SOURCE_TREE BUILD_FOLDER. Skips (77) where the compiler or the emulator is missing.
set -eu
source=$1 build=$2/cross-arm64 cc=aarch64-linux-gnu-gcc emulator=qemu-aarch64
command -v $emulator >/dev/null || emulator=qemu-aarch64-static
for tool in $cc $emulator; do
  command -v $tool >/dev/null || { echo "skipped: no $tool here (gcc-aarch64-linux-gnu, qemu-user)"; exit 77; }
done
mkdir -p "$build"
cd "$source"
options="-std=gnu17 -O2 -D_GNU_SOURCE -ffp-contract=off -Wall -Wextra -Wpedantic -Wshadow -Wvla -Werror -I. -Iinclude -Itests"
# shellcheck disable=SC2086  # a list of words on purpose
compile() { $cc $options "$@"; }
compile -march=armv8.2-a+dotprod -c metric/score_dotprod.c -o "$build/dotprod.o"
compile -static base/memory.c base/status.c metric/quantise.c metric/score.c metric/score_scalar.c metric/score_neon.c \
  "$build/dotprod.o" tests/support/kernels.c tests/cross/test_arm64.c -lm -o "$build/test_arm64"
echo "without the dot product"
$emulator -cpu cortex-a53 "$build/test_arm64" scalar neon
echo "with it"
$emulator -cpu max "$build/test_arm64" scalar neon dotprod
