"""What the probe reads of files and processes: raw, without judging it."""

import contextlib
import glob
import hashlib
import os
import pwd

NAMESPACES = ("mnt", "user", "uts")
GONE = " (deleted)"  # what /proc adds to the name of a file that was removed or replaced
_sums: dict[tuple[int, int, int, int], str] = {}


def read(path, newline=None):
    """Return a text file's content, or None for none; `newline` "" keeps all line endings."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline=newline) as file:
            return file.read()
    except FileNotFoundError:
        return None


def sha256(path):
    """Return the sha256 of a file, as hexadecimal, cached by inode, size and time."""
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if key not in _sums:
            _sums[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return _sums[key]


def name_of(look_up, number):
    """Return a user's or group's name; its number where it has none."""
    try:
        return look_up(number)[0]
    except KeyError:
        return str(number)


def process(pid):
    """Return the program that process `pid` really runs, its sha256, arguments and limits.

    Only the names of variables that are not ours are included, as some hold secrets.
    """
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = [entry.decode("utf-8", "replace") for entry in file.read().split(b"\0")]
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        argv = [word.decode("utf-8", "replace") for word in file.read().split(b"\0")[:-1]]
    exe = f"/proc/{pid}/exe"
    return {
        "exe": os.readlink(exe),
        "exe_sha256": sha256(exe),
        "uid": os.stat(f"/proc/{pid}").st_uid,
        "argv": argv,
        "environ": dict(pair.partition("=")[::2] for pair in pairs if pair.startswith("BRAMBLE_")),
        "variables": sorted({pair.partition("=")[0] for pair in pairs if pair}),
        **mapped(pid),
        "status": read(f"/proc/{pid}/status"),
        "oom_score_adj": int(read(f"/proc/{pid}/oom_score_adj") or 0),
        "mountinfo": read(f"/proc/{pid}/mountinfo"),
        "own_namespaces": own_namespaces(pid),
        "tasks_max": limit(pid, "pids.max"),
        "memory_max": limit(pid, "memory.max"),
    }


def mapped(pid):
    """Return the model files that a process has mapped, and the files that are gone since."""
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
        paths = {line.rstrip("\n").split(None, 5)[-1] for line in file}
    return {
        "models": sorted(p for p in paths if p.endswith(".gguf")),
        "gone": sorted(p.removesuffix(GONE) for p in paths if p[0] == "/" and p.endswith(GONE)),
    }


def locked(pid):
    """Return how much of a process the kernel keeps in memory, in its words; empty for not told."""
    lines = (read(f"/proc/{pid}/status") or "").splitlines()
    return next((line[6:].strip() for line in lines if line.startswith("VmLck:")), "")


def own_namespaces(pid):
    """Return the namespaces that it does not share with systemd; None where those are not readable."""
    links = (f"/proc/{pid}/ns/{{}}", "/proc/1/ns/{}")
    with contextlib.suppress(PermissionError):
        return [n for n in NAMESPACES if len({os.readlink(link.format(n)) for link in links}) > 1]
    return None


def cgroup(pid):
    """Return a process' cgroup in systemd's hierarchy."""
    lines = (read(f"/proc/{pid}/cgroup") or "").splitlines()
    return next((line[3:] for line in lines if line.startswith("0::")), "")


def limit(pid, name):
    """Return a limit of its cgroup, as the kernel writes it; None where there is none."""
    reported = read(f"/sys/fs/cgroup{cgroup(pid)}/{name}")
    return reported and reported.strip()


def programs(names):
    """Return the processes that run a program of one of these names, whoever started them."""
    found: dict[str, list[object]] = {name: [] for name in names}
    for path in glob.glob("/proc/[0-9]*") if names else []:
        # A process may end at any moment, and a kernel's thread has no program.
        with contextlib.suppress(OSError):
            exe = os.readlink(f"{path}/exe").removesuffix(GONE)
            if (name := os.path.basename(exe)) in found:
                pid, owner = int(os.path.basename(path)), os.stat(path).st_uid
                user = name_of(pwd.getpwuid, owner)
                one = {"pid": pid, "exe": exe, "user": user, "cgroup": cgroup(pid)}
                found[name].append({**one, **mapped(pid), "locked": locked(pid)})
    return found
