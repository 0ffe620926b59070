"""Old models go; what is planned, what runs and the predecessor stay, whatever happens meanwhile."""

import fcntl
import os
import subprocess
import sys

import pytest

from bramble.node import prune_models


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


def prune(folder):
    planned = str(folder / "planned.gguf")
    return prune_models.main({"folder": str(folder), "planned": planned})


def models(folder):
    return sorted(path.stem for path in folder.glob("*.gguf"))


def test_all_but_the_planned_one_and_the_predecessor_go_with_stamp(folder, capsys):
    assert prune(folder) == 0
    assert models(folder) == ["mine", "planned", "second"]
    left = sorted(path.name for path in folder.iterdir() if path.suffix != ".gguf")
    assert left == ["planned.gguf.json", "planned.gguf.part", "second.gguf.json"]
    said = capsys.readouterr().out
    assert f":: kept {folder}/second.gguf (0 MiB): the predecessor" in said
    assert f":: removed {folder}/fifth.gguf (0 MiB): neither planned" in said
    assert ":: freed 0 MiB" in said


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
    assert prune_models.main({"folder": str(tmp_path / "no"), "planned": "x"}) == 1
    assert "No such file" in capsys.readouterr().out
