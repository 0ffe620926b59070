"""What storage proves."""

from __future__ import annotations

from roles.storage.log_checks import (
    journal_is_where_planned,
    journal_keeps_to_its_cap,
    logs_are_in_memory,
    logs_have_room,
    logs_take_no_zram,
    repository_gives_log2ram_only,
)

__all__ = [
    "journal_is_where_planned",
    "journal_keeps_to_its_cap",
    "logs_are_in_memory",
    "logs_have_room",
    "logs_take_no_zram",
    "repository_gives_log2ram_only",
]
