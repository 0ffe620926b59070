"""Look at a node once and print what was seen as one JSON object.

Nothing is judged here and nothing is changed: raw texts go to the laptop, where typed parsers with
recorded fixtures read them (`bramble/snapshot.py`). Whatever could not be read is `{"unknown": why}`,
so that "not there" and "could not tell" stay apart.
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

# systemd's answers are asked for in one call; these are all that any role wants to know of a unit.
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

# Whatever a look may end in; something that is not HTTP may well listen on a port.
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


def known(look, *args):
    """`look(*args)` as {"ok": value}, or {"unknown": why} when the node would not say."""
    try:
        return {"ok": look(*args)}
    except UNKNOWN as error:
        return {"unknown": f"{type(error).__name__}: {error}"}


def run(*argv):
    """A command's standard output; a command that fails or is missing raises."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def device_tree():
    """The board's identity as hexadecimal bytes by property, or None where there is no tree."""
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
    """What identifies the userland, the kernel and the processor."""
    return {
        "os_release": reading.read("/etc/os-release"),
        "rpi_issue": reading.read("/etc/rpi-issue"),
        "architecture": run("dpkg", "--print-architecture").strip(),
        "long_bit": int(run("getconf", "LONG_BIT")),
        "page_size": os.sysconf("SC_PAGE_SIZE"),
        "machine": os.uname().machine,
        "kernel": os.uname().release,
        "cpuinfo": reading.read("/proc/cpuinfo"),
        "cores": len(os.sched_getaffinity(0)),
        "boot_id": reading.read("/proc/sys/kernel/random/boot_id"),
        "hostname": os.uname().nodename,
    }


def boot():
    """What the firmware was told, and what the kernel was really given.

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
    """The text of each file that a config.txt includes, and that those include, by its name there."""
    for name in INCLUDE.findall(text):
        if name not in found and len(found) < INCLUDE_LIMIT:
            found[name] = reading.read(os.path.join(FIRMWARE, name), newline="")
            included(found[name] or "", found)
    return found


def disks():
    """Block devices as lsblk tells them, sizes in bytes."""
    columns = "NAME,PATH,TYPE,TRAN,SIZE,FSTYPE,LABEL,UUID,MOUNTPOINTS,MODEL,SERIAL,RO,PTTYPE"
    columns += ",PARTUUID,PARTLABEL"
    return json.loads(run("lsblk", "-J", "-b", "-o", columns))["blockdevices"]


def login(query):
    """Who logged in for this look, by sudo's word, and the keys that open that account."""
    name = os.environ.get("SUDO_USER") or reading.name_of(pwd.getpwuid, os.getuid())
    home = pwd.getpwnam(name).pw_dir
    keys = os.path.join(home, ".ssh", "authorized_keys")
    return {"user": name, "path": keys, "keys": file(keys, query)}


def units(names, more):
    """Properties of each unit, and of its running process what only /proc can prove."""
    if not names:
        return {}
    text = run("systemctl", "show", "--property", ",".join([*UNIT_PROPERTIES, *more]), *names)
    blocks = [block for block in text.split("\n\n") if block.strip()]
    if len(blocks) != len(names):
        raise ValueError(f"systemctl told of {len(blocks)} units and was asked for {len(names)}")
    return {name: unit(block) for name, block in zip(names, blocks, strict=True)}


def unit(block):
    """One unit's properties with its process."""
    properties = dict(line.partition("=")[::2] for line in block.strip().splitlines())
    pid = int(properties.get("MainPID") or 0)
    return {
        "properties": properties,
        "process": known(reading.process, pid) if pid else {"ok": None},
    }


def files(query):
    """Each wanted path's state; patterns (with * or ?) stand for what they match."""
    found = {}
    for pattern in query.get("files", []):
        matches = sorted(glob.glob(pattern)) if set(pattern) & set("*?") else [pattern]
        for path in matches:
            found[path] = known(file, path, query)
    return found


def file(path, query):
    """What stands at `path`: kind, mode, owner, size, and its hash, text or target."""
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
    """The file's text, None when it is not text."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except UnicodeDecodeError:
        return None


def users(names):
    """Each user's number, home and shell, None where there is no such user."""
    found: dict[str, object] = {}
    for name in names:
        try:
            entry = pwd.getpwnam(name)
            found[name] = {"uid": entry.pw_uid, "home": entry.pw_dir, "shell": entry.pw_shell}
        except KeyError:
            found[name] = None
    return found


def answers(urls):
    """The status and the first part of the body that each local URL answers."""
    return {url: known(get, url) for url in urls}


def get(url):
    """One GET, status 0 where nothing listens."""
    try:
        status, body = local_http.exchange(url, 10, limit=TEXT_LIMIT_BYTES)
    except ConnectionRefusedError as error:
        return {"status": 0, "body": str(error)}
    return {"status": status, "body": body.decode("utf-8", "replace")}


def commands(lines):
    """What each read-only command line prints and how it ends, None where there is no such program."""
    return {line: known(command, line) for line in lines}


def command(line):
    """One command without a shell, in the C locale, with the folders of root in its path."""
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
    """Free bytes of the file system that holds each path, or its nearest folder that exists."""
    found = {}
    for path in paths:
        place = path
        while not os.path.exists(place):
            place = os.path.dirname(place)
        status = os.statvfs(place)
        found[path] = status.f_bavail * status.f_frsize
    return found


def main(query):
    """Print what was seen; `query` says which files, units, packages, users and URLs to look at.

    Before each part a line says what it is, so that who waits can tell a slow node from one that hangs.
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
    seen = {"taken_at_s": int(time.time())}
    for name, (look, *arguments) in parts.items():
        print(f"looking at {name}", flush=True)
        seen[name] = known(look, *arguments)
    print(json.dumps(seen))
    return 0
