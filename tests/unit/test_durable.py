"""What this computer keeps is written as what nodes keep: whole, under its own mode."""

import re
from pathlib import Path

import bramble
from bramble import durable

BY_ITSELF = re.compile(r"(?<!atomic)(?<!durable)\.rename\(|\bos\.replace\(|shutil\.move\(")


def test_a_file_that_is_replaced_keeps_its_mode_and_a_new_one_is_for_all_to_read(tmp_path):
    old, new = tmp_path / "known_hosts", tmp_path / "models.lock"
    old.write_text("old")
    old.chmod(0o600)
    for file in (old, new):
        durable.replace(file, "text")
    assert [file.stat().st_mode & 0o777 for file in (old, new)] == [0o600, 0o644]
    assert [file.read_text() for file in (old, new)] == ["text", "text"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["known_hosts", "models.lock"]


def test_a_file_of_the_folder_that_a_command_runs_in_is_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    durable.replace(Path("models.lock"), b"text")
    durable.rename(Path("models.lock"), Path("engine.lock"))
    assert Path("engine.lock").read_text() == "text"


def test_nothing_of_this_computers_is_renamed_in_another_way():
    """The virtual Pis are thrown away, and the nodes' programs have a test of their own."""
    top = Path(bramble.__file__).parent
    texts = {str(file.relative_to(top)): file.read_text() for file in top.rglob("*.py")}
    found = {name for name, text in texts.items() if BY_ITSELF.search(text)}
    assert [name for name in found if not name.startswith(("virtual/", "remote/"))] == []
    assert "virtual/container/clones.py" in found
