"""Inventories made of a few lines."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from toy_sections import SECTIONS

from bramble.documents.problems import InventoryError
from bramble.fleet import prepare
from bramble.inventory.load import Inventory, load


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write an inventory's files into `inv` below the working directory: fleet, groups__pi5..."""
    monkeypatch.chdir(tmp_path)

    def write(**files: str) -> Path:
        folder = tmp_path / "inv"
        for name, text in files.items():
            file = folder / f"{name.replace('__', '/')}.yml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(dedent(text))
        return folder

    return write


@pytest.fixture
def loaded(write: Callable[..., Path]) -> Callable[..., Inventory]:
    """Write an inventory and load it."""
    return lambda **files: load(write(**files), SECTIONS, prepare)


@pytest.fixture
def refused(write: Callable[..., Path]) -> Callable[..., list[str]]:
    """Write a broken inventory and give the lines that loading it prints."""

    def refused(**files: str) -> list[str]:
        with pytest.raises(InventoryError) as caught:
            load(write(**files), SECTIONS, prepare)
        return str(caught.value).splitlines()

    return refused
