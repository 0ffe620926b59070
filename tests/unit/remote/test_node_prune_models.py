"""Old models go; what is planned, what runs and the predecessor stay, whatever happens meanwhile."""

import fcntl
import json
import os
import subprocess
import sys

import pytest

from bramble.remote import prune_models


@pytest.fixture
def folder(tmp_path):
    """Five verified models, the last first, a part of an old one, and somebody's own file."""
    made = tmp_path / "models"
    made.mkdir()
    for age, name in enumerate(("planned", "second", "third", "fourth", "fifth")):
        (made / f"{name}.gguf").write_bytes(b"GGUF" * 1024)
        stamp = made / f"{name}.gguf.json"
        stamp.write_text("{}")
        os.utime(stamp, (2_000_000_000 - age, 2_000_000_000 - age))
    (made / "given-up.gguf.part").write_bytes(b"GGUF")
    (made / "planned.gguf.part").write_bytes(b"GGUF")
    (made / "mine.gguf").write_bytes(b"GGUF")
    return made


def prune(folder, home=None):
    return prune_models.main(query(folder, home))


def query(folder, home=None, only_list=False):
    planned = str(folder / "planned.gguf")
    return {"folder": str(folder), "planned": [planned], "home": home, "list": only_list}


@pytest.fixture
def home(folder, tmp_path):
    """An engine's folder whose note says that the fourth passed the gate last, and the third before."""
    records = [{"model": "c" * 64, "path": str(folder / "third.gguf")}]
    same = {"model": "d" * 64, "path": str(folder / "fourth.gguf")}
    note = {**same, "history": [same | {"argv": "other"}, *records]}
    (tmp_path / "good.json").write_text(json.dumps(note))
    return str(tmp_path)


def models(folder):
    return sorted(path.stem for path in folder.glob("*.gguf"))


def test_all_but_the_planned_one_and_the_predecessor_go_with_stamp(folder, capsys):
    assert prune(folder) == 0
    assert models(folder) == ["mine", "planned", "second"]
    left = sorted(path.name for path in folder.iterdir() if path.suffix != ".gguf")
    assert left == ["planned.gguf.json", "planned.gguf.part", "second.gguf.json"]
    said = capsys.readouterr().out
    assert (
        f":: kept {folder}/second.gguf (0 MiB): the last one besides; no predecessor is known"
        in said
    )
    assert f":: removed {folder}/fifth.gguf (0 MiB): neither planned" in said
    assert ":: freed 0 MiB" in said


def test_what_passed_the_gate_and_its_predecessor_stay_and_not_what_was_verified_last(
    folder, home, capsys
):
    """The second was fetched and sent back by the gate: it is no way back."""
    assert prune(folder, home) == 0
    assert models(folder) == ["fourth", "mine", "planned", "third"]
    said = capsys.readouterr().out
    assert f"kept {folder}/fourth.gguf (0 MiB): the last that passed the gate" in said
    assert f"kept {folder}/third.gguf (0 MiB): the predecessor, for going back" in said
    assert f"removed {folder}/second.gguf (0 MiB)" in said


def test_what_helped_the_model_when_the_gate_was_passed_stays(folder, home, tmp_path):
    note = json.loads((tmp_path / "good.json").read_text())
    note["helpers"] = [f"{folder}/fifth.gguf"]
    (tmp_path / "good.json").write_text(json.dumps(note))
    assert prune(folder, home) == 0
    assert models(folder) == ["fifth", "fourth", "mine", "planned", "third"]


@pytest.mark.parametrize(
    "note", ["", "[]", '{"path": null, "model": "d", "history": []}', '{"history": {}}']
)
def test_a_note_that_tells_no_way_back_leaves_the_one_that_was_verified_last(
    folder, tmp_path, note
):
    (tmp_path / "good.json").write_text(note)
    assert prune(folder, str(tmp_path)) == 0
    assert models(folder) == ["mine", "planned", "second"]


def test_a_predecessor_that_is_gone_leaves_another_one(folder, home):
    (folder / "third.gguf").unlink()
    assert prune(folder, home) == 0
    assert models(folder) == ["fourth", "mine", "planned", "second"]


def test_a_list_says_what_each_file_is_and_removes_none(folder, home, capsys):
    (folder / "fourth.gguf.json").write_text(json.dumps({"sha256": "d" * 64}))
    with (folder / "fifth.gguf").open():
        assert prune_models.main(query(folder, home, only_list=True)) == 0
    reported = json.loads(capsys.readouterr().out)
    rows = {os.path.basename(row["path"]): row for row in reported["models"]}
    assert reported["free_bytes"] > 0
    assert {name: row["what"] for name, row in rows.items()} == {
        "planned.gguf": "the planned model",
        "second.gguf": "neither planned nor running nor a way back",
        "third.gguf": "the predecessor, for going back",
        "fourth.gguf": "the last that passed the gate",
        "fifth.gguf": "a process runs it",
        "given-up.gguf.part": "a part left over",
        "planned.gguf.part": "the part of the planned model",
        "mine.gguf": "not verified: left alone",
    }
    assert [name for name, row in rows.items() if row["removable"]] == [
        "second.gguf",
        "given-up.gguf.part",
    ]
    assert (rows["fourth.gguf"]["sha256"], rows["mine.gguf"]["sha256"]) == ("d" * 64, None)
    assert rows["mine.gguf"]["size_bytes"] == 4
    assert len(models(folder)) == 6


def test_a_damaged_model_goes_unless_it_is_planned_or_runs(folder, home, capsys):
    for name in ("planned", "third", "fifth"):
        (folder / f"{name}.gguf.json").rename(folder / f"{name}.gguf.damaged")
    with (folder / "fifth.gguf").open():
        assert prune(folder, home) == 0
    assert models(folder) == ["fifth", "fourth", "mine", "planned", "second"]
    assert not (folder / "third.gguf.damaged").exists()
    assert f"removed {folder}/third.gguf (0 MiB): damaged" in capsys.readouterr().out


def test_a_list_of_a_folder_that_is_not_there_yet_is_empty(tmp_path, capsys):
    assert prune_models.main(query(tmp_path / "no", only_list=True)) == 0
    assert json.loads(capsys.readouterr().out)["models"] == []


def test_a_second_time_there_is_nothing_to_remove(folder, capsys):
    prune(folder)
    capsys.readouterr()
    assert prune(folder) == 0
    assert "removed" not in capsys.readouterr().out


MAPPED = "import mmap,sys; f=open(sys.argv[1],'rb'); m=mmap.mmap(f.fileno(),0,prot=1); f.close()"
WAYS = {
    "mapped": f"{MAPPED}; sys.argv[1]=''",
    "open": "import sys; f=open(sys.argv[1])",
    "named in its arguments": "pass",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_a_process_runs_stays_and_so_does_another_predecessor(folder, way):
    program = f"{WAYS[way]}; print(flush=True); input()"
    argv = [sys.executable, "-c", program, str(folder / "fourth.gguf")]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        assert prune(folder) == 0
        process.communicate("\n")
    assert models(folder) == ["fourth", "mine", "planned", "second"]


def test_what_is_mapped_or_open_is_found_without_the_arguments(folder):
    for way in ("mapped", "open"):
        program = f"{WAYS[way]}; print(flush=True); input()"
        link = folder / "link"
        link.symlink_to(folder / "fourth.gguf")
        argv = [sys.executable, "-c", program, str(link)]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            process.stdout.readline()
            assert str(folder / "fourth.gguf") in prune_models.in_use(str(folder))
            process.communicate("\n")
        link.unlink()


def test_a_folder_behind_a_link_is_the_same_folder(folder, tmp_path):
    (tmp_path / "elsewhere").symlink_to(folder)
    with (folder / "fifth.gguf").open():
        assert prune(tmp_path / "elsewhere") == 0
    assert models(folder) == ["fifth", "mine", "planned", "second"]


def test_a_planned_model_that_is_not_there_yet_leaves_its_predecessor(folder):
    (folder / "planned.gguf").unlink()
    assert prune(folder) == 0
    assert models(folder) == ["mine", "second"]


def test_nothing_is_removed_while_a_fetch_is_under_way(folder, capsys):
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert prune(folder) == 1
    os.close(descriptor)
    assert "a fetch into" in capsys.readouterr().out
    assert len(models(folder)) == 6


def test_a_folder_that_is_not_there_is_said(tmp_path, capsys):
    assert prune(tmp_path / "no") == 1
    assert "No such file" in capsys.readouterr().out
