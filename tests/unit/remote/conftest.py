"""What several programs of nodes are tested with."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def open_folder():
    """A folder of root's that every user may enter: pytest's own are closed."""
    made = Path(tempfile.mkdtemp(prefix="bramble-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Put a shell script on PATH under a command's name."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(name, script):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return make
