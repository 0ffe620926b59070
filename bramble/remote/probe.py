"""Look at a node once and print what was seen as one JSON object.

This judges and changes nothing: raw texts go to the laptop, where typed parsers with recorded fixtures
read them (`bramble/snapshot.py`). What could not be read is `{"unknown": why}`, so that "not there"
and "could not tell" stay apart.
"""

import glob
import grp
import json
import os
import pwd
import re
import shlex
import stat
import subprocess
import time

from bramble.remote import dpkg, local_http, reading, swap_makers, time_sync

# systemd is asked in one call; these are the properties that roles need.
UNIT_PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NeedDaemonReload",
    "MainPID",
    "NRestarts",
    "Result",
    "FragmentPath",
    "DropInPaths",
)

# Their versions tell how far an upgrade to another release of Debian came.
RELEASE_PACKAGES = ("libc6", "apt", "systemd")

# All that a look may raise; what listens on a port may not speak HTTP.
UNKNOWN = (OSError, ValueError, LookupError, subprocess.SubprocessError)

FIRMWARE = "/boot/firmware"
INCLUDE = re.compile(r"^[ \t]*include[ \t]+(\S+)", re.M)
INCLUDE_LIMIT = 16
DEVICE_TREE = "/sys/firmware/devicetree/base"
DEVICE_TREE_PROPERTIES = (
    "model",
    "compatible",
    "system/linux,revision",
    "serial-number",
    "chosen/os_prefix",
    "chosen/power/max_current",
)
TEXT_LIMIT_BYTES = 64 * 1024
SHADOW = "/etc/shadow"


def known(look, *args):
    """Return `look(*args)` as {"ok": value}, or {"unknown": why} where it fails."""
    try:
        return {"ok": look(*args)}
    except UNKNOWN as error:
        return {"unknown": f"{type(error).__name__}: {error}"}


def run(*argv):
    """Return a command's standard output; raise where it fails or is missing."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def device_tree():
    """Return the board's identity as hexadecimal bytes by property; None where there is no tree."""
    if not os.path.isdir(DEVICE_TREE):
        return None
    found = {}
    for name in DEVICE_TREE_PROPERTIES:
        path = os.path.join(DEVICE_TREE, name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                found[name] = file.read().hex()
    return found


def system():
    """Return what identifies the userland, the kernel and the processor."""
    return {
        "os_release": reading.read("/etc/os-release"),
        "rpi_issue": reading.read("/etc/rpi-issue"),
        "architecture": dpkg.architecture(),
        "long_bit": os.sysconf("SC_LONG_BIT"),
        "page_size": os.sysconf("SC_PAGE_SIZE"),
        "machine": os.uname().machine,
        "kernel": os.uname().release,
        "cpuinfo": reading.read("/proc/cpuinfo"),
        "cores": len(os.sched_getaffinity(0)),
        "boot_id": reading.read("/proc/sys/kernel/random/boot_id"),
        "hostname": os.uname().nodename,
        "versions": dpkg.installed(RELEASE_PACKAGES),
    }


def boot():
    """Return what the firmware was configured with, and what the kernel was really given.

    /boot/config.txt and /boot/cmdline.txt are decoys since Bookworm; only the folder below counts.
    """
    prefix = (reading.read(f"{DEVICE_TREE}/chosen/os_prefix") or "").rstrip("\0")
    path = f"{FIRMWARE}/{prefix}cmdline.txt"
    config = reading.read(f"{FIRMWARE}/config.txt", newline="")
    return {
        "proc_cmdline": reading.read("/proc/cmdline"),
        "cmdline_path": path,
        "cmdline_txt": reading.read(path, newline=""),
        "config_txt": config,
        "included": included(config or "", {}),
    }


def included(text, found):
    """Return the text of each file that a config.txt includes, directly or not, by its name there."""
    for name in INCLUDE.findall(text):
        if name not in found and len(found) < INCLUDE_LIMIT:
            found[name] = reading.read(os.path.join(FIRMWARE, name), newline="")
            included(found[name] or "", found)
    return found


def disks():
    """Return the block devices as lsblk reports them, sizes in bytes."""
    columns = "NAME,PATH,TYPE,TRAN,SIZE,FSTYPE,LABEL,UUID,MOUNTPOINTS,MODEL,SERIAL,RO,PTTYPE"
    columns += ",PARTUUID,PARTLABEL"
    return json.loads(run("lsblk", "-J", "-b", "-o", columns))["blockdevices"]


def login(query):
    """Return who logged in for this look, as sudo reports it, and the keys that open that account."""
    name = os.environ.get("SUDO_USER") or reading.name_of(pwd.getpwuid, os.getuid())
    home = pwd.getpwnam(name).pw_dir
    keys = os.path.join(home, ".ssh", "authorized_keys")
    return {"user": name, "path": keys, "keys": file(keys, query)}


def units(names, more):
    """Return each unit's properties, and what /proc shows of its process."""
    if not names:
        return {}
    text = run("systemctl", "show", "--property", ",".join([*UNIT_PROPERTIES, *more]), *names)
    blocks = [block for block in text.split("\n\n") if block.strip()]
    if len(blocks) != len(names):
        raise ValueError(f"systemctl described {len(blocks)} units and was asked for {len(names)}")
    return {name: unit(block) for name, block in zip(names, blocks, strict=True)}


def unit(block):
    """Return one unit's properties with its process."""
    properties = dict(line.partition("=")[::2] for line in block.strip().splitlines())
    pid = int(properties.get("MainPID") or 0)
    return {
        "properties": properties,
        "process": known(reading.process, pid) if pid else {"ok": None},
    }


def files(query):
    """Return each path's state; patterns (with * or ?) are expanded."""
    found = {}
    for pattern in query.get("files", []):
        matches = sorted(glob.glob(pattern)) if set(pattern) & set("*?") else [pattern]
        for path in matches:
            found[path] = known(file, path, query)
    return found


def file(path, query):
    """Return the kind, mode, owner and size of `path`, and its hash, text or target; None if missing."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    seen = {
        "mode": stat.S_IMODE(status.st_mode),
        "owner": reading.name_of(pwd.getpwuid, status.st_uid),
        "group": reading.name_of(grp.getgrgid, status.st_gid),
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }
    if stat.S_ISLNK(status.st_mode):
        return {"kind": "link", "target": os.readlink(path), **seen}
    if stat.S_ISDIR(status.st_mode):
        return {"kind": "directory", **seen}
    if not stat.S_ISREG(status.st_mode):
        return {"kind": "other", **seen}
    seen["kind"] = "file"
    if status.st_size <= query.get("hash_limit_bytes", 0):
        seen["sha256"] = reading.sha256(path)
    if path not in query.get("secret", []) and status.st_size <= TEXT_LIMIT_BYTES:
        seen["text"] = text_of(path)
    return seen


def text_of(path):
    """Return the file's text; None where it is not UTF-8."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except UnicodeDecodeError:
        return None


def users(names):
    """Return each user's number, home, shell and whether it has a password; None for no such user."""
    found: dict[str, object] = {}
    for name in names:
        try:
            entry = pwd.getpwnam(name)
            found[name] = {
                "uid": entry.pw_uid,
                "home": entry.pw_dir,
                "shell": entry.pw_shell,
                "password": has_password(name),
            }
        except KeyError:
            found[name] = None
    return found


def has_password(name):
    """Return whether a user's hash in /etc/shadow is one that a password may have; None: unknown."""
    try:
        with open(SHADOW, encoding="utf-8") as file:
            hashes = dict(line.split(":")[:2] for line in file if ":" in line)
    except (OSError, ValueError):
        return None
    return not hashes[name].startswith(("!", "*")) if name in hashes else None


def answers(urls):
    """Return the status and the beginning of the body that each local URL answers."""
    return {url: known(get, url) for url in urls}


def get(url):
    """Send one GET; return status 0 where nothing listens."""
    try:
        status, body = local_http.exchange(url, 10, limit=TEXT_LIMIT_BYTES)
    except ConnectionRefusedError as error:
        return {"status": 0, "body": str(error)}
    return {"status": status, "body": body.decode("utf-8", "replace")}


def commands(lines):
    """Return each read-only command's output and exit code; None where the program is missing."""
    return {line: known(command, line) for line in lines}


def command(line):
    """Run one command without a shell, in the C locale, with root's folders in its path."""
    environment = {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}",
    }
    argv = shlex.split(line)
    try:
        done = subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=60,
        )
    except FileNotFoundError:
        return None
    return {"code": done.returncode, "output": done.stdout}


def free(paths):
    """Return the free bytes of the file system of each path, or of its nearest existing parent."""
    found = {}
    for path in paths:
        place = path
        while not os.path.exists(place):
            place = os.path.dirname(place)
        status = os.statvfs(place)
        found[path] = status.f_bavail * status.f_frsize
    return found


def main(query, beside=None):
    """Print what was seen; `query` names the files, units, packages, users and URLs to look at.

    A line before each part names it, so that the reader can tell a slow node from one that hangs.
    `beside` are parts of an audit, by name: each comes after these, and is given what was seen so far.
    """
    parts = {
        "device_tree": (device_tree,),
        "system": (system,),
        "boot": (boot,),
        "login": (login, query),
        "clock": (time_sync.look,),
        "meminfo": (reading.read, "/proc/meminfo"),
        "mountinfo": (reading.read, "/proc/self/mountinfo"),
        "swaps": (reading.read, "/proc/swaps"),
        "swap_makers": (swap_makers.look,),
        "disks": (disks,),
        "sockets": (run, "ss", "-Hltnp"),
        "units": (units, query.get("units", []), query.get("properties", [])),
        "programs": (reading.programs, query.get("programs", [])),
        "packages": (dpkg.installed, query.get("packages", [])),
        "provided": (dpkg.provided, query.get("packages", [])),
        "files": (files, query),
        "users": (users, query.get("users", [])),
        "http": (answers, query.get("http", [])),
        "commands": (commands, query.get("commands", [])),
        "free_bytes": (free, query.get("free", [])),
    }
    seen: dict[str, object] = {"taken_at_s": int(time.time())}
    for name, (look, *arguments) in parts.items():
        print(f"looking at {name}", flush=True)
        seen[name] = known(look, *arguments)
    further: dict[str, object] = {}
    for name, look_beside in (beside or {}).items():
        print(f"looking at {name}", flush=True)
        further[name] = known(look_beside, {**seen, **further})
    if beside:
        seen["beside"] = further
    print(json.dumps(seen))
    return 0
