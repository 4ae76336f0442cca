#!/usr/bin/env bash
# Boots Debian 12's kernel in qemu (no KVM needed) with the program, a Redis server and its client in an initramfs, and
# looks for the records of three commands, by each of the front ends, and of two over TLS. What it needs is downloaded by
# apt; half a minute behind that. With KERNEL_MAY_SKIP set it ends with 77 where it cannot be tried.
set -euo pipefail
cd "$(dirname "$0")/.."

program=${CARGO_TARGET_DIR:-target}/release/protap
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cannot() {
    echo "${KERNEL_MAY_SKIP:+skipped: }$*" >&2
    [ -n "${KERNEL_MAY_SKIP:-}" ] && exit 77
    exit 1
}
[ "$(uname -m)" = x86_64 ] || cannot "the program is built for $(uname -m), the kernel is for x86_64"
.ci/setup.sh kernel || cannot "no qemu, or no Redis to run in it"
image=$(apt-cache search --names-only '^linux-image-6\.1\..*-cloud-amd64-unsigned$' | cut -d' ' -f1 | sort -V | tail -n1)
[ -n "$image" ] || cannot "apt knows no 6.1 cloud kernel"
(cd "$work" && apt-get -qq download "$image" busybox-static 2>/dev/null) || cannot "apt cannot download $image"
for deb in "$work"/*.deb; do dpkg -x "$deb" "$work/deb"; done

root=$work/root
mkdir -p "$root"/{bin,proc,sys,dev,tmp}
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$root/key.pem" -out "$root/cert.pem" -days 2 -subj /CN=localhost 2>/dev/null
cp "$work/deb/bin/busybox" "$program" "$(command -v redis-server)" "$(command -v redis-cli)" target/plugins/redis.wasm "$root/bin"
ln "$root/bin/busybox" "$root/bin/sh"
ldd "$root"/bin/{protap,redis-server,redis-cli} | grep -o '/[^ :]*\.so[^ :]*' | sort -u | while read -r library; do
    mkdir -p "$root/$(dirname "$library")" && cp -L "$library" "$root/$library"
done
cat >"$root/init" <<'INIT'
#!/bin/sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t devtmpfs dev /dev
ip link set lo up
mount -t tracefs tracefs /sys/kernel/tracing
protap trace --check
# Until a trace says that it sees, or has ended without.
await() {
    until grep -q tracing "$1" || ! kill -0 $trace; do sleep 1; done
}
redis-server --save '' >/dev/null &
for front_end in tp-btf tracepoint; do
    protap trace --front-end $front_end -p /bin/redis.wasm -o json --port 6379 >/tmp/$front_end 2>/tmp/says &
    trace=$!
    await /tmp/says
    # Emulated, a plugin's first calls may take longer than they may: then more is asked.
    for round in 1 2 3 4 5 6 7 8 9 10; do
        redis-cli set key value && redis-cli get key && redis-cli nosuch
        sleep 2
        [ "$(grep -c ebpf /tmp/$front_end)" -lt 3 ] || break
        sleep 5
    done
    kill -INT $trace && wait $trace
    cat /tmp/says /tmp/$front_end
    echo "RECORDS $front_end $(grep -c '"capture":"ebpf"' /tmp/$front_end)"
done
# TLS, by one uprobe for each function.
redis-server --save '' --port 0 --tls-port 6380 --tls-cert-file /cert.pem --tls-key-file /key.pem --tls-ca-cert-file /cert.pem \
    --tls-auth-clients no >/dev/null &
protap trace --tls -p /bin/redis.wasm -o json --port 6380 >/tmp/tls 2>/tmp/says.tls &
trace=$!
await /tmp/says.tls
for round in 1 2 3 4 5; do
    redis-cli --tls --cacert /cert.pem -p 6380 set key value && redis-cli --tls --cacert /cert.pem -p 6380 get key
    sleep 2
    [ "$(grep -c '"tls":true' /tmp/tls)" -lt 2 ] || break
    sleep 5
done
kill -INT $trace && wait $trace
cat /tmp/says.tls /tmp/tls
echo "TLS $(grep -c '"tls":true' /tmp/tls)"
poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$work/initrd"
timeout 400 qemu-system-x86_64 -accel tcg -cpu max -m 1024 -nographic -no-reboot -kernel "$work"/deb/boot/vmlinuz-* \
    -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1 no_timer_check" </dev/null | tr -d '\r' | tee "$work/out"
[ "$(sed -n 's/^TLS //p' "$work/out")" -ge 2 ] || { echo "TLS: too few records" >&2; exit 1; }
# COMMAND of redis-cli's own may come before the three.
for front_end in tp-btf tracepoint; do
    [ "$(sed -n "s/^RECORDS $front_end //p" "$work/out")" -ge 3 ] || { echo "$front_end: too few records" >&2; exit 1; }
done
