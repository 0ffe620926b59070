"""Make rpi-eeprom-update stage an update for the next boot, from the planned channel.

The bootloader is never written at once, as power must not fail then, and never on a board whose
voltage is or was too low. rpi-eeprom-update reads its file of defaults after its environment, so the
file has precedence: it is read here as by that script, and values that would write at once are
refused.
"""

import os
import re
import subprocess
import sys

from bramble.remote import atomic

UNDERVOLTED = 1 << 0 | 1 << 16
SETTING = re.compile(r"^[ \t]*(?:export[ \t]+)?FIRMWARE_RELEASE_STATUS=.*$", re.M)
# The variables for "write it at once": of 2019, of Bookworm and of Trixie.
AT_ONCE = ("USE_FLASHROM", "RPI_EEPROM_USE_FLASHROM", "RPI_EEPROM_IMMEDIATE_UPDATE")
CHANNEL = "FIRMWARE_RELEASE_STATUS"
# The script itself is `#!/bin/sh` and `set -e`, and sources the file first.
READ = 'set -e; [ ! -f "$1" ] || . "$1" >&2; eval "printf \\"<%s>\\" \\"\\${$2-}\\""'

# The images come before the program that writes them, which the boot ROM starts once it is there.
STAGED = ("pieeprom.sig", "pieeprom.upd", "vl805.sig", "vl805.bin", "recovery.bin")


def run(*argv):
    """Return a command's exit code and output, in the C locale."""
    done = subprocess.run(
        argv,
        env={**os.environ, "LC_ALL": "C.UTF-8", **dict.fromkeys(AT_ONCE, "0")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    return done.returncode, done.stdout.strip()


def too_low():
    """Say why the voltage forbids an update; return None where it does not."""
    code, said = run("vcgencmd", "get_throttled")
    found = re.search(r"throttled=(0x[0-9a-fA-F]+)", said)
    if code or not found:
        return f"vcgencmd does not say whether the voltage holds: {said}"
    if int(found[1], 16) & UNDERVOLTED:
        return f"the voltage was too low since the last boot ({said}); fix the power supply first"
    return None


def choose(path, channel):
    """Set the channel in the file of defaults; leave all its other lines."""
    before = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            before = file.read()
    line = f'FIRMWARE_RELEASE_STATUS="{channel}"'
    text = SETTING.sub(line, before)
    if not SETTING.search(before):
        text = before + ("\n" if before and not before.endswith("\n") else "") + f"{line}\n"
    if text == before:
        return
    atomic.write(path, text, 0o644)
    print(f"{path}: {line}")


def default(path, name):
    """Return a variable's value in the script: that of its file of defaults, else of our environment."""
    code, said = run("sh", "-c", READ, "sh", path, name)
    if code or not said.endswith(">"):
        raise ValueError(f"{path} cannot be read as rpi-eeprom-update reads it: {said}")
    return said[said.rindex("<") + 1 : -1]


def at_once(path):
    """Say why the script would write the bootloader at once in spite of us, or return None."""
    for name in AT_ONCE:
        value = default(path, name)
        if value != "0":
            return (
                f"{path} says {name}={value!r}, so that the bootloader would be written at once, and "
                "a power cut then leaves a board that does not boot. Remove that line and deploy "
                "again, or update by hand"
            )
    return None


def another_channel(path, channel):
    """Say why the script would use another channel; return None where it would not."""
    chosen = default(path, CHANNEL)
    if chosen == channel:
        return None
    return (
        f"{path} comes to {CHANNEL}={chosen!r}, not {channel}; correct that file and deploy again"
    )


def settle(folder):
    """Sync what was staged: rpi-eeprom-update copies it to FAT and syncs nothing."""
    for name in STAGED:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            atomic.sync(path)
    if os.path.isdir(folder):
        atomic.sync(folder)


def stage(staged):
    """Stage an update; return whether it needs a reboot, and the reason where it failed."""
    code, said = run("rpi-eeprom-update", "-a")
    print(said)
    settle(os.path.dirname(staged))
    if code:
        return False, f"rpi-eeprom-update -a ended with {code}: {said}"
    pending = re.search("EEPROM updates? pending", said)
    if os.path.exists(staged) or pending or "UPDATE SUCCESSFUL" in said:
        return True, None
    if re.search(r"^BOOTLOADER: *up[ -]to[ -]date", said, re.M):
        return False, None
    return False, f"rpi-eeprom-update -a neither staged an update nor found it current: {said}"


def note(stamp):
    """Record that a reboot is due."""
    os.makedirs(os.path.dirname(stamp), exist_ok=True)
    with open(stamp, "w", encoding="utf-8") as file:
        file.write("an update of the bootloader\n")


def main(query):
    """Check the voltage, set the channel, stage the update, and record that a reboot is due."""
    try:
        problem = too_low() or at_once(query["defaults"])
        if not problem:
            choose(query["defaults"], query["channel"])
            problem = another_channel(query["defaults"], query["channel"])
        if not problem:
            reboot, problem = stage(query["staged"])
            if reboot:
                note(query["stamp"])
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        problem = str(error)
    if problem:
        print(f"the bootloader was left as it was: {problem}", file=sys.stderr)
    return 1 if problem else 0
