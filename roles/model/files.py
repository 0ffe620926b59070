"""One model file on a node: whether it is the pinned one, and how it is fetched and shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bramble import strict_json
from bramble.models import beside
from bramble.roles.model.pinned import ChosenModel
from bramble.sanitize import address
from bramble.snapshot import FileState, Output, Snapshot, Unknown
from bramble.steps import Shared, Step, Upload
from bramble.system.parse import default_device

ROUTE = "ip -json route show default"
ADDRESSES = "hostname -I"
RADIO = "/sys/class/net/{}/wireless"


class PlannedFile(Protocol):
    """A model file as a node is to have it."""

    @property
    def path(self) -> str:
        """The file on the node."""

    @property
    def stamp(self) -> str:
        """The file that remembers the verified sha256, with the model's size and time."""

    @property
    def sha256(self) -> str:
        """What the file must be."""

    @property
    def size_bytes(self) -> int | None:
        """Its size, where that is known before it is fetched."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the node fetches it, the first one first."""

    @property
    def upload(self) -> Upload | None:
        """The file of this computer that is sent instead."""


@dataclass(frozen=True, kw_only=True)
class FurtherFile:
    """A model file beside the first one: its sources, its path, and its sha256."""

    name: str
    sha256: str
    path: str
    size_bytes: int | None
    sources: tuple[str, ...]
    upload: Upload | None = None

    @property
    def stamp(self) -> str:
        """The file that remembers the verified sha256, with the model's size and time."""
        return beside.stamp(self.path)


def sources(pin: ChosenModel) -> tuple[str, ...]:
    """Return where a node fetches a file, a mirror before the hub."""
    return tuple(url for url in (pin.mirror_url, pin.url) if url)


def fetched(name: str, why: str, file: PlannedFile, shared: Shared | None) -> Step:
    """Return the step that fetches a file."""
    query = {
        "path": file.path,
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
        "sources": [{"url": url, "name": address(url), "direct": False} for url in file.sources],
        "upload": file.upload.remote if file.upload else None,
    }
    return Step(
        name,
        why,
        "fetch_model",
        query,
        detached=True,
        timeout_s=24 * 3600,
        uploads=(file.upload,) if file.upload else (),
        shared=shared,
        # What serves a file that was replaced here is seen by the next look alone.
        look_again=True,
    )


def as_shared(file: PlannedFile, snapshot: Snapshot, *, whole: bool) -> Shared:
    """Describe the file as the hosts of a run share it."""
    seen = snapshot.file(file.path if whole else f"{file.path}.part")
    there = seen.size_bytes if isinstance(seen, FileState) else 0
    return Shared(
        sha256=file.sha256,
        path=file.path,
        size_bytes=file.size_bytes,
        there_bytes=there,
        wireless=_is_wireless(snapshot),
        sources=file.sources,
        addresses=_addresses(snapshot),
    )


def _addresses(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the node's addresses; without any, other nodes do not serve it."""
    said = snapshot.command(ADDRESSES)
    return tuple(said.output.split()) if isinstance(said, Output) and not said.code else ()


def _is_wireless(snapshot: Snapshot) -> bool:
    """Tell whether the default route is over Wi-Fi; a node that does not say counts as wired."""
    said = snapshot.command(ROUTE)
    if not isinstance(said, Output) or said.code or isinstance(snapshot.files, Unknown):
        return False
    try:
        device = default_device(said.output)
    except ValueError:
        return False
    return isinstance(snapshot.files.get(RADIO.format(device)), FileState)


def unverified(file: PlannedFile, snapshot: Snapshot) -> str | None:
    """Return why the file on the node is not the planned one; None when it is.

    A hash taken in this look decides where there is one; larger files are believed while they have
    the size and time that the stamp remembers.
    """
    seen, stamp = snapshot.file(file.path), snapshot.file(file.stamp)
    if not isinstance(seen, FileState):
        return f"{file.path} is not there"
    if seen.owner != "root":
        return f"{file.path} belongs to {seen.owner}, who may change it"
    if seen.sha256 == file.sha256:
        return None
    if seen.sha256 is not None:
        return f"{file.path} has sha256 {seen.sha256[:12]}..., not {file.sha256[:12]}..."
    if not isinstance(stamp, FileState) or not stamp.text:
        return f"{file.path} was never verified"
    wanted = {"sha256": file.sha256, "size": seen.size_bytes, "mtime_ns": seen.mtime_ns}
    try:
        verified = strict_json.loads(stamp.text) == wanted
    except ValueError:
        verified = False
    return None if verified else f"{file.path} changed after it was verified"
