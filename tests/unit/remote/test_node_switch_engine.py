"""The link to the current release moves only to one that computed here, and always points to one."""

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import gguf
import pytest

from bramble.remote import build_proof, switch_engine

BENCH = (
    '#!/bin/sh\nlast=$2\ntest -s "$last" || exit 9\necho \'[{"avg_ts": 40.5}, {"avg_ts": 9.1}]\'\n'
)
# What llama-bench -v and llama-server -lv 4 tell, as far as it is read (of a Cortex-A76, qemu-aarch64).
TOLD = """\
kleidiai: primary q4 kernel feature DOTPROD
kleidiai: no compatible f32 kernels found for CPU features mask 1
load_tensors: CPU_KLEIDIAI model buffer size =     0.34 MiB
load_tensors:   CPU_Mapped model buffer size =     0.33 MiB
llama_context:        CPU  output buffer size =     0.00 MiB
"""
INFO = "n_threads = 2 (n_threads_batch = 2) / 2 | CPU : NEON = 1 | DOTPROD = 1 | SVE_CNT = 16 | "
SERVER = f"""#!/bin/sh
test "$1" = --offline || exit 9
case $3 in *.sock) ;; *) exit 9;; esac
test -e "$5" && exit 9
echo "0.00.002.098 I cmn  common_param: system_info: {INFO}" >&2
exit 1
"""
NOTHING = {"system_info": [], "kleidiai": []}


@pytest.fixture
def current(tmp_path):
    """Two releases whose programs are scripts; the first is current."""
    for name in ("one", "two"):
        folder = tmp_path / "releases" / name / "bin"
        folder.mkdir(parents=True)
        for program, text in (("llama-bench", BENCH), ("llama-server", SERVER)):
            (folder / program).write_text(text)
            (folder / program).chmod(0o755)
        (folder.parent / "manifest.json").write_text('{"options": {}}')
    path = tmp_path / "current"
    path.symlink_to("releases/one")
    return path


def bench(current: Path, name: str) -> Path:
    return current.parent / "releases" / name / "bin" / "llama-bench"


def switch(current: Path, target: str, wants=None) -> int:
    return switch_engine.main({"path": str(current), "target": target, "wants": wants or NOTHING})


def record(current: Path, name: str) -> dict:
    return json.loads((current.parent / "releases" / name / "smoke.json").read_text())


def test_a_link_is_pointed_to_a_release_that_computes(current):
    assert switch(current, "releases/two") == 0
    assert os.readlink(current) == "releases/two"
    assert sorted(os.listdir(current.parent)) == ["current", "releases"]


def test_a_first_link_is_made(current):
    current.unlink()
    assert switch(current, "releases/one") == 0
    assert os.readlink(current) == "releases/one"


@pytest.mark.fault("F12")
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


@pytest.mark.parametrize(("option", "reported"), [("ON", True), ("OFF", False)])
def test_sigill_of_a_build_with_amx_names_its_options(current, capsys, option, reported):
    bench(current, "two").write_text("#!/bin/sh\nkill -ILL $$\n")
    manifest = bench(current, "two").parent.parent / "manifest.json"
    manifest.write_text(json.dumps({"options": {"GGML_AMX_INT8": option}}))
    assert switch(current, "releases/two") == 1
    assert ('GGML_AMX_INT8: "OFF"' in capsys.readouterr().err) is reported


@pytest.mark.fault("F12")
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
    current.with_name(".current.bramble").symlink_to("releases/gone")
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
    assert switch_engine.smoke(str(current)) == (None, "")
    (argv,) = asked
    assert (argv[argv.index("-p") + 1], argv[argv.index("-n") + 1]) == ("32", "4")
    assert not os.path.exists(argv[2])


# What was read back


def reported(current: Path, name: str, text: str) -> None:
    """Have a release's llama-bench tell this besides."""
    script = BENCH.replace("echo", f"cat >&2 <<'END'\n{text}END\necho", 1)
    bench(current, name).write_text(script)


def test_what_a_release_computes_with_is_kept_in_it(current):
    reported(current, "two", TOLD)
    wants = {"system_info": ["DOTPROD"], "kleidiai": ["q4"]}
    assert switch(current, "releases/two", wants) == 0
    assert os.readlink(current) == "releases/two"
    assert record(current, "two") == {
        "system_info": {"NEON": "1", "DOTPROD": "1", "SVE_CNT": "16"},
        "kleidiai": {"q4": "DOTPROD"},
        "buffers": ["CPU_KLEIDIAI", "CPU_Mapped"],
    }


@pytest.mark.parametrize(
    ("wants", "missing"),
    [
        ({"system_info": ["NEON", "MATMUL_INT8"], "kleidiai": []}, "no MATMUL_INT8 in system_info"),
        ({"system_info": [], "kleidiai": ["q4", "q8"]}, "no q8 in kleidiai"),
    ],
)
def test_a_release_that_lacks_what_is_planned_leaves_the_old_one_current(
    current, capsys, wants, missing
):
    reported(current, "two", TOLD)
    assert switch(current, "releases/two", wants) == 1
    assert os.readlink(current) == "releases/one"
    said = capsys.readouterr().err
    assert f"releases/two computes on this node, but not as planned: {missing}" in said
    assert not (current.parent / "releases" / "two" / "smoke.json").exists()


@pytest.mark.parametrize("script", ["exec sleep 60", "echo nothing of the kind", "kill -SEGV $$"])
def test_a_server_that_does_not_tell_is_recorded_as_one_and_not_refused(
    current, monkeypatch, script
):
    monkeypatch.setattr(build_proof, "TELL_TIMEOUT_S", 0.2)
    (current.parent / "releases" / "two" / "bin" / "llama-server").write_text(
        f"#!/bin/sh\n{script}\n"
    )
    assert switch(current, "releases/two", {"system_info": ["DOTPROD"], "kleidiai": []}) == 0
    assert record(current, "two")["system_info"] is None


def test_the_current_release_is_tested_again_without_its_link_being_touched(current):
    before = current.lstat()
    assert switch(current, "releases/one") == 0
    assert current.lstat().st_ino == before.st_ino
    assert record(current, "one")["buffers"] == []
