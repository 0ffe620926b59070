"""Whether a node is a container: its kernel, and all that /sys shows of hardware, is then the host's."""

from __future__ import annotations

from bramble.snapshot import Snapshot, Unknown

COMMAND = "systemd-detect-virt --container"


def container(snapshot: Snapshot) -> str | Unknown | None:
    """Return the kind of container that a node is; None where it is none."""
    said = snapshot.command(COMMAND)
    if isinstance(said, Unknown):
        return said
    if said is None:
        return Unknown(f"there is no {COMMAND.split()[0]}")
    word = said.output.strip()
    # The exit code says whether one was found; "none" comes with 1.
    if (said.code == 0) == (word in ("", "none")):
        return Unknown(f"{COMMAND} said {word!r} and ended with {said.code}")
    return word if said.code == 0 else None
