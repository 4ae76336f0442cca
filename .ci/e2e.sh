#!/usr/bin/env bash
# e2e.sh [PROTOCOL...]   Live tests against real servers, one script per protocol: tests/live/PROTOCOL.sh. Each installs
# and starts what the machine can reach, drives it with real clients under `protap live`, and compares the records with
# what the clients know. It says by name what it could not start, and fails if no real server or fewer than two clients ran.
#
#   E2E_MAY_SKIP=1   Where the network or the right to capture is missing, the tests are skipped: it says so and why, and
#                    ends with 77. Without it that is a failure, as is everything else either way.
#
# A script ends with 1 if something differs, with 3 if there was too little to test with. It gets: PROTAP (the program),
# PLUGINS (the folder of plugins), CACHE (a folder that is kept between runs, for what was installed), VENV (a Python
# environment in it) and WORK (a fresh folder for this run).
set -uo pipefail
cd "$(dirname "$0")/.."

. .ci/live-env.sh
[ $# -gt 0 ] || set -- $(cd tests/live && ls ./*.sh | sed 's,^\./,,; s,\.sh$,,')
say() { printf 'e2e: %s\n' "$*"; }

# cannot WHY: nothing can be tested here.
cannot() {
    [ -n "${E2E_MAY_SKIP:-}" ] && { say "SKIPPED: $*"; say "not tested against real servers: $protocols"; exit 77; }
    say "FAILED: $*"
    exit 1
}
protocols=$*

# --- What the machine must have; apt-get may be asked for what it lacks. Each test says what it then could not start.
apt_updated=
has() { command -v "$1" >/dev/null; }
need() {
    has "$1" && return
    { [ "$(id -u)" = 0 ] && has apt-get; } || { say "no $1: install $2"; return; }
    [ -n "$apt_updated" ] || timeout 120 apt-get -qq update
    apt_updated=yes
    say "no $1: installing $2"
    DEBIAN_FRONTEND=noninteractive timeout 600 apt-get -qq install -y --no-install-recommends "$2" >/dev/null ||
        say "$2 cannot be installed"
}

[ -x "$PROTAP" ] || { say "FAILED: there is no $PROTAP; run make build plugins"; exit 1; }
timeout 60 "$PROTAP" live -i lo --duration 1 -q -p "$PLUGINS" >/dev/null || cannot "protap may not capture on lo, or there is no lo"
need java openjdk-17-jdk-headless
need mvn maven
need npm npm
need python3 python3
[ -x "$VENV/bin/pip" ] || python3 -m venv "$VENV" 2>/dev/null ||
    { need ensurepip python3-venv; rm -rf "$VENV"; python3 -m venv "$VENV"; } || cannot "no Python with venv"
fetched=$(mktemp -d) network=""
timeout 120 "$VENV/bin/pip" download -qq --no-cache-dir --no-deps -d "$fetched" six 2>/dev/null || network=none
rm -rf "$fetched"

# --- The tests.
failed=0 lacking="" summary=""
for protocol in "$@"; do
    printf '\n=== e2e: %s\n' "$protocol"
    WORK=$(mktemp -d "$CACHE/work.XXXXXX")
    export WORK
    bash "tests/live/$protocol.sh"
    case $? in
        0) result=ok ;;
        3) result="TOO LITTLE RAN"; lacking=yes ;;
        *) result=FAILED failed=1 ;;
    esac
    summary+=$(printf '%-10s %s' "$protocol" "$result")$'\n'
    [ "$result" = FAILED ] && say "what it left is in $WORK" || rm -rf "$WORK"
done
printf '\n=== e2e\n%s' "$summary"
[ $failed = 0 ] || exit 1
[ -z "$lacking" ] || [ -z "$network" ] || cannot "the network cannot be reached (no answer from Python's package index)"
[ -z "$lacking" ]
