#!/usr/bin/env bash
# fuzz.sh SECONDS   Runs each fuzz target of fuzz/ for SECONDS. Stops at the first finding.
set -euo pipefail
cd "$(dirname "$0")/.."

lacking() { printf 'fuzz: %s\n' "$*" >&2; exit 1; }
[ -f fuzz/Cargo.toml ] || lacking "no fuzz targets: there is no fuzz/Cargo.toml"
cargo +nightly --version >/dev/null 2>&1 || lacking "no nightly Rust; get it with: rustup toolchain install nightly"
cargo fuzz --version >/dev/null 2>&1 || lacking "no cargo-fuzz; get it with: cargo install cargo-fuzz"

for name in $(cargo +nightly fuzz list); do
    printf '== %s, %d s\n' "$name" "$1"
    cargo +nightly fuzz run "$name" -- -max_total_time="$1" -rss_limit_mb=2048
done
