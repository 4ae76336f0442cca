#!/usr/bin/env bash
# instructions.sh   Counts the instructions of a plugin's call and of a replay of 10,000 packets, with valgrind, and holds
# them against runtime/benches/counted.limits: a change that makes them more than a tenth longer fails. Time is not looked
# at: others may use the machine. `instructions.sh --write` takes what it counts for the limits.
set -euo pipefail
cd "$(dirname "$0")/.."

.ci/setup.sh instructions
limits=runtime/benches/counted.limits
program=$(cargo bench --workspace --all-features --bench counted --no-run --message-format json 2>/dev/null |
    grep '"name":"counted"' | grep -o '"executable":"[^"]*"' | tail -n1 | cut -d'"' -f4)

count() {
    valgrind --tool=callgrind --toggle-collect='*measured*' --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : //p'
}

failed=0
new=$(mktemp)
trap 'rm -f "$new"' EXIT
while read -r what host limit; do
    counted=$(count "$what" "$host")
    echo "$what $host $counted" >>"$new"
    verdict=ok
    if [ "$counted" -gt $((limit + limit / 10)) ]; then
        verdict='more than a tenth over'
        failed=1
    fi
    printf '%-14s %-7s %12d instructions, limit %12d: %s\n' "$what" "$host" "$counted" "$limit" "$verdict"
done <"$limits"
if [ "${1:-}" = --write ]; then
    cp "$new" "$limits"
    exit 0
fi
exit $failed
