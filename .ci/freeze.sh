#!/usr/bin/env bash
# freeze.sh   Freezes the contract's version as it is now: tests/frozen/VERSION gets a plugin in plain C, the header that it
# is compiled against, a capture, and what tshark decodes of that. From then on every build compiles and runs that plugin,
# which shows that a host of today still keeps what it promised. Run once for each version, when that is released.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^pub const VERSION: &str = "\(.*\)";$/\1/p' plugin-sdk/src/contract.rs)
folder=tests/frozen/$version
[ ! -e "$folder" ] || { printf 'freeze: %s is there: a frozen version is never edited\n' "$folder" >&2; exit 1; }
mkdir -p "$folder"
cp tests/guests/c/resp.c "$folder/resp.c"
cp tests/captures/guests/redis7_pipelined.pcap.gz "$folder/resp.pcap.gz"
cp tests/captures/guests/redis7_pipelined.tshark.jsonl "$folder/resp.tshark.jsonl"
.ci/header.sh "$folder"
cat >"$folder/README.md" <<TEXT
# Contract $version, frozen

A plugin as it was written when version $version of the contract was released, with the header that it was compiled against, a
capture, and tshark's decode of it. \`make guests\` compiles it, \`tests/tests/guests.rs\` runs it and holds its records against
that decode. It uses nothing from outside of this folder.

**This folder is never edited.** If its plugin does not compile, load or agree any more, the host has broken a promise:
mend the host, or release another major version of the contract. \`SHA256SUMS\` is checked by every build.
TEXT
(cd "$folder" && sha256sum README.md protap_plugin.h resp.c resp.pcap.gz resp.tshark.jsonl >SHA256SUMS)
printf 'frozen: %s; commit it as it is\n' "$folder"
