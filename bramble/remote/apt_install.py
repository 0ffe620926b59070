"""Install Debian packages: repair an interrupted dpkg, wait for the locks, show each package."""

import fcntl
import os
import subprocess
import time

from bramble.remote import apt

LISTS_AGE_S = 24 * 3600
LISTS = "/var/lib/apt/lists"
UPDATES = "/var/lib/dpkg/updates"
LOCK = "/var/lib/dpkg/lock-frontend"
DPKG = ("dpkg", "--force-confdef", "--force-confold")


def audit():
    """Return the packages that dpkg finds half installed or not configured, by name."""
    done = subprocess.run(["dpkg", "--audit"], env=apt.ENVIRONMENT, capture_output=True, text=True)
    # Each is an indented line: its name, then a word on what it is.
    return [line.split()[0] for line in done.stdout.splitlines() if line.startswith(" ")]


def interrupted():
    """Return whether a dpkg was interrupted, or is still running."""
    return bool(os.listdir(UPDATES) or audit())


def repair():
    """Finish what a killed dpkg left undone, which blocks every installation; return what remains."""
    if not interrupted():
        return None
    with open(LOCK, "wb") as lock:
        # As apt does: hold the frontend lock, and tell dpkg so.
        problem = apt.wait([LOCK], lambda path: taken(lock))
        if problem:
            return problem
        # Another process may have finished by now.
        if interrupted():
            print(":: dpkg was interrupted; finishing what it had begun", flush=True)
            apt.call("env", "DPKG_FRONTEND_LOCKED=1", *DPKG, "--configure", "-a")
    broken = audit()
    if broken:
        # A package that was interrupted while unpacking can only be unpacked again.
        apt.update()
        apt.run("install", "--reinstall", "--fix-broken", *broken)
        broken = audit()
    return (
        f"still half installed: {' '.join(broken)}; dpkg's own words are above" if broken else None
    )


def taken(lock):
    """Try to take the lock; describe who holds it, or return None once it is ours."""
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        pid = apt.owner(lock)
        return "another process" if pid is None else apt.words_of(pid)
    return None


def lists_are_old():
    """Return whether the package lists are missing or older than a day."""
    try:
        indexes = [entry for entry in os.scandir(LISTS) if entry.name.endswith("_Packages")]
        indexes += [entry for entry in os.scandir(LISTS) if "_Packages." in entry.name]
    except FileNotFoundError:
        return True
    newest = max((entry.stat().st_mtime for entry in indexes), default=0.0)
    return time.time() - newest > LISTS_AGE_S


def main(query):
    """Repair dpkg, then install `packages`, if any; package lists that are too old are updated once."""
    packages = query["packages"]
    problem = repair()
    if problem:
        print(f":: {problem}", flush=True)
        return 1
    return install(packages) if packages else 0


def install(packages):
    """Install packages; a source that fails matters only where it is needed."""
    print(f":: installing {len(packages)} packages: {' '.join(packages)}", flush=True)
    words = ("install", "--no-install-recommends", *packages)
    fresh, stale = lists_are_old(), None
    if fresh:
        print(":: updating the package lists", flush=True)
        stale = apt.update()
    code, said = apt.run(*words)
    if code and code != apt.BUSY and not fresh:
        print(":: that failed; updating the package lists and trying once more", flush=True)
        stale = apt.update()
        code, said = apt.run(*words)
    if stale:
        print(f":: the package lists could not all be updated: {stale}", flush=True)
    if code:
        print(
            f":: apt could not install {' '.join(packages)}: {apt.cause(said)}. "
            "Fix that, then run again.",
            flush=True,
        )
    return code
