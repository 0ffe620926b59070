"""Releases of the engine on a node: their records, as the probe read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bramble import strict_json
from bramble.remote import engine_home
from bramble.snapshot import FileState, Snapshot, Unknown


@dataclass(frozen=True)
class Home:
    """The folder of the engine on a node, with the links and notes in it."""

    path: str = "/opt/bramble/engine"

    @property
    def releases(self) -> str:
        """The folder of the releases."""
        return f"{self.path}/{engine_home.RELEASES}"

    @property
    def current(self) -> str:
        """The link to the current release."""
        return f"{self.path}/{engine_home.CURRENT}"

    @property
    def programs(self) -> str:
        """The folder of the current release's programs."""
        return f"{self.current}/bin"

    @property
    def previous(self) -> str:
        """The link to the release that passed the gate before."""
        return f"{self.path}/{engine_home.PREVIOUS}"

    @property
    def good(self) -> str:
        """The note of the release and the model that passed the gate last."""
        return f"{self.path}/{engine_home.GOOD}"

    @property
    def rejected(self) -> str:
        """The folder of notes about what failed the gate."""
        return f"{self.path}/{engine_home.REJECTED}"

    def release(self, name: str) -> str:
        """Return the folder of one release."""
        return f"{self.releases}/{name}"

    def rejection(self, name: str) -> str:
        """Return the note that a release, or one with its service, failed the gate."""
        return f"{self.rejected}/{name}.json"


def smoke_path(folder: str) -> str:
    """Return the path of a release's record of its last smoke test."""
    return f"{folder}/{engine_home.SMOKE}"


def manifest_path(folder: str) -> str:
    """Return the path of a release's manifest; it is written last, so a release with one is complete."""
    return f"{folder}/{engine_home.MANIFEST}"


def built_sha256(snapshot: Snapshot, folder: str, binary: str) -> str:
    """Return the sha256 that the build recorded for a binary; empty where there is no such record."""
    return all_built(snapshot, folder).get(binary, "")


def all_built(snapshot: Snapshot, folder: str) -> dict[str, str]:
    """Return the sha256 that the build recorded for each of a release's programs."""
    binaries = note(snapshot, manifest_path(folder)).get("binaries")
    found = binaries.items() if isinstance(binaries, dict) else ()
    return {str(name): str(made) for name, made in found}


def note(snapshot: Snapshot, path: str) -> Mapping[str, Any]:
    """Return the JSON object in a small file of ours; empty where none can be read."""
    seen = snapshot.file(path)
    if not isinstance(seen, FileState) or not seen.text:
        return {}
    try:
        said = strict_json.loads(seen.text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def linked(snapshot: Snapshot, path: str) -> str:
    """Return the release that a link points to; empty where there is no such link."""
    seen = snapshot.file(path)
    target = seen.target if isinstance(seen, FileState) else None
    return (target or "").removeprefix(link_target(""))


def link_target(release: str) -> str:
    """Return the target of a link in the engine's folder that points to a release."""
    return f"{engine_home.RELEASES}/{release}"


def there(snapshot: Snapshot, home: str) -> tuple[str, ...]:
    """Return the complete releases of a node, the one that was built last first."""
    if isinstance(snapshot.files, Unknown):
        return ()
    prefix, suffix = f"{home}/{engine_home.RELEASES}/", f"/{engine_home.MANIFEST}"
    names = [
        path.removeprefix(prefix).removesuffix(suffix)
        for path, seen in snapshot.files.items()
        if path.startswith(prefix) and path.endswith(suffix) and isinstance(seen, FileState)
    ]
    built = {n: str(note(snapshot, f"{prefix}{n}{suffix}").get("built_at", "")) for n in names}
    return tuple(sorted(names, key=lambda name: (built[name], name), reverse=True))


def superfluous(found: tuple[str, ...], needed: tuple[str, ...], keep: int) -> tuple[str, ...]:
    """Return the releases to remove, the newest first, so that `keep` stay and all needed ones do."""
    stays = {name for name in needed if name}
    for name in found:
        if len(stays) >= keep:
            break
        stays.add(name)
    return tuple(name for name in found if name not in stays)
