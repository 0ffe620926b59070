"""Whether a release is whole: its manifest, and each of the current one's programs as it was built."""

from __future__ import annotations

from bramble.llama.releases import (
    Home,
    all_built,
    link_target,
    linked,
    manifest_path,
    note,
)
from bramble.node.roots import above
from bramble.snapshot import FileState, Snapshot, Unknown

HOME = Home()
# Folders that root alone may write, the outermost first; the programs are known by their sha256 too.
TRUSTED = (*above(HOME.releases), HOME.programs)


def incomplete(folder: str, snapshot: Snapshot) -> str | None:
    """Return why the release does not count as built; None when it does.

    Its manifest is written last, so what has one is whole; the programs of the current release are
    held against it at every look, because a damaged one would give damaged answers.
    """
    release = folder.rpartition("/")[2]
    if not isinstance(snapshot.file(manifest_path(folder)), FileState):
        return f"release {release} is not there"
    current, built = snapshot.file(HOME.current), all_built(snapshot, folder)
    if not isinstance(current, FileState) or current.target != link_target(release):
        return None
    there = programs(snapshot)
    for name in sorted({"llama-server", *built, *there}):
        if name not in there:
            return f"release {release} has no {name}"
        seen = there[name]
        if not isinstance(seen, FileState) or seen.sha256 != built.get(name, "none"):
            return f"{name} of release {release} is not the one that was built"
    return None


def built_elsewhere(codename: str, snapshot: Snapshot) -> str:
    """Say that the current release was built for another Debian release; nothing where it was not."""
    current = linked(snapshot, HOME.current)
    built = note(snapshot, manifest_path(HOME.release(current))).get("codename")
    if not isinstance(built, str) or built == codename:
        return ""
    return f"; {current}, which is current, was built for {built}, and this is {codename}"


def trusted(snapshot: Snapshot) -> tuple[str, ...]:
    """Return what root alone may write: the folders, and the files in the last of them."""
    files = {name: seen for name, seen in programs(snapshot).items() if not _is_link(seen)}
    return (*TRUSTED, *(f"{HOME.programs}/{name}" for name in sorted(files)))


def _is_link(seen: FileState | Unknown) -> bool:
    return isinstance(seen, FileState) and seen.kind == "link"


def programs(snapshot: Snapshot) -> dict[str, FileState | Unknown]:
    """Return the files among the programs of the current release, by name."""
    files, place = snapshot.files, f"{HOME.programs}/"
    if isinstance(files, Unknown):
        return {}
    return {
        path.removeprefix(place): seen
        for path, seen in files.items()
        if path.startswith(place) and seen is not None
    }
