"""Where logs go: the journal and log2ram, as the role's plan takes them in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bramble.board import Board
from bramble.plan import FactsNeeded, File
from bramble.roles.storage import journal, log2ram
from bramble.roles.storage.log_settings import Repository
from bramble.roles.storage.settings import Settings
from bramble.snapshot import Snapshot
from bramble.steps import Step, Upload
from bramble.system.debian import RELEASES


@dataclass(frozen=True, kw_only=True)
class Desired:
    """What is wanted of the journal and of log2ram."""

    journal: journal.Desired
    log2ram: log2ram.Desired

    @property
    def files(self) -> tuple[File, ...]:
        """What every node gets; log2ram's files only those where it is wanted."""
        return self.journal.files


def facts_needed(settings: Settings) -> tuple[FactsNeeded, ...]:
    """Ask for the facts of both."""
    return (journal.facts_needed(settings.journal), log2ram.facts_needed(settings.log_folders))


def desired(settings: Settings, board: Board) -> Desired:
    """Return what the settings want, with the repository where Debian has no log2ram."""
    kept = settings.journal
    return Desired(
        journal=journal.Desired(storage=kept.storage, cap_mib=kept.cap_mib),
        log2ram=log2ram.Desired(
            when=settings.log2ram,
            size_mib=settings.log2ram_size_mib,
            folders=settings.log_folders,
            journal_mib=kept.cap_mib if kept.storage == "persistent" else 0,
            repository=(
                None
                if RELEASES[board.codename].has_log2ram
                else _repository(settings.log2ram_repository)
            ),
        ),
    )


def _repository(settings: Repository) -> log2ram.Repository:
    remote = f"/var/tmp/bramble-log2ram-{settings.fingerprint}.gpg"
    return log2ram.Repository(
        # As apt itself writes it.
        url=re.sub("^file:/+", "file:/", settings.url.rstrip("/")),
        suite=settings.suite,
        component=settings.component,
        fingerprint=settings.fingerprint,
        key_url=settings.key_url,
        upload=Upload(settings.key_file, remote) if settings.key_file else None,
    )


def steps(desired: Desired, snapshot: Snapshot) -> tuple[Step, ...]:
    """Configure the journal first: log2ram's memory must hold it."""
    return (*journal.steps(desired.journal, snapshot), *log2ram.steps(desired.log2ram, snapshot))


def revert(snapshot: Snapshot) -> tuple[Step, ...]:
    """Revert log2ram first: its logs go back to the disk before the journal's settings are reverted."""
    return (*log2ram.revert(snapshot), *journal.revert(snapshot))


def waits_for_reboot(desired: Desired, snapshot: Snapshot) -> tuple[str, ...]:
    """Name what takes effect only at a boot."""
    return log2ram.waits_for_reboot(desired.log2ram, snapshot)
