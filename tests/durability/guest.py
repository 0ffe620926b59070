"""The first process of the user-mode Linux: runs each case's program on real disks, and leaves marks.

A mark is a sector of a disk of its own: in the record it parts what was written before it from what
was written after it. Each fsync of a program leaves one too, as a disk may do what it was given
between two of them in any order.
"""

import ctypes
import json
import mmap
import os
import subprocess
import sys

MARKS, TOOLS = "/run/marks", "/run/tools"
ENVIRONMENT = {
    "PATH": f"{TOOLS}:/usr/sbin:/usr/bin:/sbin:/bin",
    "TMPDIR": "/run",
    "LC_ALL": "C.UTF-8",
}
POWER_OFF = 0x4321FEDC


def leave(word):
    """Leave a mark."""
    with mmap.mmap(-1, 4096) as page:
        page[: len(word)] = word.encode()
        descriptor = os.open(MARKS, os.O_WRONLY | os.O_DIRECT)
        os.pwritev(descriptor, [memoryview(page)[:512]], 0)
        os.close(descriptor)


def marked():
    """Run the program of standard input, with a mark after each fsync."""
    real = os.fsync

    def fsync(descriptor):
        real(descriptor)
        leave("flush")

    os.fsync = fsync
    exec(compile(sys.stdin.read(), "program", "exec"), {"__name__": "__main__"})


def call(*argv):
    """A command that must go well."""
    subprocess.run(argv, check=True, env=ENVIRONMENT)


def ready(job):
    """Mount what a Linux needs, and the disks."""
    os.environ["PATH"] = ENVIRONMENT["PATH"]
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run"), ("tmpfs", "/dev")):
        call("mount", "-t", kind, kind, place)
    call("mknod", "/dev/null", "c", "1", "3")
    call("mknod", MARKS, "b", "98", str(16 * len(job["disks"])))
    os.makedirs("/dev/disk/by-id")
    os.symlink(f"/dev/ubd{'abcdefg'[len(job['disks'])]}", "/dev/disk/by-id/marks")
    for module in job["modules"]:
        call("insmod", module)
    for number, disk in enumerate(job["disks"]):
        device = f"/dev/ubd{'abcdefg'[number]}"
        call("mknod", device, "b", "98", str(16 * number))
        os.symlink(device, f"/dev/disk/by-id/toy-{number}")
        if disk["mount"]:
            os.mkdir(disk["mount"])
            call("mount", *disk["options"], device, disk["mount"])
    # try_ssh finds its programs in /usr/sbin first, and its own places are fixed.
    call("mount", "-t", "tmpfs", "tmpfs", "/var/lib")
    os.mkdir("/var/lib/bramble")
    os.mkdir(TOOLS)
    for name, text in job["tools"].items():
        with open(f"{TOOLS}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(f"{TOOLS}/{name}", 0o755)
        if os.path.exists(f"/usr/sbin/{name}"):
            call("mount", "--bind", f"{TOOLS}/{name}", f"/usr/sbin/{name}")


def run(case):
    """One case between its marks; what it left to the kernel is written before the last one."""
    os.sync()
    leave(f"begin {case['name']}")
    argv = ["/usr/bin/python3", "-u", __file__]
    done = subprocess.run(
        argv, input=case["program"], text=True, capture_output=True, env=ENVIRONMENT
    )
    leave(f"end {case['name']}")
    os.sync()
    leave(f"settled {case['name']}")
    print(
        json.dumps(
            {"name": case["name"], "code": done.returncode, "said": done.stdout + done.stderr}
        )
    )


def main():
    """Run all cases of the job, and switch the power off."""
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    try:
        ready(job)
        for case in job["cases"]:
            run(case)
    finally:
        sys.stdout.flush()
        ctypes.CDLL(None).reboot(POWER_OFF)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main()
    else:
        marked()
