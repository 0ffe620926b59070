"""Have rpi-eeprom-update stage an update for the next boot, from the planned channel.

It is never written at once, as its power must not fail then, and never on a board whose voltage is
or was too low. rpi-eeprom-update reads its file of defaults after its environment, so what that says
has precedence: it is read as that script reads it, and what would write at once is refused.
"""

import os
import re
import subprocess
import sys

from bramble.remote import atomic

UNDERVOLTED = 1 << 0 | 1 << 16
SETTING = re.compile(r"^[ \t]*(?:export[ \t]+)?FIRMWARE_RELEASE_STATUS=.*$", re.M)
# The names of "write it at once": those of 2019, of Bookworm and of Trixie.
AT_ONCE = ("USE_FLASHROM", "RPI_EEPROM_USE_FLASHROM", "RPI_EEPROM_IMMEDIATE_UPDATE")
CHANNEL = "FIRMWARE_RELEASE_STATUS"
# The script itself is `#!/bin/sh` and `set -e`, and reads the file as its first act.
READ = 'set -e; [ ! -f "$1" ] || . "$1" >&2; eval "printf \\"<%s>\\" \\"\\${$2-}\\""'

# The images come before the program that writes them, which the boot ROM starts when it finds it.
STAGED = ("pieeprom.sig", "pieeprom.upd", "vl805.sig", "vl805.bin", "recovery.bin")


def run(*argv):
    """A command's exit code and all of its words, in the C locale."""
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
    """Why the voltage speaks against an update, None when it does not."""
    code, said = run("vcgencmd", "get_throttled")
    found = re.search(r"throttled=(0x[0-9a-fA-F]+)", said)
    if code or not found:
        return f"vcgencmd does not say whether the voltage holds: {said}"
    if int(found[1], 16) & UNDERVOLTED:
        return f"the voltage was too low since the last boot ({said}); mend the power supply first"
    return None


def choose(path, channel):
    """Have the file of defaults name the channel; all its other lines stay."""
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
    """What the script takes for this variable, with its file of defaults read over our environment."""
    code, said = run("sh", "-c", READ, "sh", path, name)
    if code or not said.endswith(">"):
        raise ValueError(f"{path} cannot be read as rpi-eeprom-update reads it: {said}")
    return said[said.rindex("<") + 1 : -1]


def at_once(path):
    """Why the script would write the bootloader at once in spite of us, None when it would not."""
    for name in AT_ONCE:
        value = default(path, name)
        if value != "0":
            return (
                f"{path} says {name}={value!r}, so that the bootloader would be written at once, and "
                "a power cut then leaves a board that does not boot. Take that line out and deploy "
                "again, or update by hand"
            )
    return None


def another_channel(path, channel):
    """Why the script would take its update from another channel, None when it would not."""
    chosen = default(path, CHANNEL)
    if chosen == channel:
        return None
    return f"{path} comes to {CHANNEL}={chosen!r}, not {channel}; mend that file and deploy again"


def settle(folder):
    """Have the disk take what was staged: rpi-eeprom-update copies it to FAT and syncs nothing."""
    for name in STAGED:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            atomic.sync(path)
    if os.path.isdir(folder):
        atomic.sync(folder)


def stage(staged):
    """Stage what there is: whether a reboot is needed for it, and the reason when it failed."""
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
    """Note that a reboot is due."""
    os.makedirs(os.path.dirname(stamp), exist_ok=True)
    with open(stamp, "w", encoding="utf-8") as file:
        file.write("an update of the bootloader\n")


def main(query):
    """Look at the voltage, choose the channel, stage, and note that a reboot is due."""
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
