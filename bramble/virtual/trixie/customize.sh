#!/bin/sh
# customize.sh ROOTFS: turns what the shared recipe made of a Debian trixie tree into a fresh Raspberry Pi OS Lite node.
set -eu
root=$1
here=$(dirname "$0")

# The journal is volatile by a drop-in of raspberrypi-sys-mods; Debian's file is as it came.
sed -i 's/^Storage=volatile/#Storage=auto/' "$root/etc/systemd/journald.conf"

cp -r --no-preserve=ownership "$here/files/." "$root/"
# A machine has udev, and none of the doubles for disks.
doubles=$root/etc/systemd/system-generators
[ -e "$doubles/virtual-pi-fstab" ] || rm "$doubles/virtual-pi-devices"

# Small packages in the place of those that come from Raspberry Pi's archive, which own the same files.
for package in "$here"/stand-ins/*; do
    name=$(basename "$package")
    built=$root/var/tmp/$name
    cp -r --no-preserve=ownership "$package" "$built"
    chmod -R u=rwX,go=rX "$built"
    dpkg-deb --root-owner-group --build "$built" "$built.deb" >/dev/null
    rm -r "$built"
done
chroot "$root" sh -c 'dpkg --install /var/tmp/*.deb'
rm "$root"/var/tmp/*.deb
