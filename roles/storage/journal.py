"""The journal: where it is and how large it may grow, by a drop-in that wins, proved by journald."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bramble import strict_json
from bramble.plan import FactsNeeded, File
from bramble.render import render
from bramble.roles.storage.log_settings import Journal
from bramble.snapshot import Output, Snapshot, Unknown
from bramble.steps import Step, remove_files, systemd, write_files

DROP_IN = "/etc/systemd/journald.conf.d/99-bramble.conf"
IN_MEMORY = "/run/log/journal/*"
FOLDERS = {"volatile": "/run/log/journal", "persistent": "/var/log/journal"}
CONFIG = "systemd-analyze cat-config systemd/journald.conf"
# What journald says whenever it opens a journal, with the cap that it has: SD_MESSAGE_JOURNAL_USAGE.
SAID = (
    "journalctl -b -q -n 1 -o json --output-fields=MAX_USE "
    "MESSAGE_ID=ec387f577b844b8fa948f33cad9a75e6"
)
# The second moves the journal out of memory again; it does nothing where it is to stay there.
UNITS = ("systemd-journald.service", "systemd-journal-flush.service")

UNITS_OF_SIZE = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True, kw_only=True)
class Desired:
    """Where the journal should be, and its cap."""

    storage: str
    cap_mib: int

    @property
    def files(self) -> tuple[File, ...]:
        """The drop-in."""
        values = {"storage": self.storage, "cap_mib": self.cap_mib}
        return (File(path=DROP_IN, text=render("storage/journald.conf.j2", **values)),)

    @property
    def values(self) -> Mapping[str, str]:
        """What journald's merged configuration must be."""
        cap = f"{self.cap_mib}M"
        return {"Storage": self.storage, "RuntimeMaxUse": cap, "SystemMaxUse": cap}

    @property
    def usage(self) -> str:
        """The command that prints the disk usage of the journal at its planned location."""
        return usage_of(self.storage)


def usage_of(storage: str) -> str:
    """Return the command that prints a journal's disk usage."""
    return f"journalctl --disk-usage -D {FOLDERS[storage]}"


def facts_needed(settings: Journal) -> FactsNeeded:
    """Ask for the merged configuration, the journal's location, and what journald reports of it."""
    return FactsNeeded(
        files=(DROP_IN, IN_MEMORY), commands=(CONFIG, SAID, usage_of(settings.storage))
    )


def steps(desired: Desired, snapshot: Snapshot) -> tuple[Step, ...]:
    """Write the drop-in, and restart journald where it uses other values."""
    written = write_files("Write the journal's drop-in", desired.files, snapshot)
    why = written.why and "its drop-in is written again"
    return (
        written,
        systemd("Restart the journal", why or not_in_force(desired, snapshot), restart=UNITS),
    )


def revert(snapshot: Snapshot) -> tuple[Step, ...]:
    """Remove the drop-in; the journal is the system's own again, and its entries stay."""
    removed = remove_files("Remove the journal's drop-in", (DROP_IN,), snapshot)
    why = removed.why and "its drop-in is removed"
    return (removed, systemd("Restart the journal", why, restart=UNITS))


def not_in_force(desired: Desired, snapshot: Snapshot) -> str | None:
    """Return how journald's state differs from the plan; None when nothing shows that."""
    place, cap = storage(snapshot), cap_bytes(snapshot)
    if isinstance(place, str) and place != desired.storage:
        return f"the journal is {place}, not {desired.storage}"
    if isinstance(cap, int) and cap != desired.cap_mib << 20:
        return f"journald keeps to {cap / 2**20:.0f} MiB, not {desired.cap_mib}"
    return None


def storage(snapshot: Snapshot) -> str | Unknown:
    """Tell where the journal is: journald removes its folder in memory once it writes to /var/log."""
    if isinstance(snapshot.files, Unknown):
        return snapshot.files
    in_memory = any(
        fnmatchcase(path, IN_MEMORY) and seen is not None for path, seen in snapshot.files.items()
    )
    return "volatile" if in_memory else "persistent"


def configuration(snapshot: Snapshot) -> Mapping[str, str] | Unknown:
    """Return journald's settings as its files together set them: the last one counts."""
    said = _output(snapshot, CONFIG)
    if isinstance(said, Unknown):
        return said
    lines = (line.strip() for line in said.splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and line[0] not in "#;")
    return {name.strip(): value.strip() for name, _, value in pairs}


def cap_bytes(snapshot: Snapshot) -> int | Unknown | None:
    """Return journald's cap; None where its message on it is no longer in the journal."""
    said = _output(snapshot, SAID)
    if isinstance(said, Unknown) or not said.strip():
        return said if isinstance(said, Unknown) else None
    try:
        return int(strict_json.loads(said)["MAX_USE"])
    except (ValueError, LookupError, TypeError):
        return Unknown(f"journald's word on its cap could not be read: {said.strip()[:80]}")


def used_bytes(desired: Desired, snapshot: Snapshot) -> int | Unknown:
    """Return the disk usage of the journal at its planned location."""
    said = _output(snapshot, desired.usage)
    if isinstance(said, Unknown):
        return said
    found = re.search(r"take up ([\d.]+)([BKMGT]?)\b", said)
    if not found:
        return Unknown(f"journalctl did not tell what the journal takes: {said.strip()[:80]}")
    return round(float(found[1]) * UNITS_OF_SIZE[found[2]])


def _output(snapshot: Snapshot, line: str) -> str | Unknown:
    """Return a command's output; Unknown where it failed with a message: no entry fails without one."""
    said: Output | Unknown | None = snapshot.command(line)
    if said is None:
        return Unknown(f"there is no {line.split()[0]}")
    if isinstance(said, Unknown):
        return said
    if said.code and said.output.strip():
        return Unknown(said.output.strip())
    return said.output
