"""Releases of the engine on a node: what a build recorded of itself, read from one look."""

from __future__ import annotations

import json

from bramble.snapshot import FileState, Snapshot


def manifest_path(folder: str) -> str:
    """A release's manifest; it is written last, so a release that has one is whole."""
    return f"{folder}/manifest.json"


def built_sha256(snapshot: Snapshot, folder: str, binary: str) -> str:
    """The sha256 that the build recorded for a binary, empty where there is no such record."""
    seen = snapshot.file(manifest_path(folder))
    if not isinstance(seen, FileState) or not seen.text:
        return ""
    try:
        return str(json.loads(seen.text)["binaries"][binary])
    except (ValueError, KeyError, TypeError):
        return ""
