"""Resolution of the catalogue's files into the lock, and what differs from it upstream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from bramble.documents.problems import unknown
from bramble.models.catalogue import Place
from bramble.models.hub import HubError
from bramble.models.lock import Locked

State = Literal["locked", "unchanged", "updated", "differs", "failed"]


class Resolver(Protocol):
    """A source that knows what a file is now."""

    def resolve(self, place: Place) -> Locked:
        """Return the file's commit, size and sha256; raise HubError where they cannot be had."""


@dataclass(frozen=True)
class Outcome:
    """The result for one name: its entry in the lock from now on, and a sentence for people."""

    name: str
    state: State
    entry: Locked | None
    says: str


def chosen(names: Iterable[str], known: Mapping[str, Place]) -> tuple[str, ...]:
    """Return the files that names select, MODEL all of a model's; raise LookupError with advice."""
    found: dict[str, None] = {}
    for name in names:
        several = [full for full in known if name in (full, full.partition(":")[0])]
        if not several:
            models = [full.partition(":")[0] for full in known]
            words = dict.fromkeys(models if ":" not in name else known)
            raise LookupError(f"no model '{name}' in models.yml; {unknown(name, words)}")
        found |= dict.fromkeys(several)
    return tuple(found)


def settle(
    name: str, place: Place | None, old: Locked | None, hub: Resolver, *, update: bool
) -> Outcome:
    """Ask the hub for one file: lock a new one; only report a changed one unless `update` is set."""
    if place is None:
        says = "models.yml does not name it any more; the lock keeps it"
        return Outcome(name, "failed" if update else "unchanged", old, says)
    try:
        new = hub.resolve(place)
    except HubError as error:
        return Outcome(name, "failed", old, str(error))
    size = f"{new.size_bytes / 1e9:.2f} GB, sha256 {new.sha256}"
    if old is None:
        return Outcome(name, "locked", new, f"{new.repo} at {new.revision[:12]}, {size}")
    if new.sha256 == old.sha256:
        moved = (old.repo, old.file) != (new.repo, new.file)
        return Outcome(name, "unchanged", new if moved else old, f"sha256 {old.sha256}")
    change = (
        f"{new.repo} {new.file} is another file now: sha256 {old.sha256} is locked (commit "
        f"{old.revision[:12]}, {old.size_bytes} bytes), upstream has {new.sha256} (commit "
        f"{new.revision[:12]}, {new.size_bytes} bytes)"
    )
    if update:
        return Outcome(name, "updated", new, f"{change}. The lock has the new one")
    return Outcome(
        name,
        "differs",
        old,
        f"{change}. Nodes keep the locked one. To take the new one, see at the repository why it "
        f"changed, then `bramble model lock --update {name}`",
    )
