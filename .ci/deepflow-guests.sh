#!/usr/bin/env bash
# deepflow-guests.sh OUT   Builds the test plugins for DeepFlow's ABI, one for each era, to OUT/ERA.wasm: for WASI as
# their users' toolchains do or, where that target is not to be had, for the target of our own plugins.
set -euo pipefail
cd "$(dirname "$0")/.."
# Sets wasm_cargo, wasm_flags.
. target/setup.env

out=$1 manifest=tests/guests/deepflow/Cargo.toml target=wasm32-wasip1
if [ ! -d "$("${RUSTC:-rustc}" --print target-libdir --target $target 2>/dev/null)" ]; then
    printf 'guests: no target %s; building for wasm32-unknown-unknown\n' $target >&2
    target=wasm32-unknown-unknown
fi
[ $target = wasm32-unknown-unknown ] || { wasm_cargo=cargo wasm_flags=; }
mkdir -p "$out"
$wasm_cargo build $wasm_flags --quiet --release --target $target --manifest-path $manifest --target-dir target/outside
for wasm in target/outside/$target/release/*.wasm; do
    cmp -s "$wasm" "$out/$(basename "$wasm")" || cp "$wasm" "$out/"
    printf '%s (%d KiB)\n' "$out/$(basename "$wasm")" $(($(stat -c %s "$wasm") / 1024))
done
