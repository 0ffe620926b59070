#!/bin/sh
# customize.sh ROOTFS: turns a Debian bookworm tree for arm64 into that of a fresh node with a kernel.
set -eu
root=$1
here=$(dirname "$0")

sh "$here/../../rootfs/customize.sh" "$root"

# These stand for what a container lacks and a machine has: disks, a command line, a root to remount.
chroot "$root" systemctl --quiet disable proc-cmdline.mount proc-partitions.mount
rm -r "$root/etc/systemd/system/proc-cmdline.mount" \
    "$root/etc/systemd/system/proc-partitions.mount" \
    "$root/etc/systemd/system/systemd-remount-fs.service.d" \
    "$root/etc/systemd/system-generators/virtual-pi-fstab" \
    "$root/etc/tmpfiles.d/virtual-pi-ssd.conf"

cp -r --no-preserve=ownership "$here/files/." "$root/"
# eth0, as Raspberry Pi OS calls it.
ln -sf /dev/null "$root/etc/systemd/network/99-default.link"
chroot "$root" systemctl --quiet enable systemd-networkd.service
chroot "$root" systemctl --quiet disable systemd-networkd-wait-online.service
