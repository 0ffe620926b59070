"""Install Debian packages: repair what was interrupted, wait for the lock, show each package."""

import fcntl
import os
import subprocess
import time

LOCK_WAIT_S = 600
LISTS_AGE_S = 24 * 3600
LISTS = "/var/lib/apt/lists"
UPDATES = "/var/lib/dpkg/updates"
LOCK = "/var/lib/dpkg/lock-frontend"
DPKG = ("dpkg", "--force-confdef", "--force-confold")

# apt-listchanges and debconf would ask questions that nobody answers here.
ENVIRONMENT = {
    **os.environ,
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "LC_ALL": "C.UTF-8",
}
APT = (
    "apt-get -q -y "
    f"-o DPkg::Lock::Timeout={LOCK_WAIT_S} -o APT::Get::Lock::Timeout={LOCK_WAIT_S} "
    "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "
    "-o Acquire::Retries=3 -o Dpkg::Use-Pty=0 -o APT::Status-Fd=3"
).split()


def call(*argv):
    """Run a command with its output on ours, apt's own progress as counters; its exit code."""
    # apt closes its status descriptor before dpkg starts, so that must not be standard output.
    with subprocess.Popen(
        ("sh", "-c", 'exec "$@" 3>&1', "sh", *argv),
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            counter = progress(line)
            print(counter or line.rstrip("\n"), flush=True)
    return process.returncode


def progress(line):
    """A status line of apt as "[done/200]": the download is one half, the installation the other."""
    kind, _, rest = line.partition(":")
    words = rest.split(":")
    if kind not in ("dlstatus", "pmstatus") or len(words) < 3:
        return None
    try:
        percent = int(float(words[1]))
    except ValueError:
        return None
    return f"[{percent if kind == 'dlstatus' else 100 + percent}/200]"


def audit():
    """The packages that dpkg finds half installed or not configured, by name."""
    done = subprocess.run(["dpkg", "--audit"], env=ENVIRONMENT, capture_output=True, text=True)
    # Each is an indented line: its name, then a word on what it is.
    return [line.split()[0] for line in done.stdout.splitlines() if line.startswith(" ")]


def repair():
    """Finish what a killed dpkg left half done, or nothing can be installed; what is left broken."""
    if not os.listdir(UPDATES) and not audit():
        return []
    print(":: dpkg was interrupted; finishing what it had begun", flush=True)
    with open(LOCK, "wb") as lock:
        # As apt does: hold the front end's lock, and tell dpkg so.
        if not locked(lock):
            print(f":: another one holds {LOCK} for {LOCK_WAIT_S} s already", flush=True)
            return audit()
        call("env", "DPKG_FRONTEND_LOCKED=1", *DPKG, "--configure", "-a")
    broken = audit()
    if broken:
        # What was cut off while it was unpacked cannot be configured, only unpacked again.
        call(*APT, "update")
        call(*APT, "install", "--reinstall", "--fix-broken", *broken)
    return audit()


def locked(lock):
    """Whether the lock could be had within the time that apt may wait for it too."""
    deadline_s = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            if time.monotonic() > deadline_s:
                return False
            time.sleep(1)
        else:
            return True


def lists_are_old():
    """Whether the package lists are missing or older than a day."""
    try:
        indexes = [entry for entry in os.scandir(LISTS) if entry.name.endswith("_Packages")]
        indexes += [entry for entry in os.scandir(LISTS) if "_Packages." in entry.name]
    except FileNotFoundError:
        return True
    newest = max((entry.stat().st_mtime for entry in indexes), default=0.0)
    return time.time() - newest > LISTS_AGE_S


def main(query):
    """Repair, then install `packages`, if any; lists too old for it are brought up to date once."""
    packages = query["packages"]
    broken = repair()
    if broken:
        print(
            f":: still half installed: {' '.join(broken)}; dpkg's own words are above", flush=True
        )
        return 1
    if not packages:
        return 0
    print(f":: installing {len(packages)} packages: {' '.join(packages)}", flush=True)
    fresh = False
    if lists_are_old():
        print(":: updating the package lists", flush=True)
        call(*APT, "update")
        fresh = True
    install = (*APT, "install", "--no-install-recommends", *packages)
    code = call(*install)
    if code and not fresh:
        print(":: that failed; updating the package lists and trying once more", flush=True)
        call(*APT, "update")
        code = call(*install)
    if code:
        print(
            f":: apt could not install {' '.join(packages)}; its own words are above. "
            "Check the node's way to its mirror and its free space, then run again.",
            flush=True,
        )
    return code
