"""Install Debian packages: repair what was interrupted, wait for the locks, show each package."""

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
    """The packages that dpkg finds half installed or not configured, by name."""
    done = subprocess.run(["dpkg", "--audit"], env=apt.ENVIRONMENT, capture_output=True, text=True)
    # Each is an indented line: its name, then a word on what it is.
    return [line.split()[0] for line in done.stdout.splitlines() if line.startswith(" ")]


def interrupted():
    """Whether a dpkg left something half done, or is at it."""
    return bool(os.listdir(UPDATES) or audit())


def repair():
    """Finish what a killed dpkg left half done, or nothing can be installed; what is left, in words."""
    if not interrupted():
        return None
    with open(LOCK, "wb") as lock:
        # As apt does: hold the front end's lock, and tell dpkg so.
        problem = apt.wait([LOCK], lambda path: taken(lock))
        if problem:
            return problem
        # What another one was at may be done by now.
        if interrupted():
            print(":: dpkg was interrupted; finishing what it had begun", flush=True)
            apt.call("env", "DPKG_FRONTEND_LOCKED=1", *DPKG, "--configure", "-a")
    broken = audit()
    if broken:
        # What was cut off while it was unpacked cannot be configured, only unpacked again.
        apt.update()
        apt.run("install", "--reinstall", "--fix-broken", *broken)
        broken = audit()
    return (
        f"still half installed: {' '.join(broken)}; dpkg's own words are above" if broken else None
    )


def taken(lock):
    """Who keeps us from the lock, in words; None once it is ours."""
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        pid = apt.owner(lock)
        return "another process" if pid is None else apt.words_of(pid)
    return None


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
    problem = repair()
    if problem:
        print(f":: {problem}", flush=True)
        return 1
    return install(packages) if packages else 0


def install(packages):
    """Install these; a source that gives nothing stands in the way only where it is needed."""
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
            "Mend that, then run again.",
            flush=True,
        )
    return code
