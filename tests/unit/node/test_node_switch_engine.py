"""The link to the current release moves only to one that computed here, and always points to one."""

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import gguf
import pytest

from bramble.node import switch_engine

BENCH = (
    '#!/bin/sh\nlast=$2\ntest -s "$last" || exit 9\necho \'[{"avg_ts": 40.5}, {"avg_ts": 9.1}]\'\n'
)


@pytest.fixture
def current(tmp_path):
    """Two releases whose llama-bench is a script; the first is current."""
    for name in ("one", "two"):
        program = tmp_path / "releases" / name / "bin" / "llama-bench"
        program.parent.mkdir(parents=True)
        program.write_text(BENCH)
        program.chmod(0o755)
    path = tmp_path / "current"
    path.symlink_to("releases/one")
    return path


def bench(current: Path, name: str) -> Path:
    return current.parent / "releases" / name / "bin" / "llama-bench"


def switch(current: Path, target: str) -> int:
    return switch_engine.main({"path": str(current), "target": target})


def test_a_link_is_pointed_to_a_release_that_computes(current):
    assert switch(current, "releases/two") == 0
    assert os.readlink(current) == "releases/two"
    assert sorted(os.listdir(current.parent)) == ["current", "releases"]


def test_a_first_link_is_made(current):
    current.unlink()
    assert switch(current, "releases/one") == 0
    assert os.readlink(current) == "releases/one"


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("kill -ILL $$", "ended with SIGILL: it was compiled for another processor"),
        ("kill -SEGV $$", "ended with SIGSEGV"),
        ("echo no such tensor >&2; exit 3", "ended with exit code 3: no such tensor"),
        ("exit 3", "ended with exit code 3: it said nothing"),
        ('echo \'[{"avg_ts": 0.0}, {"avg_ts": 9.1}]\'', "computed nothing: [0.0, 9.1]"),
        ("echo '[]'", "computed nothing: []"),
        ("echo fine", "did not say how fast it was"),
    ],
)
def test_a_release_that_does_not_compute_leaves_the_old_one_current(
    current, capsys, script, problem
):
    bench(current, "two").write_text(f"#!/bin/sh\n{script}\n")
    assert switch(current, "releases/two") == 1
    assert os.readlink(current) == "releases/one"
    said = capsys.readouterr().err
    assert f"releases/two does not compute on this node: llama-bench {problem}" in said
    assert "releases/one stays current" in said


def test_a_release_that_hangs_leaves_the_old_one_current(current, capsys, monkeypatch):
    monkeypatch.setattr(switch_engine, "TIMEOUT_S", 0.2)
    bench(current, "two").write_text("#!/bin/sh\nexec sleep 60\n")
    assert switch(current, "releases/two") == 1
    assert os.readlink(current) == "releases/one"
    assert "did not end within 0.2 s" in capsys.readouterr().err


def test_a_program_of_another_architecture_leaves_the_old_one_current(current, capsys):
    bench(current, "two").write_bytes(b"\x7fELF of somebody else")
    assert switch(current, "releases/two") == 1
    assert os.readlink(current) == "releases/one"
    assert "llama-bench does not start" in capsys.readouterr().err


def test_a_link_is_never_pointed_to_what_is_not_there(current, capsys):
    assert switch(current, "releases/three") == 1
    assert os.readlink(current) == "releases/one"
    assert "releases/three is not there" in capsys.readouterr().err


def test_a_failing_rename_leaves_the_old_link_and_the_next_run_the_new(current, monkeypatch):
    def fail(*names):
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail)
        with pytest.raises(OSError, match="no"):
            switch(current, "releases/two")
    assert os.readlink(current) == "releases/one"
    assert switch(current, "releases/two") == 0
    assert os.readlink(current) == "releases/two"


def test_a_link_to_nowhere_that_an_earlier_run_left_behind_is_replaced(current):
    current.with_name("current.bramble").symlink_to("releases/gone")
    assert switch(current, "releases/two") == 0
    assert sorted(os.listdir(current.parent)) == ["current", "releases"]


def test_a_real_folder_in_its_place_is_left_alone(current, capsys):
    current.unlink()
    current.mkdir()
    assert switch(current, "releases/one") == 1
    assert "is not a symbolic link; move it away" in capsys.readouterr().err
    assert sorted(os.listdir(current.parent)) == ["current", "releases"]


def test_the_tiny_model_is_a_gguf_with_the_common_quantized_types(tmp_path):
    path = tmp_path / "tiny.gguf"
    switch_engine.write_model(path)
    read = gguf.GGUFReader(path)
    assert {t.tensor_type.name for t in read.tensors} == {"F32", "Q4_0", "Q8_0", "Q4_K"}
    assert [t.name for t in read.tensors] == [name for name, _, _ in switch_engine.TENSORS]
    for tensor in read.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert abs(values).max() < 10


def test_the_tiny_model_is_always_the_same(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        switch_engine.write_model(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_llama_bench_is_asked_for_a_prompt_and_for_an_answer(current, monkeypatch):
    asked = []

    def run(argv, **options):
        asked.append(argv)
        return SimpleNamespace(returncode=0, stderr="", stdout=json.dumps([{"avg_ts": 1.0}] * 2))

    monkeypatch.setattr(subprocess, "run", run)
    assert switch_engine.smoke(str(current)) is None
    (argv,) = asked
    assert (argv[argv.index("-p") + 1], argv[argv.index("-n") + 1]) == ("32", "4")
    assert not os.path.exists(argv[2])
