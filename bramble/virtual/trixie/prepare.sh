#!/bin/sh
# prepare.sh ROOTFS: run before the shared recipe, which writes through this link of Debian 13.
set -eu
root=$1
[ "$(readlink "$root/etc/default/locale")" = ../locale.conf ]
: > "$root/etc/locale.conf"
