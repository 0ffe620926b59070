"""Which disk the models are on: the SSD where one can be used, else the card. The path is the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bramble.node import ssd
from bramble.remote.download import RESERVE_BYTES
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step

SUBFOLDER = "/bramble/models"


@dataclass(frozen=True)
class Desired:
    """The folder; whether it `stays` as the inventory names it; the SSD's mount; the planned files.

    Those are their sizes by their paths, None for one that is not known.
    """

    folder: str
    stays: bool
    mount: str | None
    sizes: Mapping[str, int | None]


def place(desired: Desired, snapshot: Snapshot) -> Step:
    """Link the folder to the SSD where one can be used, and back to the card where it is gone."""
    name, seen = "Choose the models' disk", snapshot.file(desired.folder)
    if desired.stays or isinstance(seen, Unknown) or isinstance(snapshot.mounts, Unknown):
        return Step(name, None)
    if seen is not None and seen.kind == "link":
        why = _stranded(seen.target or "", snapshot)
        if why and ssd.unusable(desired.mount, snapshot) is None:
            return _step(name, f"{why}, but at {desired.mount}", desired, "bring")
        return _step(name, why and f"{why}; the card is used again", desired, "back")
    why_not = ssd.unusable(desired.mount, snapshot) or _too_small(desired, snapshot)
    if why_not:
        return Step(name, None, note=f"{desired.folder} is on the card: {why_not}")
    return _step(name, f"an SSD is mounted at {desired.mount}", desired, "bring")


def back(desired: Desired, snapshot: Snapshot) -> Step:
    """Move the folder back to the card; files on the SSD stay there."""
    name, seen = "Have the models' folder on the card", snapshot.file(desired.folder)
    ours = isinstance(seen, FileState) and seen.kind == "link" and seen.target == _target(desired)
    return _step(name, f"{desired.folder} leads to the SSD" if ours else None, desired, "back")


def _target(desired: Desired) -> str | None:
    """Return the models' folder on the SSD."""
    return f"{desired.mount}{SUBFOLDER}" if desired.mount else None


def _step(name: str, why: str | None, desired: Desired, what: str) -> Step:
    if why is None:
        return Step(name, None)
    query = {
        "what": what,
        "folder": desired.folder,
        "left": ssd.left_on_card(desired.folder),
        "to": _target(desired),
        "mount": desired.mount,
    }
    # What is on the other disk is seen only now.
    return Step(
        name, why, "place_models", query, detached=True, timeout_s=6 * 3600, look_again=True
    )


def _stranded(target: str, snapshot: Snapshot) -> str | None:
    """Return why our link is dangling: its SSD is not mounted. A person's link is left alone."""
    mount = target.removesuffix(SUBFOLDER)
    if mount == target or isinstance(snapshot.mounts, Unknown):
        return None
    if any(found.target == mount for found in snapshot.mounts):
        return None
    return f"the models are on an SSD that is not mounted at {mount}"


def _too_small(desired: Desired, snapshot: Snapshot) -> str | None:
    """Return why the SSD has no room for the card's models and the planned ones."""
    files = {} if isinstance(snapshot.files, Unknown) else snapshot.files
    there = {
        path: seen.size_bytes
        for path, seen in files.items()
        if isinstance(seen, FileState) and path.endswith(".gguf")
    }
    to_come = (size or 0 for path, size in desired.sizes.items() if path not in there)
    needed = sum(there.values()) + sum(to_come)
    free = {} if isinstance(snapshot.free_bytes, Unknown) else snapshot.free_bytes
    has = free.get(desired.mount or "", 0)
    if needed + RESERVE_BYTES <= has:
        return None
    return f"{desired.mount} has {has >> 20} MiB free, and the models take {needed >> 20}"
