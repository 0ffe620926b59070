"""log2ram: /var/log in memory, written back daily and at shutdown, where logs would wear a card."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from bramble.plan import FactsNeeded, File
from bramble.render import render
from bramble.roles.storage import log_rotation
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step, Upload, install_packages, remove_files, systemd, write_files
from bramble.system import parse

LOGS = "/var/log"
UNIT = "log2ram.service"
CONF = "/etc/log2ram.conf"
STOP = "/etc/systemd/system/log2ram.service.d/bramble.conf"
DAILY = "/etc/systemd/system/log2ram-daily.service.d/bramble.conf"
SOURCE = "/etc/apt/sources.list.d/bramble-log2ram.sources"
PIN = "/etc/apt/preferences.d/bramble-log2ram"
KEYRINGS = "/etc/apt/keyrings/bramble-log2ram-*.gpg"
# rsync: without it log2ram copies with cp, which never removes what was rotated away.
PACKAGES = ("log2ram", "rsync")
# apt's own view takes seconds on a slow board, so it is asked only where the repository is.
POLICY = f"sh -c 'test ! -e {SOURCE} || exec apt-cache policy'"


@dataclass(frozen=True, kw_only=True)
class Repository:
    """The repository, with the key that must have signed it."""

    url: str
    suite: str
    component: str
    fingerprint: str
    key_url: str
    upload: Upload | None

    @property
    def keyring(self) -> str:
        """The key's path: another key has another file."""
        return KEYRINGS.replace("*", self.fingerprint)

    @property
    def site(self) -> str:
        """What apt pins by: the URL's host, empty for files."""
        return urlsplit(self.url).hostname or ""

    @property
    def files(self) -> tuple[File, ...]:
        """The pin, which must be there first, and the source."""
        source = {
            "url": self.url,
            "suite": self.suite,
            "component": self.component,
            "keyring": self.keyring,
        }
        return (
            File(path=PIN, text=render("storage/log2ram.pref.j2", site=self.site)),
            File(path=SOURCE, text=render("storage/log2ram.sources.j2", **source)),
        )


@dataclass(frozen=True, kw_only=True)
class Desired:
    """When log2ram is wanted, how large it may be, what it holds, and where it comes from.

    `journal_mib` is what a persistent journal may take of it. No repository: Debian has it.
    """

    when: str
    size_mib: int
    folders: tuple[str, ...]
    journal_mib: int
    repository: Repository | None

    @property
    def targets(self) -> tuple[str, ...]:
        """The folders to be in memory; one below /var/log is there already."""
        others = (folder for folder in self.folders if not folder.startswith(f"{LOGS}/"))
        return tuple(dict.fromkeys((LOGS, *others)))

    @property
    def files(self) -> tuple[File, ...]:
        """log2ram's own configuration, and how its copies go with the journal."""
        conf = render("storage/log2ram.conf.j2", size_mib=self.size_mib, folders=self.targets)
        return (
            File(path=CONF, text=conf),
            File(path=STOP, text=render("storage/log2ram-stop.conf.j2")),
            File(path=DAILY, text=render("storage/log2ram-daily.conf.j2")),
        )


@dataclass(frozen=True)
class Verdict:
    """Whether this node is to have log2ram, and why or why not."""

    wanted: bool
    why: str


def facts_needed(folders: tuple[str, ...]) -> FactsNeeded:
    """Ask for log2ram's files, packages and unit, other loggers, and free memory."""
    return FactsNeeded(
        files=(CONF, STOP, DAILY, SOURCE, PIN, KEYRINGS, *log_rotation.FILES, *folders),
        packages=(*PACKAGES, "rsyslog"),
        units=(UNIT,),
        free=(LOGS,),
        commands=(POLICY,),
    )


def verdict(desired: Desired, snapshot: Snapshot) -> Verdict | Unknown:
    """Decide by the setting, and for `auto` by whether logs would be written to a card."""
    if isinstance(snapshot.packages, Unknown):
        return snapshot.packages
    if desired.when != "auto":
        return Verdict(desired.when == "on", f"storage.log2ram is {desired.when}")
    writers = {
        "the journal is persistent": LOGS if desired.journal_mib else None,
        "rsyslog is installed": LOGS if snapshot.packages.get("rsyslog") else None,
    } | {f"an application logs to {folder}": folder for folder in desired.folders}
    found = {why: path for why, path in writers.items() if path}
    if not found:
        return Verdict(
            False,
            "no log would wear the card: the journal is volatile, there is no rsyslog, and "
            "storage.log_folders names no folder",
        )
    cards = {path: card_of(path, snapshot) for path in found.values()}
    for card in cards.values():
        if isinstance(card, Unknown):
            return card
    worn = [f"{why} ({cards[path]})" for why, path in found.items() if cards[path]]
    if worn:
        return Verdict(True, "; ".join(worn))
    return Verdict(False, f"{'; '.join(found)}, but no SD card holds that")


def card_of(path: str, snapshot: Snapshot) -> str | Unknown | None:
    """Return the SD card (or eMMC) that a path is on; None when it is on none."""
    if isinstance(snapshot.mounts, Unknown):
        return snapshot.mounts
    if isinstance(snapshot.disks, Unknown):
        return snapshot.disks
    below = [m for m in snapshot.mounts if _holds(m.target, path) and m.source != "log2ram"]
    if not below:
        return Unknown(f"no mount holds {path}")
    # The longest target counts, and of the same ones the last.
    mount = max(reversed(below), key=lambda found: len(found.target))
    if not mount.source.startswith("/dev/"):
        return None
    for disk in snapshot.disks:
        if disk.path.startswith("/dev/mmcblk") and _has(disk, mount):
            return disk.path
    return None


def _holds(target: str, path: str) -> bool:
    return target == "/" or path == target or path.startswith(f"{target}/")


def _has(disk: parse.Disk, mount: parse.Mount) -> bool:
    """Tell whether a disk or one of its parts is what is mounted, perhaps as /dev/root."""
    own = disk.path == mount.source or mount.target in disk.mountpoints
    return own or any(_has(part, mount) for part in disk.parts)


def mounted(target: str, snapshot: Snapshot) -> parse.Mount | Unknown | None:
    """Return what is mounted on a folder, the last mount."""
    if isinstance(snapshot.mounts, Unknown):
        return snapshot.mounts
    found = [mount for mount in snapshot.mounts if mount.target == target]
    return found[-1] if found else None


def size_mib(mount: parse.Mount) -> int | None:
    """Return the size of log2ram's tmpfs; None for another file system."""
    if (mount.fstype, mount.source) != ("tmpfs", "log2ram"):
        return None
    sizes = (re.fullmatch(r"size=(\d+)k", option) for option in mount.options)
    return next((int(found[1]) >> 10 for found in sizes if found), None)


def not_held(desired: Desired, snapshot: Snapshot) -> str | Unknown | None:
    """Return what log2ram does not hold in memory as planned; None when it holds all."""
    for target in desired.targets:
        seen = mounted(target, snapshot)
        if isinstance(seen, Unknown):
            return seen
        there = target == LOGS or isinstance(snapshot.file(target), FileState)
        size = size_mib(seen) if seen else None
        if there and size is None:
            return f"{target} is not in log2ram's memory"
        if there and size != desired.size_mib:
            return f"{target} has {size} MiB of memory, not {desired.size_mib}"
    return None


def not_ready(snapshot: Snapshot) -> str | Unknown | None:
    """Return why log2ram would not do the same after the next boot; None when it would."""
    packages, unit = snapshot.packages, snapshot.unit(UNIT)
    if isinstance(packages, Unknown):
        return packages
    if isinstance(unit, Unknown):
        return unit
    missing = [name for name in PACKAGES if not packages.get(name)]
    if missing:
        return f"{' and '.join(missing)} is not installed"
    if unit.enabled != "enabled":
        return f"{UNIT} is {unit.enabled or 'not there'}"
    return "systemd has an older log2ram in memory" if unit.needs_reload else None


def pinned(repository: Repository, snapshot: Snapshot) -> str | Unknown | None:
    """Return how apt's sources violate the pin; None when it is in force.

    `apt-cache policy` gives each source with the priority of its packages at large, and below
    "Pinned packages:" those that have another one.
    """
    said = snapshot.command(POLICY)
    if said is None or isinstance(said, Unknown) or said.code:
        why = said.why if isinstance(said, Unknown) else said.output.strip() if said else None
        return Unknown(why or "there is no apt-cache")
    sources, _, exceptions = said.output.partition("Pinned packages:")
    rows = [line.split() for line in sources.splitlines() if line[:1] == " "]
    ours = [row for row in rows if len(row) > 2 and row[1].rstrip("/") == repository.url]
    if not ours:
        return f"apt does not know {repository.url}"
    open_to_all = [row[0] for row in ours if int(row[0]) >= 0]
    if open_to_all:
        return f"apt takes any package from {repository.url}, with priority {open_to_all[0]}"
    if not re.search(r"^[ \t]+log2ram -> \S+ with priority \d+$", exceptions, re.MULTILINE):
        return f"apt takes nothing from {repository.url}"
    return None


def waits_for_reboot(desired: Desired, snapshot: Snapshot) -> tuple[str, ...]:
    """Name log2ram where it needs a boot; one that failed in this boot would fail in the next too."""
    found, unit = verdict(desired, snapshot), snapshot.unit(UNIT)
    failed = not isinstance(unit, Unknown) and unit.active == "failed"
    if isinstance(found, Unknown) or not found.wanted or failed:
        return ()
    why = not_held(desired, snapshot)
    return (why,) if isinstance(why, str) else ()


def steps(desired: Desired, snapshot: Snapshot) -> tuple[Step, ...]:
    """Install log2ram where it is wanted, remove ours where it is not; nothing where that is unknown."""
    found = verdict(desired, snapshot)
    if isinstance(found, Unknown):
        return (*_bring(None, snapshot, found.why), *_take_back(None, snapshot))
    if found.wanted:
        return (*_bring(desired, snapshot, None), *_take_back(None, snapshot))
    return (*_bring(None, snapshot, found.why), *_take_back(found.why, snapshot))


def revert(snapshot: Snapshot) -> tuple[Step, ...]:
    """Write the logs back, then remove the package and all that is ours."""
    return _take_back("it is taken back", snapshot)


def _bring(desired: Desired | None, snapshot: Snapshot, why_not: str | None) -> Iterator[Step]:
    installed = None if desired is None else install_packages("", PACKAGES, snapshot).why
    yield _repository(desired.repository if desired else None, snapshot)
    conf = write_files("Write log2ram's configuration", desired.files if desired else (), snapshot)
    yield _room(desired, installed or conf.why)
    yield conf
    installing = install_packages("Install log2ram", PACKAGES if desired else (), snapshot)
    yield replace(installing, note=why_not)
    of_debian = desired is not None and desired.repository is None
    yield from log_rotation.steps(snapshot, of_debian=of_debian)
    unit = snapshot.unit(UNIT)
    stale = not isinstance(unit, Unknown) and unit.needs_reload and "its files were written again"
    why = conf.why or (stale if desired else None) or None
    yield systemd("Have systemd read log2ram's files", why, reload=True)


def _repository(repository: Repository | None, snapshot: Snapshot) -> Step:
    name = "Add log2ram's repository"
    if repository is None:
        return Step(name, None)
    lacking = write_files(name, repository.files, snapshot).why
    if not lacking and isinstance(snapshot.file(repository.keyring), FileState):
        return Step(name, None)
    query = {
        "keyring": repository.keyring,
        "fingerprint": repository.fingerprint,
        "key_url": repository.key_url,
        "key_file": repository.upload.remote if repository.upload else None,
        "site": repository.site,
        "url": repository.url,
        "pin": {"path": PIN, "text": repository.files[0].text},
        "source": {"path": SOURCE, "text": repository.files[1].text},
    }
    uploads = (repository.upload,) if repository.upload else ()
    why = lacking or f"{repository.keyring} is not there"
    return Step(name, why, "apt_source", query, detached=True, timeout_s=3600, uploads=uploads)


def _room(desired: Desired | None, why: str | None) -> Step:
    """Let the program check that the logs fit, before anything is installed or changed."""
    name = "See that the logs fit into log2ram's memory"
    if desired is None or why is None:
        return Step(name, None)
    query = {
        "folders": list(desired.targets),
        "size_mib": desired.size_mib,
        "journal_mib": desired.journal_mib,
    }
    return Step(name, why, "log_room", query)


def our_files(snapshot: Snapshot) -> tuple[str, ...]:
    """Return our files that are on the node, the source before its key and its pin."""
    if isinstance(snapshot.files, Unknown):
        return ()
    keyrings = (path for path in snapshot.files if fnmatchcase(path, KEYRINGS))
    conf = snapshot.file(CONF)
    written = isinstance(conf, FileState) and "bramble owns this file" in (conf.text or "")
    paths = (SOURCE, PIN, *keyrings, log_rotation.RULE, STOP, DAILY, *((CONF,) if written else ()))
    return tuple(path for path in paths if isinstance(snapshot.file(path), FileState))


def _take_back(why: str | None, snapshot: Snapshot) -> tuple[Step, Step, Step]:
    """Remove log2ram only where a file of ours shows that bramble installed it."""
    ours = our_files(snapshot) if why else ()
    installed = not isinstance(snapshot.packages, Unknown) and snapshot.packages.get("log2ram")
    name, query = "Write log2ram's logs back and remove it", {"folders": _held(snapshot)}
    return (
        Step(name, why, "remove_log2ram", query, detached=True, timeout_s=3600)
        if ours and (installed or query["folders"])
        else Step(name, None),
        remove_files("Remove log2ram's files", ours, snapshot),
        systemd(
            "Have systemd forget log2ram",
            why if {STOP, DAILY} & set(ours) else None,
            reload=True,
        ),
    )


def _held(snapshot: Snapshot) -> list[str]:
    """Return the folders that log2ram has in memory now."""
    mounts = () if isinstance(snapshot.mounts, Unknown) else snapshot.mounts
    return list(dict.fromkeys(mount.target for mount in mounts if mount.source == "log2ram"))
