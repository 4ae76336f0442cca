#!/usr/bin/env bash
# fuzz.sh SECONDS [PLUGIN...]   Runs each fuzz target of fuzz/ for SECONDS, or only those of these plugins, for which the runtime
# need not be built. Stops at the first finding.
#
#   FUZZ_MAY_SKIP=1   Where nightly Rust or cargo-fuzz is missing, it says so and ends with 77 instead of failing.
set -euo pipefail
cd "$(dirname "$0")/.."

lacking() {
    [ -n "${FUZZ_MAY_SKIP:-}" ] && { printf 'fuzz: SKIPPED: %s\n' "$*"; exit 77; }
    printf 'fuzz: %s\n' "$*" >&2
    exit 1
}
[ -f fuzz/Cargo.toml ] || lacking "no fuzz targets: there is no fuzz/Cargo.toml"
cargo +nightly --version >/dev/null 2>&1 || lacking "no nightly Rust; get it with: rustup toolchain install nightly"
cargo fuzz --version >/dev/null 2>&1 || lacking "no cargo-fuzz; get it with: cargo install cargo-fuzz"

seconds=$1
shift
flags=()
if [ $# -gt 0 ]; then flags=(--no-default-features); else set -- $(cargo +nightly fuzz list); fi
for name in "$@"; do
    printf '== %s, %d s\n' "$name" "$seconds"
    cargo +nightly fuzz run "${flags[@]}" "$name" -- -max_total_time="$seconds" -rss_limit_mb=2048
done
