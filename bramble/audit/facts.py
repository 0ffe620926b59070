"""What an audit's one look must see besides what roles ask for; no deploy pays for it."""

from __future__ import annotations

from bramble.plan import FactsNeeded

PROGRAM = "audit"
"""The program of bramble/remote/ that takes this look."""

FOLDERS = ("/opt/bramble", "/etc/bramble", "/usr/local/lib/bramble", "/var/lib/bramble")
"""The folders that are ours, where nobody else is to write."""

FACTS_NEEDED = FactsNeeded(
    folders=FOLDERS,
    words=("bramble", "llama-server", "/boot/firmware"),
    properties=("TriggeredBy",),
)
