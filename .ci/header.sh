#!/usr/bin/env bash
# header.sh FOLDER   Writes FOLDER/protap_plugin.h, the contract for plugins in C, from its definition in plugin-sdk.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "$1"
new=$(mktemp)
trap 'rm -f "$new"' EXIT
cargo run --quiet --release -p protap-plugin --example c_header >"$new"
cmp -s "$new" "$1/protap_plugin.h" || install -m 644 "$new" "$1/protap_plugin.h"
