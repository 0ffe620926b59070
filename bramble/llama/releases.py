"""Releases of the engine on a node: what was recorded of them, read from one look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bramble.snapshot import FileState, Snapshot, Unknown


@dataclass(frozen=True)
class Home:
    """The folder of the engine on a node, with the links and notes in it."""

    path: str = "/opt/bramble/engine"

    @property
    def releases(self) -> str:
        """The folder of the releases."""
        return f"{self.path}/releases"

    @property
    def current(self) -> str:
        """The link to the current release."""
        return f"{self.path}/current"

    @property
    def programs(self) -> str:
        """The programs of the current release."""
        return f"{self.current}/bin"

    @property
    def previous(self) -> str:
        """The link to the release that was good before."""
        return f"{self.path}/previous"

    @property
    def good(self) -> str:
        """The note of the release and the model that passed the gate last."""
        return f"{self.path}/good.json"

    @property
    def rejected(self) -> str:
        """The folder of notes of what failed the gate."""
        return f"{self.path}/rejected"

    def release(self, name: str) -> str:
        """Return the folder of one release."""
        return f"{self.releases}/{name}"

    def rejection(self, name: str) -> str:
        """Return the note that a release, or one as it was served, failed the gate."""
        return f"{self.rejected}/{name}.json"


def smoke_path(folder: str) -> str:
    """A release's record of its last smoke test."""
    return f"{folder}/smoke.json"


def manifest_path(folder: str) -> str:
    """A release's manifest; it is written last, so a release that has one is whole."""
    return f"{folder}/manifest.json"


def built_sha256(snapshot: Snapshot, folder: str, binary: str) -> str:
    """The sha256 that the build recorded for a binary, empty where there is no such record."""
    return all_built(snapshot, folder).get(binary, "")


def all_built(snapshot: Snapshot, folder: str) -> dict[str, str]:
    """The sha256 that the build recorded for each of a release's programs."""
    binaries = note(snapshot, manifest_path(folder)).get("binaries")
    found = binaries.items() if isinstance(binaries, dict) else ()
    return {str(name): str(made) for name, made in found}


def note(snapshot: Snapshot, path: str) -> Mapping[str, Any]:
    """The JSON object in a small file of ours, empty where there is none that can be read."""
    seen = snapshot.file(path)
    if not isinstance(seen, FileState) or not seen.text:
        return {}
    try:
        said = json.loads(seen.text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def linked(snapshot: Snapshot, path: str) -> str:
    """The release that a link points to, empty where there is no such link."""
    seen = snapshot.file(path)
    target = seen.target if isinstance(seen, FileState) else None
    return (target or "").removeprefix(link_target(""))


def link_target(release: str) -> str:
    """What a link in the engine's folder has to say to point to a release."""
    return f"releases/{release}"


def there(snapshot: Snapshot, home: str) -> tuple[str, ...]:
    """The whole releases of a node, the one that was built last first."""
    if isinstance(snapshot.files, Unknown):
        return ()
    prefix, suffix = f"{home}/releases/", "/manifest.json"
    names = [
        path.removeprefix(prefix).removesuffix(suffix)
        for path, seen in snapshot.files.items()
        if path.startswith(prefix) and path.endswith(suffix) and isinstance(seen, FileState)
    ]
    built = {n: str(note(snapshot, f"{prefix}{n}{suffix}").get("built_at", "")) for n in names}
    return tuple(sorted(names, key=lambda name: (built[name], name), reverse=True))


def superfluous(found: tuple[str, ...], needed: tuple[str, ...], keep: int) -> tuple[str, ...]:
    """Which of these releases go, the newest first, when `keep` stay and none of the needed goes."""
    stays = {name for name in needed if name}
    for name in found:
        if len(stays) >= keep:
            break
        stays.add(name)
    return tuple(name for name in found if name not in stays)
