#!/usr/bin/env bash
# guests.sh FOLDER OUT   Builds the plugins in plain C of FOLDER to OUT/NAME.wasm, against the header in FOLDER, if it has
# its own, or else the one that is generated here to target/include/. There is no SDK and no C library in them.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$1 out=$2
include=$folder
if [ ! -f "$folder/protap_plugin.h" ]; then
    include=target/include
    .ci/header.sh "$include"
fi
# What is frozen is never edited.
[ ! -f "$folder/SHA256SUMS" ] || (cd "$folder" && sha256sum --check --quiet SHA256SUMS)
mkdir -p "$out"
for source in "$folder"/*.c; do
    name=$(basename "$source" .c)
    object=$(mktemp --suffix .o)
    clang --target=wasm32 -std=c11 -O2 -ffreestanding -fno-builtin -nostdlib -fvisibility=hidden -Wall -Wextra -Werror \
        -I "$include" -c "$source" -o "$object"
    wasm-ld --no-entry --stack-first -z stack-size=65536 --strip-all "$object" -o "$out/$name.wasm"
    rm -f "$object"
    printf '%s (%d KiB)\n' "$out/$name.wasm" $(($(stat -c %s "$out/$name.wasm") / 1024))
done
