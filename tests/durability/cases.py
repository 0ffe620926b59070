"""Programs of bramble/remote that give files their names, with what may be found after a power cut."""

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bramble import remote
from bramble.remote import try_ssh

Tree = dict[str, bytes]
FAT, EXT4, SSD = "/run/fat", "/run/ext4", "ssd"
SSD_BYTES = 16 << 20
LINK = b"-> "


@dataclass(frozen=True)
class Case:
    """A program run once: what lies there before and after, by paths below the case's folder.

    `whole` are paths that must all be old or all be new. `ends_with` is for what other programs
    write: only once ours has returned it must be there.
    """

    name: str
    disk: str
    text: str
    before: Tree
    after: dict[str, bytes | None]
    code: int = 0
    whole: tuple[str, ...] = ()
    ends_with: bool = False
    folder: str = ""
    also: Callable[[Tree, bool], str | None] = field(default=lambda tree, ended: None)

    def problem(self, tree: Tree, ended: bool) -> str | None:
        """What is wrong with what was found, None when all of it is as it may be."""
        new = {path for path, content in self.after.items() if tree.get(path) == content}
        old = {path for path in self.after if tree.get(path) == self.before.get(path)}
        for path in self.after:
            if ended and path not in new:
                return f"{path} is not the new one though the program has ended"
            if path not in new | old and not self.ends_with:
                return f"{path} is neither the old nor the new one, but {tree.get(path)!r:.80}"
        if {*self.whole} - new and {*self.whole} - old:
            return f"{', '.join(self.whole)} are partly old and partly new"
        return self.also(tree, ended)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def program(name: str, query: dict[str, Any]) -> str:
    return remote.program(name, query)


def boot_file(name: str, old: bytes, new: bytes) -> Case:
    """An edit of a file of the boot partition, which has a hole before the files in its folder."""
    query = {
        "path": f"{FAT}/{name}",
        "was_sha256": sha256(old),
        "text": new.decode(),
        "stamp": None,
    }

    text = program("edit_boot", query)
    return Case(name, FAT, text, {name: old}, {name: new}, also=kept(name, old))


def kept(name: str, old: bytes) -> Callable[[Tree, bool], str | None]:
    """What is wrong where neither a file nor its .bak is the old one."""

    def lost(tree: Tree, ended: bool) -> str | None:
        is_kept = old in (tree.get(name), tree.get(f"{name}.bak"))
        return None if is_kept else "it was replaced before .bak was whole"

    return lost


def files() -> Case:
    entry = {"mode": 0o640, "owner": "root", "group": "root"}
    there, new = f"{EXT4}/write_files/etc/a.conf", f"{EXT4}/write_files/new/folder/b.conf"
    query = {"files": [entry | {"path": path, "text": "new\n"} for path in (there, new)]}
    after: dict[str, bytes | None] = {"etc/a.conf": b"new\n", "new/folder/b.conf": b"new\n"}
    text = program("write_files", query)
    return Case("write_files", EXT4, text, {"etc/a.conf": b"old\n" * 2000}, after)


def fstab() -> Case:
    old = b"proc /proc proc defaults 0 0\n"
    new = old + b"tmpfs /tmp tmpfs defaults 0 0\n"
    path = f"{EXT4}/edit_fstab/fstab"
    query = {"path": path, "was_sha256": sha256(old), "text": new.decode()}
    text = program("edit_fstab", query | {"folder": None, "uuid": None})
    after: dict[str, bytes | None] = {"fstab": new, "fstab.bak": old}
    return Case("edit_fstab", EXT4, text, {"fstab": old}, after, also=kept("fstab", old))


def hostname() -> Case:
    old, new = b"127.0.0.1 localhost\n", b"127.0.0.1 localhost\n127.0.1.1 pi5-a\n"
    query = {"path": f"{EXT4}/set_hostname/hosts", "was_sha256": sha256(old), "name": "pi5-a"}
    text = program("set_hostname", query | {"hosts": new.decode()})
    return Case("set_hostname", EXT4, text, {"hosts": old}, {"hosts": new})


def authorized_key() -> Case:
    old = b"ssh-ed25519 AAAAold me"
    new = old + b"\nssh-ed25519 AAAAnew bramble\n"
    query = {"path": f"{EXT4}/authorize_key/.ssh/keys", "key": "ssh-ed25519 AAAAnew bramble"}
    text = program("authorize_key", query)
    return Case("authorize_key", EXT4, text, {".ssh/keys": old}, {".ssh/keys": new})


def told() -> Case:
    """What people were told of last: without it they would be told again, or never."""
    root = f"{EXT4}/push"
    checks = [{"check": "toy", "ok": False, "said": "it differs"}]
    status = {"host": "pi5-a", "at_s": 4e9, "interval_s": 60, "checks": checks}
    before = {
        "plan": b'{"channels": []}',
        "status": json.dumps(status).encode(),
        "state.json": b'{"seen": [], "told": {}}',
    }
    folders = {"STATE_DIRECTORY": root, "CREDENTIALS_DIRECTORY": root}
    text = program("push", {"plan": f"{root}/plan", "status": f"{root}/status"})
    text = f"import os\n\nos.environ.update({folders!r})\n{text}"
    return Case("push", EXT4, text, before, {"state.json": b'{"seen": ["toy"], "told": {}}'})


def dropped_swap() -> Case:
    swap = bytes(4086) + b"SWAPSPACE2" + bytes(4096)
    root = f"{EXT4}/drop_swap"
    query = {"units": ["x.swap"], "files": [f"{root}/swap"], "notes": [f"{root}/notes/x"]}
    said = b"stopped and disabled by bramble's role memory\n"

    def noted(tree: Tree, ended: bool) -> str | None:
        return None if "swap" in tree or "notes/x" in tree else "the swap file went before its note"

    after: dict[str, bytes | None] = {"swap": None, "notes/x": said}
    return Case("drop_swap", EXT4, program("drop_swap", query), {"swap": swap}, after, also=noted)


def removed() -> Case:
    text = program("remove_files", {"paths": [f"{EXT4}/remove_files/ours"]})
    return Case("remove_files", EXT4, text, {"ours": b"x\n", "stays": b"y\n"}, {"ours": None})


def repository() -> Case:
    body = b"\4" + bytes(4) + b"\1" + b"key" * 40
    key = bytes([0xC0 | 6, len(body)]) + body
    whole = b"\x99" + len(body).to_bytes(2, "big") + body
    root = f"{EXT4}/apt_source"
    query = {
        "url": "http://deb.example.org",
        "site": "deb.example.org",
        "key_url": None,
        "key_file": f"{root}/sent.asc",
        "fingerprint": hashlib.sha1(whole).hexdigest().upper(),
        "keyring": f"{root}/keyrings/x.gpg",
        "pin": {"path": f"{root}/preferences.d/x", "text": "Package: *\n"},
        "source": {"path": f"{root}/sources.list.d/x.list", "text": "deb http://x ./\n"},
    }
    after: dict[str, bytes | None] = {
        "sent.asc": None,
        "keyrings/x.gpg": key,
        "preferences.d/x": b"Package: *\n",
        "sources.list.d/x.list": b"deb http://x ./\n",
    }

    def pinned(tree: Tree, ended: bool) -> str | None:
        known = "preferences.d/x" in tree and "keyrings/x.gpg" in tree
        return None if known or "sources.list.d/x.list" not in tree else "a source without its pin"

    text = program("apt_source", query)
    return Case("apt_source", EXT4, text, {"sent.asc": key}, after, also=pinned)


def switched() -> Case:
    bench = b"""#!/bin/sh\necho '[{"avg_ts": 1}, {"avg_ts": 1}]'\n"""
    before = {
        "current": LINK + b"releases/one",
        "releases/one/manifest.json": b"{}",
        "releases/two/bin/llama-bench": bench,
        "releases/two/bin/llama-server": b"#!/bin/sh\n",
    }
    reported = {"system_info": None, "kleidiai": {}, "buffers": []}
    smoke = json.dumps(reported, indent=2, sort_keys=True).encode()
    query = {"path": f"{EXT4}/switch_engine/current", "target": "releases/two", "wants": {}}
    after: dict[str, bytes | None] = {
        "current": LINK + b"releases/two",
        "releases/two/smoke.json": smoke,
    }
    return Case("switch_engine", EXT4, program("switch_engine", query), before, after)


def swap_file() -> Case:
    """The file is there whole or not at all; what has systemd use it is not here, so the code is 1."""
    size = 1 << 20
    path = f"{EXT4}/swap_file/made/swapfile"
    query = {"path": path, "mount": EXT4, "size_bytes": size, "unit": "x.swap", "priority": 10}

    def made(tree: Tree, ended: bool) -> str | None:
        found = tree.get("made/swapfile")
        if found is None:
            return "there is no swap file though the program has ended" if ended else None
        whole = len(found) == size and found[4086:4096] == b"SWAPSPACE2"
        return None if whole else "the swap file has its name and is no swap file"

    text = program("swap_file", query | {"required": True})
    return Case("swap_file", EXT4, text, {"here": b""}, {}, code=1, also=made)


def release(name: str, before: Tree) -> Case:
    """A release that was sent, where none is or a damaged one."""
    server = b"#!/bin/sh\n" + random.Random(1).randbytes(50_000)
    manifest = json.dumps({"release": "abc", "binaries": {"llama-server": sha256(server)}}).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, content in (("bin/llama-server", server), ("manifest.json", manifest)):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    sent, root = packed.getvalue(), f"{EXT4}/{name}"
    query = {
        "home": root,
        "release": f"{root}/releases/abc",
        "sources": [],
        "upload": f"{root}/sent",
        "sha256": sha256(sent),
        "archive_size": len(sent),
        "size": len(server),
    }
    paths = ("releases/abc/bin/llama-server", "releases/abc/manifest.json")
    after: dict[str, bytes | None] = dict(zip(paths, (server, manifest), strict=True))
    text = program("install_release", query)
    return Case(name, EXT4, text, {"sent": sent, **before}, after, whole=paths)


def model() -> Case:
    content, root = b"GGUF" + random.Random(1).randbytes(300_000), f"{EXT4}/fetch_model"
    query = {
        "path": f"{root}/models/toy.gguf",
        "sha256": sha256(content),
        "size_bytes": len(content),
        "sources": [],
        "upload": f"{root}/sent",
    }

    def stamped(tree: Tree, ended: bool) -> str | None:
        stamp = tree.get("models/toy.gguf.json")
        if stamp is None:
            return None
        true = json.loads(stamp or b"{}").get("sha256") == sha256(tree.get("models/toy.gguf", b""))
        return None if true else "the stamp reports another file"

    after: dict[str, bytes | None] = {"models/toy.gguf": content}
    text = program("fetch_model", query)
    return Case("fetch_model", EXT4, text, {"sent": content}, after, also=stamped)


def formatted() -> Case:
    """A blank SSD, known by its name: what was cut off in the middle must never pass for whole."""
    query = {
        "name": "toy-2",
        "size_bytes": SSD_BYTES,
        "uuid": "6a1b1c5e-3f2d-4c57-9d0a-2f7f5b8d9c01",
        "label": "bramble-ssd",
        "staged": "bramble-staged",
        "erase": None,
        "note": f"{EXT4}/format_disk/notes/formatting-toy-2",
        "folder": f"{EXT4}/format_disk/mnt/ssd",
    }

    return ssd("format_disk", program("format_disk", query))


def ssd(name: str, text: str) -> Case:
    """What makes a file system on the SSD."""

    def whole(tree: Tree, ended: bool) -> str | None:
        if tree["label"] == b"bramble-ssd" and tree["fsck"] != b"0":
            return "it is neither the old nor the new one: it has its last label and is not whole"
        return None

    return Case(name, SSD, text, {}, {"label": b"bramble-ssd"}, ends_with=True, also=whole)


def here(
    name: str,
    lines: str,
    before: Tree,
    also: Callable[[Tree, bool], str | None],
    after: dict[str, bytes | None] | None = None,
) -> Case:
    """Code of this computer's own, run on its packages."""
    return Case(name, EXT4, of_ours(lines), before, after or {}, also=also)


def of_ours(lines: str) -> str:
    """Lines of Python that find bramble's packages, and the YAML that they read with."""
    ours, yamls = Path(__file__).parents[2], Path(yaml.__file__).parents[1]
    return f"import sys\nsys.path[:0] = [{str(ours)!r}]\nsys.path.append({str(yamls)!r})\n{lines}"


def flash_config() -> Case:
    """The first-boot files of a card, beside those that came with its image."""
    stock = {name: b"# Comes with the image.\n" for name in ("meta-data", "network-config")}
    stock["user-data"] = b"#cloud-config\n" + b"# A comment, as the image has many.\n" * 40
    new = {name: text + b"hostname: pi5-a\n" * 50 for name, text in stock.items()}
    lines = f"""
from pathlib import Path
from bramble.firstboot import volume, writing
files = { ({name: text.decode() for name, text in new.items()})!r}
card = volume.Volume(Path("{FAT}"), "cloud-init", "2026-04-13", "root=/dev/mmcblk0p2")
try:
    writing.write(card, files, writing.changed(card, files))
except volume.VolumeError as error:
    sys.exit(str(error))
"""
    return Case("flash_config", FAT, of_ours(lines), stock, {**new})


def stored() -> Case:
    server = b"#!/bin/sh\n"
    about = {"release": "abc", "built_at": "", "binaries": {"llama-server": sha256(server)}}
    before = {
        "made/bin/llama-server": server,
        "made/manifest.json": json.dumps(about).encode(),
        "store/here": b"",
    }
    lines = f"""
import os, pathlib
os.environ["BRAMBLE_STORE"] = "{EXT4}/store/store"
from bramble.llama import store
store.add(pathlib.Path("{EXT4}/store/made"))
"""

    def listed(tree: Tree, ended: bool) -> str | None:
        if "store/abc.json" not in tree:
            return "the store does not list it" if ended else None
        digest = json.loads(tree["store/abc.json"] or b"{}").get("sha256")
        found = sha256(tree.get(f"store/{digest}.tar.gz", b""))
        return None if found == digest else "the store lists an archive that is not whole"

    return here("store", lines, before, listed)


def trial(name: str, folder: str, text: str, new: Tree, on: bool) -> Case:
    """A change of sshd on trial: there are the old files, or a whole trial, or what was confirmed.

    `folder` is where the cases of one trial continue from each other. At its end the trial is `on` or
    not.
    """

    def locked_out(tree: Tree, ended: bool) -> str | None:
        if ended and ("lib/ssh-undo/undo.sh" in tree) != on:
            return f"the trial is {'not ' if on else ''}on"
        if ended and on and tree.get("keys") != TRIED["keys"]:
            return "nothing is on trial"
        return untried(tree, new)

    return Case(name, EXT4, text, SSHD, {}, folder=folder, also=locked_out)


def untried(tree: Tree, confirmed: Tree) -> str | None:
    """What would lock people out: changed files that nothing takes back at the next boot."""
    for wanted in (SSHD, confirmed):
        if all(tree.get(path) == wanted.get(path) for path in ("drop-in", "keys")):
            return None
    unit = tree.get(f"units/{try_ssh.UNIT}")
    link = tree.get(f"units/multi-user.target.wants/{try_ssh.UNIT}")
    if unit != try_ssh.UNIT_TEXT.encode() or link is None:
        return "there is no unit that takes it back"
    if not tree.get("lib/ssh-undo/undo.sh", b"").endswith(f"{try_ssh.WANTED}\n".encode()):
        return "there is no whole script that takes it back"
    if tree.get("lib/ssh-undo/0") != SSHD["drop-in"]:
        return "the old file was not kept"
    return None


def trials() -> tuple[Case, ...]:
    """One that is confirmed, and one that its script takes back."""
    made = []
    for folder, last in (
        ("confirmed", program("try_ssh", {"confirm": True})),
        (
            "taken_back",
            f"import subprocess; subprocess.run(['sh', '{try_ssh.SCRIPT}'], check=True)",
        ),
    ):
        root = f"{EXT4}/{folder}"
        entries = [
            {
                "path": f"{root}/{path}",
                "was_sha256": was,
                "text": text,
                "mode": 0o600,
                "owner": "root",
            }
            for path, was, text in (
                ("drop-in", sha256(SSHD["drop-in"]), TRIED["drop-in"].decode()),
                ("keys", None, TRIED["keys"].decode()),
            )
        ]
        query = {"confirm": False, "files": entries, "keys": None, "undo_after_s": 60}
        bind = (
            "import os, subprocess\n"
            f"os.makedirs('{root}/lib', exist_ok=True)\n"
            f"os.makedirs('{root}/units', exist_ok=True)\n"
            f"subprocess.run(['mount', '--bind', '{root}/lib', '/var/lib/bramble'], check=True)\n"
            f"subprocess.run(['mount', '--bind', '{root}/units', '/etc/systemd/system'], check=True)\n"
        )
        new = TRIED if folder == "confirmed" else {}
        made += [
            Case(f"{folder}_bound", EXT4, bind, SSHD, {}, folder=folder),
            trial(f"{folder}_begun", folder, program("try_ssh", query), {}, on=True),
            trial(f"{folder}_ended", folder, last, new, on=False),
        ]
    return tuple(made)


def eeprom(name: str, disk: str, before: Tree, after: dict[str, bytes | None]) -> Case:
    query = {
        "defaults": f"{EXT4}/{name}/defaults",
        "channel": "latest",
        "staged": f"{FAT}/pieeprom.upd",
        "stamp": f"/run/{name}/stamp",
    }
    text = program("stage_eeprom", query)
    return Case(name, disk, text, before, after, ends_with=disk == FAT)


IMAGE, RECOVERY = b"eeprom" * 4_000, b"recovery" * 800
SILENT = (
    *("systemctl", "systemd-run", "journalctl", "hostnamectl", "udevadm"),
    *("apt-get", "sshd"),
)
TOOLS = {
    **dict.fromkeys(SILENT, "#!/bin/sh\n"),
    "vcgencmd": "#!/bin/sh\necho throttled=0x0\n",
    # As the real one does at the end of its work: it copies, and syncs nothing.
    "rpi-eeprom-update": f"""#!/usr/bin/python3
for name, content in (("pieeprom.sig", b"sum"), ("pieeprom.upd", b"eeprom" * 4000),
                      ("recovery.bin", b"recovery" * 800)):
    with open("{FAT}/" + name, "wb") as file:
        file.write(content)
""",
}
SSHD = {"drop-in": b"PasswordAuthentication yes\n"}
TRIED = {"drop-in": b"PasswordAuthentication no\n", "keys": b"ssh-ed25519 AAAA me\n"}
LINE = b"console=tty1 root=PARTUUID=1234-02 rootfstype=ext4 fsck.repair=yes rootwait"
CONFIG = b"".join(
    b"# line %d of a file of more than one cluster\n" % number for number in range(60)
)
CASES = (
    boot_file("cmdline.txt", LINE + b"\n", LINE + b" cgroup_enable=memory\n"),
    boot_file("config.txt", CONFIG, CONFIG + b"[all]\ndtparam=watchdog=on\n"),
    eeprom("eeprom_staged", FAT, {}, {"pieeprom.upd": IMAGE, "recovery.bin": RECOVERY}),
    eeprom(
        "eeprom_defaults",
        EXT4,
        {"defaults": b'FIRMWARE_RELEASE_STATUS="default"\nX=1\n'},
        {"defaults": b'FIRMWARE_RELEASE_STATUS="latest"\nX=1\n'},
    ),
    flash_config(),
    files(),
    fstab(),
    hostname(),
    authorized_key(),
    told(),
    dropped_swap(),
    removed(),
    repository(),
    switched(),
    swap_file(),
    release("new_release", {}),
    release("damaged_release", {"releases/abc/manifest.json": b"{}"}),
    model(),
    stored(),
    *trials(),
    formatted(),
)

# What a program without our care does: the test must find it.
WITHOUT_CARE = """
import os
path = {path!r}
with open(path + ".new", "wb") as file:
    file.write(b"new" * 400)
    file.flush()
    {sync}
os.replace(path + ".new", path)
for last in {last}:
    os.fsync(os.open(last, os.O_RDONLY))
"""


def careless(name: str, disk: str, folder: str, old: bytes | None, sync: bool, first: bool) -> Case:
    """A rename that was thought to be enough; `first` syncs the renamed file before its folder."""
    path = f"{disk}{folder}/{name}.txt"
    before = {f"{name}.txt": old} if old else {"here": b""}
    last = ([path] if first else []) + [f"{disk}{folder}"]
    text = WITHOUT_CARE.format(
        path=path, sync="os.fsync(file.fileno())" if sync else "pass", last=last
    )
    return Case(name, disk, text, before, {f"{name}.txt": b"new" * 400})


# In place, without the page cache, and without a flush between the two.
UNFLUSHED = """
import mmap, os
for name in ("text", "flag"):
    page = mmap.mmap(-1, 4096)
    page[:] = name.encode() * 1024
    os.pwritev(os.open("{folder}/" + name, os.O_WRONLY | os.O_DIRECT), [page], 0)
"""


def unflushed() -> Case:
    """A file, and another that says that the first is new: found only where writes change places."""

    def told(tree: Tree, ended: bool) -> str | None:
        false = tree["flag"] == b"flag" * 1024 and tree["text"] != b"text" * 1024
        return (
            "the text is neither the old nor the new one that its flag tells of" if false else None
        )

    before = {"text": b"-" * 4096, "flag": b"-" * 4096}
    text = UNFLUSHED.format(folder=f"{EXT4}/unflushed")
    return Case("unflushed", EXT4, text, before, {}, also=told)


OLD = b"old" * 400
ONE_LABEL = """
import subprocess
subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "bramble-ssd", "/dev/ubdc"], check=True)
"""
PLANTED = (
    careless("folder_alone", FAT, "", OLD, sync=True, first=False),
    # What it was given by one fsync a disk may do in any order: also give up the old space first.
    careless("file_and_folder", FAT, "", OLD, sync=True, first=True),
    careless("new_name", EXT4, "/new_name", None, sync=False, first=False),
    ssd("one_label", ONE_LABEL),
    unflushed(),
)
