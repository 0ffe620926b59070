"""Have rpi-eeprom-update stage an update for the next boot, from the planned channel.

It is never written at once, as its power must not fail then, and never on a board whose voltage is
or was too low.
"""

import os
import re
import subprocess
import sys

UNDERVOLTED = 1 << 0 | 1 << 16
SETTING = re.compile(r"^[ \t]*(?:export[ \t]+)?FIRMWARE_RELEASE_STATUS=.*$", re.M)
# Both names of "write it at once", Bookworm's and Trixie's.
AT_NEXT_BOOT = {"RPI_EEPROM_USE_FLASHROM": "0", "RPI_EEPROM_IMMEDIATE_UPDATE": "0"}


def run(*argv):
    """A command's exit code and all of its words, in the C locale."""
    done = subprocess.run(
        argv,
        env={**os.environ, "LC_ALL": "C.UTF-8", **AT_NEXT_BOOT},
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
    temporary = f"{path}.bramble"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    os.replace(temporary, path)
    print(f"{path}: {line}")


def stage(staged):
    """Stage what there is: whether a reboot is needed for it, and the reason when it failed."""
    code, said = run("rpi-eeprom-update", "-a")
    print(said)
    if code:
        return False, f"rpi-eeprom-update -a ended with {code}: {said}"
    if os.path.exists(staged) or "UPDATE SUCCESSFUL" in said:
        return True, None
    if re.search(r"^BOOTLOADER: *up[ -]to[ -]date", said, re.M):
        return False, None
    return False, f"rpi-eeprom-update -a neither staged an update nor found it current: {said}"


def main(query):
    """Look at the voltage, choose the channel, stage, and note that a reboot is due."""
    try:
        problem = too_low()
        if not problem:
            choose(query["defaults"], query["channel"])
            reboot, problem = stage(query["staged"])
            if reboot:
                os.makedirs(os.path.dirname(query["stamp"]), exist_ok=True)
                with open(query["stamp"], "w", encoding="utf-8") as file:
                    file.write("an update of the bootloader\n")
    except (OSError, subprocess.SubprocessError) as error:
        problem = str(error)
    if problem:
        print(f"the bootloader was left as it was: {problem}", file=sys.stderr)
    return 1 if problem else 0
