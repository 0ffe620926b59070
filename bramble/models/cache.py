"""Models kept on this computer for its fleets: files named for their verified sha256."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "BRAMBLE_MODELS"


def folder() -> Path:
    """Return their folder: BRAMBLE_MODELS, else ~/.cache/bramble/models."""
    return Path(os.environ.get(VARIABLE) or "~/.cache/bramble/models").expanduser()


def place(sha256: str) -> Path:
    """Return where a model lies, or would lie."""
    return folder() / f"{sha256}.gguf"


def find(sha256: str) -> Path | None:
    """Return the file of a model; None where it is not cached. Nodes verify it again on arrival."""
    path = place(sha256)
    return path if path.is_file() else None
