#!/bin/sh
# customize.sh ROOTFS: turns a Debian bookworm tree into that of a fresh Raspberry Pi OS Lite node.
# Run by mmdebstrap after all packages are in; everything here is the same for every node.
set -eu
root=$1
here=$(dirname "$0")

# The groups of the first user, in pi-gen's order; gpio, spi and i2c come from Raspberry Pi's packages.
for group in gpio spi i2c netdev input render; do
    chroot "$root" groupadd --force --system "$group"
done
chroot "$root" useradd --create-home --uid 1000 --user-group --shell /bin/bash \
    --groups adm,dialout,cdrom,audio,users,sudo,video,games,plugdev,input,gpio,spi,i2c,netdev,render pi
chroot "$root" usermod --password '*' root

cp -r --no-preserve=ownership "$here/files/." "$root/"
chmod 0440 "$root/etc/sudoers.d/010_pi-nopasswd"
chmod 0755 "$root/etc/systemd/system-generators/virtual-pi-fstab"
chroot "$root" systemctl --quiet enable proc-cmdline.mount proc-partitions.mount
install -d -m 0700 -o 1000 -g 1000 "$root/home/pi/.ssh"
install -d -m 0755 "$root/var/cache/bramble/ccache"

# Images since 2025-05-06 keep the journal in memory.
sed -i 's/^#Storage=.*/Storage=volatile/' "$root/etc/systemd/journald.conf"

# Background jobs that would run on twenty nodes at once and hold apt's lock. A real Pi has them.
chroot "$root" systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer
# getty on consoles that a container does not have.
chroot "$root" systemctl --quiet mask console-getty.service getty@tty1.service

# What must differ from node to node is written per node (bramble/virtual/identity.py).
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/resolv.conf" "$root/etc/hostname" "$root/etc/hosts"
: > "$root/etc/machine-id"
: > "$root/etc/resolv.conf"

# mmdebstrap's own settings are for the making only.
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
