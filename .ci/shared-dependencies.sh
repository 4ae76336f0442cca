#!/usr/bin/env bash
# Checks that tests use the dependencies of `make build` with the same features. Where a dev-dependency turns a feature
# on, cargo compiles that crate and all that uses it a second time: at worst wasmtime, two minutes. The cure is to
# ask for the feature in [workspace.dependencies] too, or to do without it in the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

crates() { cargo tree --prefix none -f '{p} [{f}]' "$@" | sed 's/ (\*)$//' | grep . | LC_ALL=C sort -u; }

differing=$(LC_ALL=C comm -23 <(crates -p protap -e normal,build) <(crates --workspace --all-features -e normal,build,dev) |
    grep -v '^protap' || true)
[ -z "$differing" ] || {
    printf 'compiled once more for the tests, with other features than these:\n%s\n' "$differing" >&2
    exit 1
}
echo "build and tests share all dependencies"
