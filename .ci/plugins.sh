#!/usr/bin/env bash
# plugins.sh OUT FOLDER...   Builds the plugin packages in FOLDER... and leaves their .wasm files in OUT.
# A package of the workspace is built with the profile `plugin`; any other as its author would, with --release.
# OUT then holds these files and no other; a file is replaced only when it changed, so its time means something.
set -euo pipefail
cd "$(dirname "$0")/.."
# Sets wasm_cargo, wasm_flags.
. target/setup.env

out=$1
shift
mkdir -p "$out"
built=$(mktemp)
trap 'rm -f "$built"' EXIT

# build ARGUMENT...: appends the path of every .wasm that cargo names to $built.
build() {
    $wasm_cargo build $wasm_flags --target wasm32-unknown-unknown --message-format json-render-diagnostics "$@" |
        grep -o '"[^"]*\.wasm"' | tr -d '"' | sort -u >>"$built"
}

members=()
for folder in "$@"; do
    [ -f "$folder/Cargo.toml" ] || continue
    case $folder in
        plugins/* | tests/plugins/*) members+=(-p "$(sed -n 's/^name = "\(.*\)"/\1/p' "$folder/Cargo.toml" | head -n1)") ;;
        *) build --release --manifest-path "$folder/Cargo.toml" --target-dir target/outside ;;
    esac
done
# Reading a protocol is a tree of small functions, and a call costs dozens of instructions in the sandbox: with more of
# them inlined a message takes a tenth fewer. 4500 would save MongoDB a hundredth more, and take a sixth longer to compile.
if [ ${#members[@]} != 0 ]; then
    export RUSTFLAGS="${RUSTFLAGS:-} -C llvm-args=-inline-threshold=3000"
    build --profile plugin "${members[@]}"
fi

for old in "$out"/*.wasm; do
    grep -q "/$(basename "$old")\$" "$built" || rm -f "$old"
done
while read -r wasm; do
    new=$out/$(basename "$wasm")
    cmp -s "$wasm" "$new" || cp "$wasm" "$new"
    printf '%s (%d KiB)\n' "$new" $(($(stat -c %s "$new") / 1024))
done <"$built"
