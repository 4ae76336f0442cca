#!/usr/bin/env bash
# demo.sh CAPTURE...   Replays captures through the plugins: the first records of each as text, one record as JSON,
# then the program's own counters over all of them.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || { echo "demo: no captures in tests/captures/" >&2; exit 1; }
protap="${CARGO_TARGET_DIR:-target}/release/protap read -p target/plugins"
shown=8

for capture in "$@"; do
    records=$($protap -o text "$capture" 2>/dev/null)
    count=$(grep -c . <<<"$records" || true)
    printf '\n== %s: %d records\n' "$capture" "$count"
    sed -n "1,${shown}p" <<<"$records"
    [ "$count" -le $shown ] || printf '   ... %d more\n' $((count - shown))
done

printf '\n== The first record again, as JSON (-o json)\n'
first=$($protap -o json "$1" 2>/dev/null)
sed -n 1p <<<"$first"

printf '\n== All %d captures in one run: the counters\n' $#
$protap -o json "$@" >/dev/null
