#!/usr/bin/env bash
# Prepares a Debian or Ubuntu machine that has Rust: a C compiler, libpcap and the wasm32-unknown-unknown target.
# Looks first (about 0.1 s, so it runs before every build), says what is missing, installs only that.
# The answer is left in target/setup.env for the other scripts: the command that builds a plugin here.
#
# `setup.sh bpf` also looks for what the tests of `protap trace` run, `setup.sh kernel` for qemu and what runs in it,
# `setup.sh instructions` for valgrind, `setup.sh bench` for the programs that protap is measured against, without which it goes on.
# `setup.sh guests` also looks for what only the tests' plugins need: clang and lld, and the target wasm32-wasip1, which
# they can do without.
#
# It lives in .ci/ because CI must prepare a bare machine by the same steps as a newcomer: one script, two callers.
#
#   PROTAP_WASM_TOOLCHAIN=rustup | debian   forces the source of the Wasm target (default: whichever works, rustup first)
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "cannot run '$*': be root or install sudo"
    fi
}

apt_updated=
# apt_install WHY PACKAGE...
apt_install() {
    local why=$1
    shift
    command -v apt-get >/dev/null || die "$why is missing, and this is no Debian or Ubuntu: install by hand what those call: $*"
    say "$why is missing: installing $* with apt-get"
    if [ -z "$apt_updated" ]; then
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update || say "apt-get update failed; trying with the lists at hand"
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null ||
        die "apt-get could not install: $*"
}

# want WHY PROGRAM:PACKAGE...
want() {
    local why=$1 tool
    shift
    for tool; do
        command -v "${tool%:*}" >/dev/null || apt_install "${tool%:*} ($why)" "${tool#*:}"
    done
}

# --- Rust itself is expected: whether from rustup or from a distribution is the user's choice.

min_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
rust_hint="install Rust $min_rust or newer with rustup; Debian 12 has it as rustc-web and cargo-web"
command -v cargo >/dev/null || die "cargo not found: $rust_hint"
have_rust=$("${RUSTC:-rustc}" --version | cut -d' ' -f2)
[ "$(printf '%s\n' "$min_rust" "${have_rust%%-*}" | sort -V | head -n1)" = "$min_rust" ] ||
    die "Rust $have_rust is too old: $rust_hint"

# --- System packages. Tests that want tshark or tcpdump skip themselves where there is none, and say so.

links() { echo 'int main(void) { return 0; }' | cc -x c - "$@" -o /dev/null 2>/dev/null; }
links || apt_install "a C compiler (linking, and wasmtime's few lines of C)" gcc libc6-dev
links -lpcap || apt_install "libpcap (live capture)" libpcap-dev
if grep -q '^name = "libbpf-sys"' Cargo.lock; then
    command -v clang >/dev/null || apt_install "clang (the BPF programs)" clang
    { command -v make && command -v pkg-config; } >/dev/null || apt_install "make or pkg-config (libbpf)" make pkg-config
    links -lelf -lz || apt_install "libelf or zlib (libbpf)" libelf-dev zlib1g-dev
fi

if [ "${1:-}" = guests ]; then
    echo 'int x;' | clang --target=wasm32 -x c - -c -o /dev/null 2>/dev/null || apt_install "clang (test plugins in C)" clang
    command -v wasm-ld >/dev/null || apt_install "wasm-ld (test plugins in C)" lld
fi

wasi_target() { [ -d "$("${RUSTC:-rustc}" --print target-libdir --target wasm32-wasip1 2>/dev/null)" ]; }
if [ "${1:-}" = guests ] && ! wasi_target && command -v rustup >/dev/null; then
    say "target wasm32-wasip1 is missing: adding it with rustup"
    timeout 600 rustup target add wasm32-wasip1 || say "rustup could not add it; going on without"
fi

if [ "${1:-}" = instructions ]; then
    command -v valgrind >/dev/null || apt_install "valgrind (counted instructions)" valgrind
fi

if [ "${1:-}" = bench ]; then
    for tool in tshark tcpdump; do
        command -v "$tool" >/dev/null || (apt_install "$tool (to measure against)" "$tool") || say "going on without $tool"
    done
fi

if [ "${1:-}" = bpf ]; then
    want "tests of trace" redis-server:redis-server tcpdump:tcpdump python3:python3 ip:iproute2 setpriv:util-linux
fi

if [ "${1:-}" = kernel ]; then
    want "another kernel" qemu-system-x86_64:qemu-system-x86 cpio:cpio redis-server:redis-server redis-cli:redis-tools openssl:openssl
fi

# --- The Wasm target.

target=wasm32-unknown-unknown

has_target() { [ -d "$("${RUSTC:-rustc}" --print target-libdir --target $target 2>/dev/null)" ]; }

# For the toolchain that cargo uses in this folder; fails where rustup cannot fetch, or where rustc is not rustup's.
rustup_target() {
    command -v rustup >/dev/null || { say "rustup not found"; return 1; }
    say "target $target is missing: adding it with rustup"
    timeout 600 rustup target add $target || { say "rustup could not add it"; return 1; }
    has_target
}

# Debian's -web packages: a current Rust with the sources of std, which cargo then builds for the target.
# rustc-web takes the place of Debian's rustc; a toolchain of rustup's is untouched and goes on building the host's part.
has_debian() {
    [ -d /usr/lib/rustlib/src/rust/library/std ] && [ -x /usr/bin/cargo ] &&
        /usr/bin/rust-lld -flavor wasm --version >/dev/null 2>&1
}

debian_target() {
    has_debian && return
    apt_install "Debian's Rust, to build std for $target," rustc-web cargo-web rust-web-src rust-web-llvm
    # The linker is of rustc's LLVM version; no package asks for it by itself.
    local llvm
    llvm=$(apt-cache depends rust-web-llvm | sed -n 's/.*Depends: llvm-\([0-9]*\)$/\1/p')
    apt_install "the linker for $target" "lld-$llvm"
}

use_rustup() { wasm_cargo="cargo" wasm_flags=""; }
use_debian() {
    wasm_cargo="env RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo"
    wasm_flags="-Z build-std=std,panic_abort"
}

case ${PROTAP_WASM_TOOLCHAIN:-} in
    "")
        # Where Debian's packages served the last time, rustup is not asked to fail once more.
        if has_target; then
            use_rustup
        elif grep -qs build-std target/setup.env && has_debian; then
            use_debian
        elif rustup_target; then
            use_rustup
        else
            debian_target
            use_debian
        fi
        ;;
    rustup) has_target || rustup_target || die "no $target from rustup"; use_rustup ;;
    debian) debian_target; use_debian ;;
    *) die "PROTAP_WASM_TOOLCHAIN is '$PROTAP_WASM_TOOLCHAIN': must be rustup, debian or empty" ;;
esac

mkdir -p target
printf 'wasm_cargo="%s"\nwasm_flags="%s"\n' "$wasm_cargo" "$wasm_flags" >target/setup.env
