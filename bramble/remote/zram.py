"""Make zram-generator create /dev/zram0 as its configuration says, and use it as swap.

Another owner of zram is not fought but named, and an algorithm that the kernel lacks is refused before
anything is changed.
"""

import contextlib
import os
import re
import subprocess
import sys

from bramble.remote import swap_makers

SWAPS, MOUNTS = "/proc/swaps", "/proc/self/mountinfo"
DEVICE, BLOCK = "/dev/zram0", "/sys/block/zram0"
HOT_ADD = "/sys/class/zram-control/hot_add"
LOG2RAM = "/etc/log2ram.conf"
SWAP_UNIT, SETUP_UNIT = "dev-zram0.swap", "systemd-zram-setup@zram0.service"


def run(*argv):
    """Run a command, and return its result even where it fails."""
    return subprocess.run(argv, capture_output=True, text=True)


def read(path):
    """Return a text file's content; empty where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def other_owner(ours):
    """Say who else owns zram by what is installed, configured and run at boot; None for nobody."""
    if re.search(r"(?m)^\s*ZL2R\s*=\s*[\"']?true", read(LOG2RAM)):
        return (
            f"log2ram keeps logs on a zram device of its own (ZL2R=true in {LOG2RAM}). "
            "Set ZL2R=false there, reboot, and run again"
        )
    for maker in swap_makers.look():
        is_rival = maker["name"] not in ours and not maker["name"].endswith(".swap")
        if is_rival and "zram" in maker["line"]:
            return (
                f"{maker['name']} makes zram of its own at every boot "
                f"({maker['path']}: {maker['line']}). Take that away there (sudo systemctl disable "
                "--now ... for a unit), reboot, and run again; or leave swap to it: take memory out of "
                "node.roles"
            )
    return None


def unusable(algorithm):
    """Say why the kernel's zram cannot be used so; return None where it can."""
    done = run("modprobe", "zram")
    if done.returncode:
        return f"the kernel has no module zram: {done.stderr.strip()}"
    if not os.path.isdir(BLOCK):
        read(HOT_ADD)
    known = read(f"{BLOCK}/comp_algorithm").replace("[", "").replace("]", "").split()
    if algorithm not in known:
        return (
            f"this kernel's zram has no algorithm {algorithm}; it has {', '.join(known) or 'none'}. "
            "Set memory.zram.algorithm to one of these"
        )
    for line in read(MOUNTS).splitlines():
        left, _, right = line.partition(" - ")
        if right.split()[1:2] == [DEVICE]:
            return f"{DEVICE} is mounted at {left.split()[4]}; whoever did that must give it back"
    return None


def active():
    """Return whether the device is in use as swap."""
    return any(line.split()[0] == DEVICE for line in read(SWAPS).splitlines()[1:])


def is_anothers():
    """Return whether the device has a size that zram-generator did not set."""
    if not active() and read(f"{BLOCK}/disksize").strip() in ("", "0"):
        return False
    return run("systemctl", "show", "-p", "ActiveState", "--value", SETUP_UNIT).stdout.strip() in (
        "inactive",
        "",
    )


def take_down(ends):
    """Stop using the device as swap, reset it, and stop `ends`; return the reason where that fails."""
    if is_anothers():
        return (
            f"{DEVICE} is in use, and zram-generator did not make it: it is left alone. See `zramctl`, "
            f"end its use where it was made (sudo swapoff {DEVICE}; sudo zramctl --reset {DEVICE}), and "
            "run again"
        )
    if active():
        run("systemctl", "stop", SWAP_UNIT)
    if active():
        return f"{DEVICE} stays in use: RAM may be too short for what is swapped out there"
    run("systemctl", "stop", SETUP_UNIT)
    if read(f"{BLOCK}/disksize").strip() not in ("", "0"):
        try:
            with open(f"{BLOCK}/reset", "w", encoding="ascii") as file:
                file.write("1")
        except OSError as error:
            return f"{DEVICE} is held by something and was left alone: {error}"
    if ends:
        # Patterns of names, of which those count that systemd has loaded.
        run("systemctl", "stop", *ends)
    return None


def put_up():
    """Create the device and use it; return the reason where it is not swap then."""
    run("systemctl", "reset-failed", SWAP_UNIT, SETUP_UNIT)
    done = run("systemctl", "start", SWAP_UNIT)
    if done.returncode or not active():
        said = run("journalctl", "-u", SETUP_UNIT, "-n", "10", "--no-pager", "-o", "cat").stdout
        return f"{SWAP_UNIT} did not start: {done.stderr.strip()}\n{said}"
    return None


def main(query):
    """Check what may block `algorithm`; with `make` create the device again, without `stale` files."""
    problem = other_owner(query["ours"]) or unusable(query["algorithm"])
    if problem is None and query["make"]:
        for path in query["stale"]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        run("systemctl", "daemon-reload")
        problem = take_down(query["ends"]) or put_up()
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0
