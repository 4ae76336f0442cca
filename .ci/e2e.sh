#!/usr/bin/env bash
# e2e.sh [PROTOCOL...]   Live tests against real servers, one script per protocol: tests/live/PROTOCOL.sh. Each installs
# and starts what the machine can reach, drives it with real clients under `protap live`, and compares the records with
# what the clients know. It says by name what it could not start, and fails if no real server or fewer than two clients ran.
#
# A script gets: PROTAP (the program), PLUGINS (the folder of plugins), CACHE (a folder that is kept between runs, for what
# was installed) and WORK (a fresh one for this run).
set -uo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
export PROTAP=$PWD/target/release/protap PLUGINS=$PWD/target/plugins CACHE=$PWD/target/live
case $target in /*) PROTAP=$target/release/protap ;; *) PROTAP=$PWD/$target/release/protap ;; esac
mkdir -p "$CACHE"

[ $# -gt 0 ] || set -- $(cd tests/live && ls ./*.sh | sed 's,^\./,,; s,\.sh$,,')
failed=0 summary=""
for protocol in "$@"; do
    printf '\n=== e2e: %s\n' "$protocol"
    WORK=$(mktemp -d)
    export WORK
    if bash "tests/live/$protocol.sh"; then result=ok; else result=FAILED failed=1; fi
    summary+=$(printf '%-10s %s' "$protocol" "$result")$'\n'
    [ $result = FAILED ] && echo "e2e: what it left is in $WORK" || rm -rf "$WORK"
done
printf '\n=== e2e\n%s' "$summary"
exit $failed
