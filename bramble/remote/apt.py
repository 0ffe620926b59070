"""apt on a node: waits for its locks and says so; reports its failures with their cause.

apt waits for dpkg's lock if it is told to (DPkg::Lock::Timeout), but never for those of its package
lists and its archives: while apt-daily runs, as in a new Pi's first minutes, it fails at once.
"""

import collections
import fcntl
import os
import re
import struct
import subprocess
import time

WAIT_S = 600
LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
)
FLOCK = "hhqqi"  # struct flock of a 64-bit Linux
BUSY = 75

# apt-listchanges and debconf would ask questions that nobody answers here; needrestart may say what
# should be restarted, and restarts nothing.
ENVIRONMENT = {
    **os.environ,
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",
    "LC_ALL": "C.UTF-8",
}
# Options on the command line have precedence over the node's apt.conf.
OPTIONS = (
    "DPkg::Lock::Timeout=10",
    "Dpkg::Options::=--force-confdef",
    "Dpkg::Options::=--force-confold",
    "Dpkg::Use-Pty=0",
    "APT::Status-Fd=3",
    "APT::Get::AllowUnauthenticated=false",
    "APT::Update::Error-Mode=any",
    "Acquire::AllowInsecureRepositories=false",
    "Acquire::Retries=3",
)
APT = ("apt-get", "-q", "-y", *(word for option in OPTIONS for word in ("-o", option)))
LOCKED = "Could not get lock"
# Patterns in apt's output, and what they mean; the first that matches is reported.
CAUSES = (
    (LOCKED, "another apt is running all the time"),
    ("No space left on device|enough free space", "a disk of the node is full"),
    ("is not valid yet", "the node's clock is behind, or the mirror's is ahead"),
    (
        r"is expired \(|Release file .* expired",
        "the mirror's lists have expired: the node's clock is ahead, or the mirror is not kept up",
    ),
    (
        "Certificate verification failed",
        "the mirror's certificate is not trusted: look at the node's clock first",
    ),
    (
        "Could not resolve|failure resolving",
        "the mirror's name is not resolved; look at the node's DNS and network",
    ),
    (
        "Could not connect|Unable to connect|Cannot initiate the connection|Connection failed"
        "|Connection timed out|Connection refused|Network is unreachable|No route to host",
        "the mirror is not reached; look at the node's network, proxy and firewall",
    ),
    (
        r"\b[45]\d\d  \w|does not have a Release file|File not found",
        "the mirror, or a proxy before it, does not give that; look at apt's sources",
    ),
    (
        "NO_PUBKEY|EXPKEYSIG|REVKEYSIG|BADSIG|ERRSIG|GPG error|is not signed|NOSPLIT|NODATA"
        "|couldn't be verified|cannot be authenticated",
        "a signature does not hold, and nothing is taken unsigned",
    ),
    (
        "Hash Sum mismatch|unexpected size",
        "what the mirror or a proxy gave is not what its lists say; try again in an hour",
    ),
    (
        "Unable to locate package|has no installation candidate|Couldn't find any package",
        "no source of this node has such a package",
    ),
    ("unmet dependencies|held broken packages", "it conflicts with packages of this node"),
)


def owner(file):
    """Return the PID of the process that locks an open file; None while nobody does.

    0 is a process of another PID namespace. This process must have the file open only once: closing it
    releases its own lock (fcntl(2)).
    """
    asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = struct.unpack(FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid


def holder(path):
    """Describe the process that holds a lock; return None while nobody does."""
    try:
        with open(path, "rb") as file:
            pid = owner(file)
    except FileNotFoundError:
        return None
    return None if pid is None else words_of(pid)


def words_of(pid):
    """Describe a process: its PID, its name and its unit."""
    if not pid:
        return "a process that is not seen from here"
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            name = file.read().strip()
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            unit = os.path.basename(file.read().strip().splitlines()[-1])
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return f"PID {pid}"
    return f"PID {pid} ({name}, {unit})" if unit.endswith(".service") else f"PID {pid} ({name})"


def wait(paths, held):
    """Wait while `held` names a holder of any of these locks; return the problem after WAIT_S."""
    deadline_s, reported = time.monotonic() + WAIT_S, set()
    while True:
        holders = ((path, held(path)) for path in paths)
        path, who = next((pair for pair in holders if pair[1]), (None, None))
        if who is None:
            return None
        if time.monotonic() > deadline_s:
            return f"{who} still holds {path} after {WAIT_S} s; let it end, or end it"
        if (path, who) not in reported:
            reported.add((path, who))
            print(f":: waiting for {who}, which holds {path}", flush=True)
        time.sleep(1)


def run(*words):
    """Run apt-get once its locks are free; return its exit code, and its output or who holds a lock."""
    deadline_s = time.monotonic() + WAIT_S
    while True:
        problem = wait(LOCKS, holder)
        if problem:
            return BUSY, f"E: {problem}"
        code, said = call(*APT, *words)
        locked_out = code and LOCKED in said
        if not locked_out or time.monotonic() > deadline_s:
            return code, said
        time.sleep(1)


def ask(*argv):
    """Return a command's exit code and output; raise OSError or subprocess.TimeoutExpired."""
    done = subprocess.run(
        argv,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=600,
    )
    return done.returncode, done.stdout.strip()


def call(*argv):
    """Run a command, printing its output and apt's progress as counters; return exit code and output."""
    said: collections.deque[str] = collections.deque(maxlen=400)
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
            if not counter:
                said.append(line.rstrip("\n"))
            print(counter or line.rstrip("\n"), flush=True)
    return process.returncode, "\n".join(said)


def progress(line):
    """Format a status line of apt as "[done/200]": one half is the download, one the installation."""
    kind, _, rest = line.partition(":")
    words = rest.split(":")
    if kind not in ("dlstatus", "pmstatus") or len(words) < 3:
        return None
    try:
        percent = int(float(words[1]))
    except ValueError:
        return None
    return f"[{percent if kind == 'dlstatus' else 100 + percent}/200]"


def cause(said):
    """Say why apt failed, in a sentence with its own words."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for pattern, meaning in CAUSES:
        for line in lines:
            if re.search(pattern, line):
                return f"{meaning} ({line})"
    errors = [line for line in lines if line.startswith("E: ")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("E: ")


def update(*options):
    """Update the package lists; return why some could not be, None where all are."""
    code, said = run(*options, "update")
    return cause(said) if code else None
