"""What a release showed of itself on the node: read back at its smoke test, held against the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bramble import strict_json
from bramble.llama.releases import smoke_path
from bramble.snapshot import FileState, Snapshot

Wants = Mapping[str, Sequence[str]]
"""Names by where they are to be read: `system_info`, and `kleidiai` for the kernels it selected."""

PARTS = {"system_info", "kleidiai", "buffers"}


def reported(snapshot: Snapshot, folder: str) -> Mapping[str, Any] | None:
    """Return the record of the last smoke test; None where none can be read."""
    seen = snapshot.file(smoke_path(folder))
    try:
        found = strict_json.loads(seen.text) if isinstance(seen, FileState) and seen.text else None
    except ValueError:
        return None
    whole = isinstance(found, dict) and found.keys() >= PARTS
    return found if whole else None


def lacking(wants: Wants, record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what is wanted and was not shown; parts that the release did not report do not count."""
    return tuple(
        f"{name} in {part}"
        for part, names in wants.items()
        if isinstance(shown := record.get(part), Mapping)
        for name in names
        if name not in shown
    )


def unproven(wants: Wants, snapshot: Snapshot, folder: str) -> str | None:
    """Return why the release needs a smoke test though it is current; None when it has passed one."""
    record = reported(snapshot, folder)
    if record is None:
        return "what it computes with was never read back"
    missing = lacking(wants, record)
    return f"its smoke test did not show {', '.join(missing)}" if missing else None
