#!/usr/bin/env bash
# The step of CI that needs a kernel which lets programs be traced: `make test-bpf` where `protap trace --check` says that it
# can be done, else it says why not and ends with 77.
set -uo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
if [ "$(id -u)" != 0 ]; then
    echo "skipped: only root may make network namespaces"
elif ! why=$(ip netns add protap-ci-$$ 2>&1 && ip netns del protap-ci-$$ 2>&1); then
    echo "skipped: no network namespaces: $why"
elif ! why=$("$target/release/protap" trace --check); then
    printf 'skipped: this kernel does not let itself be traced:\n%s\n' "$why"
else
    exec make --no-print-directory test-bpf
fi
exit 77
