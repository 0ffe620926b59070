#!/bin/sh
# A DOUBLE, in virtual Pis only: stands for vcgencmd, rpi-eeprom-update and rpi-eeprom-config (it is
# installed under each of these names) and replays outputs that were recorded on real Pis.
# The recording of `tool a b` is the file <tool>/a_b (no arguments: <tool>/_), with the exit code in
# <tool>/a_b.exit when it is not 0. A recording named <tool>/any answers whatever is asked.
recordings=/usr/lib/virtual-pi/current
tool=${0##*/}

name=$(printf %s "$*" | tr ' /' '__')
answer=$recordings/$tool/any
[ -f "$answer" ] || answer=$recordings/$tool/${name:-_}
if [ ! -f "$answer" ]; then
    echo "$tool: this is the double of a virtual Pi and has no recording of '$tool $*'" >&2
    exit 64
fi
if [ "$tool $*" = "rpi-eeprom-update -a" ] && grep -q pending "$answer"; then
    # As the real one does: the file of defaults is read after the environment.
    [ ! -f /etc/default/rpi-eeprom-update ] || . /etc/default/rpi-eeprom-update
    if [ "${RPI_EEPROM_USE_FLASHROM:-0}" != 0 ]; then
        : > /var/lib/virtual-pi-was-flashed-at-once
        echo "UPDATE SUCCESSFUL"
        exit 0
    fi
    # What a real one leaves for the bootloader; the virtual firmware takes it at the next boot.
    : > /boot/firmware/pieeprom.upd
    : > /boot/firmware/pieeprom.sig
    : > /boot/firmware/recovery.bin
fi
cat "$answer"
exit "$(cat "$answer.exit" 2>/dev/null || echo 0)"
