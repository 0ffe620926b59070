"""What several programs of nodes are tested with."""

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
