"""Models that this computer keeps for its fleets: files named for their sha256, once it was compared."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "BRAMBLE_MODELS"


def folder() -> Path:
    """Where they are; BRAMBLE_MODELS names another place."""
    return Path(os.environ.get(VARIABLE) or "~/.cache/bramble/models").expanduser()


def place(sha256: str) -> Path:
    """Where a model is, or would be."""
    return folder() / f"{sha256}.gguf"


def find(sha256: str) -> Path | None:
    """A model of this sha256, None where it is not kept. Who gets it compares it again."""
    path = place(sha256)
    return path if path.is_file() else None
