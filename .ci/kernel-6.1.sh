#!/usr/bin/env bash
# Boots Debian 12's kernel in qemu (no KVM needed) with the program, a Redis server and its client in an initramfs, and
# looks for the records of three commands. What it needs is downloaded by apt; about a minute, and not part of CI.
set -euo pipefail
cd "$(dirname "$0")/.."

program=${CARGO_TARGET_DIR:-target}/release/protap
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for tool in qemu-system-x86_64 cpio redis-server redis-cli; do
    command -v $tool >/dev/null || { echo "needed: apt-get install qemu-system-x86 cpio redis" >&2; exit 1; }
done
image=$(apt-cache search --names-only '^linux-image-6\.1\..*-cloud-amd64-unsigned$' | cut -d' ' -f1 | sort -V | tail -n1)
[ -n "$image" ] || { echo "apt knows no 6.1 cloud kernel" >&2; exit 1; }
(cd "$work" && apt-get -qq download "$image" busybox-static 2>/dev/null && for deb in *.deb; do dpkg -x "$deb" deb; done)

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
protap trace --check
redis-server --save '' >/dev/null &
protap trace -p /bin/redis.wasm -o json --port 6379 >/tmp/records 2>/tmp/says &
until grep -q tracing /tmp/says; do sleep 1; done
redis-cli set key value && redis-cli get key && redis-cli nosuch
sleep 2
kill -INT %2 && wait %2
cat /tmp/records
echo "RECORDS $(grep -c '"capture":"ebpf"' /tmp/records)"
# TLS, by one uprobe for each function.
redis-server --save '' --port 0 --tls-port 6380 --tls-cert-file /cert.pem --tls-key-file /key.pem --tls-ca-cert-file /cert.pem \
    --tls-auth-clients no >/dev/null &
protap trace --tls -p /bin/redis.wasm -o json --port 6380 >/tmp/records.tls 2>/tmp/says.tls &
tls=$!
until grep -q tracing /tmp/says.tls; do sleep 1; done
redis-cli --tls --cacert /cert.pem -p 6380 set key value
redis-cli --tls --cacert /cert.pem -p 6380 get key
sleep 2
kill -INT $tls && wait $tls
cat /tmp/says.tls /tmp/records.tls
echo "TLS $(grep -c '"tls":true' /tmp/records.tls)"
poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$work/initrd"
timeout 180 qemu-system-x86_64 -accel tcg -cpu max -m 1024 -nographic -no-reboot -kernel "$work"/deb/boot/vmlinuz-* \
    -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1" </dev/null | tr -d '\r' | tee "$work/out"
[ "$(sed -n 's/^TLS //p' "$work/out")" -ge 2 ]
# COMMAND of redis-cli's own may come before the three.
[ "$(sed -n 's/^RECORDS //p' "$work/out")" -ge 3 ]
