"""The store of releases on this computer: archives named by their content, and a list of releases.

`RELEASE.json` says which archive holds a release: its sha256 and its manifest. Both files appear by a
rename, the archive first, so that what is listed is complete; an archive is read only after its sha256
was compared, here and again on the node.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bramble import durable, strict_json
from bramble.remote.engine_home import MANIFEST
from bramble.sanitize import clean, sentence

VARIABLE = "BRAMBLE_STORE"
MOST_BYTES, MOST_MANIFEST = 1 << 30, 1 << 20
"""The most that a release unpacks to, and that its manifest is long."""
_PLAIN = re.compile(rf"{re.escape(MANIFEST)}|bin/[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class StoreError(Exception):
    """A store that does not hold what it lists; the text says what to do."""


@dataclass(frozen=True)
class StoredRelease:
    """A stored release: its archive, and the manifest that its builder wrote."""

    release: str
    path: Path
    sha256: str
    size: int
    unpacked_size: int
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class Turn:
    """The right to build one release, held by one host of one process at a time."""

    path: Path

    @property
    def builder(self) -> str:
        """The host that was building it when an earlier holder ended; empty where there is none."""
        return builder(self.path.stem)

    def give_to(self, host: str) -> None:
        """Record the host that builds it now: a run after a killed one returns to that host."""
        self.path.write_text(host, encoding="utf-8")

    def end(self) -> None:
        """Record that nobody builds it any more, whether it was finished or not."""
        self.path.unlink()


def folder() -> Path:
    """Return the folder of the store and of its builds: BRAMBLE_STORE, else ~/.cache/bramble/engine."""
    return Path(os.environ.get(VARIABLE) or "~/.cache/bramble/engine").expanduser()


def entries() -> tuple[StoredRelease, ...]:
    """Return all that the store lists, the newest last."""
    found = [_read(path) for path in folder().glob("*.json")]
    return tuple(sorted(found, key=lambda entry: (entry.manifest["built_at"], entry.release)))


def find(release: str) -> StoredRelease | None:
    """Return a release with its archive's sha256 compared; None where the store lists none."""
    path = folder() / f"{release}.json"
    if not path.exists():
        return None
    entry = _read(path)
    found = sha256(entry.path) if entry.path.exists() else "that of no file"
    if found != entry.sha256:
        raise StoreError(
            f"{entry.path} was altered: its sha256 is {found}. Run `bramble engine prune {release}` "
            "and build it again"
        )
    return entry


def add(unpacked: Path) -> StoredRelease:
    """Pack a built release, and list it."""
    manifest = json.loads((unpacked / MANIFEST).read_text(encoding="utf-8"))
    release = manifest["release"]
    draft = folder() / f"{release}.archive.new"
    try:
        with tarfile.open(draft, "w:gz", compresslevel=6) as archive:
            for path in sorted(unpacked.rglob("*")):
                archive.add(path, str(path.relative_to(unpacked)), recursive=False, filter=_plain)
    except OSError:  # such as a full disk
        draft.unlink(missing_ok=True)
        raise
    size = sum(p.stat().st_size for p in unpacked.rglob("*") if p.is_file())
    return _list(draft, manifest, size)


def take(packed: Path, release: str, digest: str) -> StoredRelease:
    """List an archive that a node packed and sent, once it matches its manifest; else remove it."""
    try:
        found = sha256(packed)
        if found != digest:
            raise StoreError(f"what arrived has sha256 {found} and the node packed {digest}")
        manifest, size = _verified(packed, release)
        return _list(packed, manifest, size)
    except (tarfile.TarError, EOFError, zlib.error, *_UNREADABLE) as error:
        raise StoreError(f"the archive of release {release} is damaged: {error}") from error
    finally:
        packed.unlink(missing_ok=True)


def _verified(packed: Path, release: str) -> tuple[dict[str, Any], int]:
    """Return an archive's manifest and unpacked size; raise StoreError for unlisted content.

    Other nodes unpack it as root: it holds plain files in `bin` and the manifest, each once.
    """
    sums: dict[str, str] = {}
    size, manifest = 0, None
    with tarfile.open(packed, "r:gz") as archive:
        for member in archive:
            size += member.size
            if size > MOST_BYTES:
                raise StoreError(f"release {release} unpacks to more than {MOST_BYTES >> 20} MiB")
            if member.isdir() and member.name == "bin":
                continue
            file: Any = archive.extractfile(member) if member.isreg() else None
            if file is None or member.name in sums or not _PLAIN.fullmatch(member.name):
                raise StoreError(f"the archive of release {release} holds {sentence(member.name)}")
            if member.name == MANIFEST:
                manifest = strict_json.loads(file.read(MOST_MANIFEST).decode())
                sums[member.name] = ""
            else:
                sums[member.name] = hashlib.file_digest(file, "sha256").hexdigest()
    if manifest is None or manifest["release"] != release:
        raise StoreError(f"the archive holds another release than {release}")
    reported = {f"bin/{name}": wanted for name, wanted in dict(manifest["binaries"]).items()}
    if odd := sorted(sums.items() ^ (reported | {MANIFEST: ""}).items()):
        raise StoreError(f"{odd[0][0]} of release {release} is not what its manifest lists")
    return manifest, size


def _list(draft: Path, manifest: Mapping[str, Any], unpacked_size: int) -> StoredRelease:
    """Name a packed archive by its content, then list it."""
    release, digest = manifest["release"], sha256(draft)
    durable.rename(draft, folder() / f"{digest}.tar.gz")
    about = {
        "release": release,
        "sha256": digest,
        "unpacked_size": unpacked_size,
        "manifest": manifest,
    }
    durable.replace(folder() / f"{release}.json", json.dumps(about, indent=2))
    return _read(folder() / f"{release}.json")


@contextmanager
def turn(release: str) -> Iterator[Turn | None]:
    """Yield the turn to build a release; None while another host or another process has it.

    The kernel releases the lock when the process ends, however it ends.
    """
    folder().mkdir(parents=True, exist_ok=True)
    path = _building(release)
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # A holder that ended in between removed the file: this lock is on no name.
        there = path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))
        yield Turn(path) if there else None


def builder(release: str) -> str:
    """Return the host that builds a release, or did when its run was killed; empty where none."""
    path = _building(release)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _building(release: str) -> Path:
    return folder() / f"{release}.building"


def remove(release: str) -> None:
    """Remove a release from the list, then its archive unless another release has the same."""
    path = folder() / f"{release}.json"
    archive = _read(path).path
    path.unlink()
    if archive not in {entry.path for entry in entries()}:
        archive.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the sha256 of a file, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Give a member to root: the builder's account has no meaning on a node."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _refuse_odd(about: Mapping[str, Any], release: str) -> None:
    """Raise ValueError for a listing that names another release or archive than a file of the store."""
    if about["release"] != release:
        raise ValueError(f"it lists release {sentence(str(about['release']))}")
    if not re.fullmatch("[0-9a-f]{64}", about["sha256"]):
        raise ValueError(f"{sentence(about['sha256'])} is no sha256")
    if type(about["unpacked_size"]) is not int or not 0 <= about["unpacked_size"] <= MOST_BYTES:
        raise ValueError(f"it unpacks to {sentence(str(about['unpacked_size']))} bytes")


def _read(path: Path) -> StoredRelease:
    try:
        about = strict_json.loads(path.read_text(encoding="utf-8"))
        _refuse_odd(about, path.stem)
        archive = path.with_name(f"{about['sha256']}.tar.gz")
        size = archive.stat().st_size if archive.exists() else 0
        return StoredRelease(
            about["release"],
            archive,
            about["sha256"],
            size,
            about["unpacked_size"],
            {
                **(manifest := clean(about["manifest"])),
                "built_at": str(manifest.get("built_at", "")),
            },
        )
    except _UNREADABLE as error:
        raise StoreError(f"{path} is damaged ({error}); remove it") from error
