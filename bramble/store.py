"""The store of releases on this computer: archives named by their content, and what each is for.

`RELEASE.json` says which archive holds a release: its sha256 and its manifest. Both files appear by a
rename, the archive first, so that what is listed is whole; an archive is read only after its sha256
was compared, here and again on the node.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "BRAMBLE_STORE"


class StoreError(Exception):
    """A store that does not hold what it lists; its text says what to do."""


@dataclass(frozen=True)
class Entry:
    """A stored release: its archive, and the manifest that its builder wrote."""

    release: str
    path: Path
    sha256: str
    size: int
    unpacked_size: int
    manifest: Mapping[str, Any]


def folder() -> Path:
    """Where the store and the builds for it are; BRAMBLE_STORE names another place."""
    return Path(os.environ.get(VARIABLE) or "~/.cache/bramble/engine").expanduser()


def entries() -> tuple[Entry, ...]:
    """All that the store lists, the newest last."""
    found = [_read(path) for path in folder().glob("*.json")]
    return tuple(sorted(found, key=lambda entry: (entry.manifest["built_at"], entry.release)))


def find(release: str) -> Entry | None:
    """A release's archive with its sha256 compared, None where the store lists none."""
    path = folder() / f"{release}.json"
    if not path.exists():
        return None
    entry = _read(path)
    found = sha256(entry.path) if entry.path.exists() else "that of no file"
    if found != entry.sha256:
        raise StoreError(
            f"{entry.path} was altered: its sha256 is {found}. Run `bramble engine prune {release}` "
            "and build it anew"
        )
    return entry


def add(unpacked: Path) -> Entry:
    """Pack a built release, and list it."""
    manifest = json.loads((unpacked / "manifest.json").read_text(encoding="utf-8"))
    release = manifest["release"]
    draft = folder() / f"{release}.archive.new"
    with tarfile.open(draft, "w:gz", compresslevel=6) as archive:
        for path in sorted(unpacked.rglob("*")):
            archive.add(path, str(path.relative_to(unpacked)), recursive=False, filter=_plain)
    digest = sha256(draft)
    draft.rename(folder() / f"{digest}.tar.gz")
    about = {
        "release": release,
        "sha256": digest,
        "unpacked_size": sum(p.stat().st_size for p in unpacked.rglob("*") if p.is_file()),
        "manifest": manifest,
    }
    new = folder() / f"{release}.new"
    new.write_text(json.dumps(about, indent=2), encoding="utf-8")
    new.rename(folder() / f"{release}.json")
    return _read(folder() / f"{release}.json")


def remove(release: str) -> None:
    """Forget a release, then throw its archive away unless another one is the same."""
    path = folder() / f"{release}.json"
    archive = _read(path).path
    path.unlink()
    if archive not in {entry.path for entry in entries()}:
        archive.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The sha256 of a file, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nobody's own: the builder's account has no meaning on a node."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _read(path: Path) -> Entry:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        archive = path.with_name(f"{about['sha256']}.tar.gz")
        size = archive.stat().st_size if archive.exists() else 0
        return Entry(
            about["release"],
            archive,
            about["sha256"],
            size,
            about["unpacked_size"],
            {"built_at": "", **about["manifest"]},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error}); remove it") from error
