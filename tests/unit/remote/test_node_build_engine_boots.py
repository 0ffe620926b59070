"""A build continues in the same boot, and begins again after a power cut: with real tools."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from bramble.remote import build_engine

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("cmake", "ninja", "ccache", "strip", "g++"))),
    reason="no cmake, ninja, ccache or compiler here",
)

PROJECT = """
cmake_minimum_required(VERSION 3.20)
project(toy C)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
add_subdirectory(src)
"""
PARTS = """
add_library(ggml STATIC ggml-cpu.c)
foreach(name llama-server llama-bench)
  add_executable(${name} ${name}.c)
  target_link_libraries(${name} ggml)
endforeach()
"""
MAIN = (
    '#include <stdio.h>\nint ggml(void);\nint main(void) { printf("%d\\n", ggml()); return 0; }\n'
)
TARGETS = ("llama-server", "llama-bench")


@pytest.fixture
def query(tmp_path):
    """A whole build of a toy that is made as llama.cpp is."""
    return toy_query(tmp_path)


def toy_query(tmp_path, more=""):
    """A whole build of the toy below a folder; `more` is what its CMakeLists.txt ends with."""
    toy = tmp_path / "toy"
    (toy / "src").mkdir(parents=True)
    (toy / "CMakeLists.txt").write_text(PROJECT + more)
    # `cmake --fresh` removes the CMakeFiles of the first folder and leaves those of the others.
    (toy / "src" / "CMakeLists.txt").write_text(PARTS)
    (toy / "src" / "ggml-cpu.c").write_text("int ggml(void) { return 42; }\n")
    for name in TARGETS:
        (toy / "src" / f"{name}.c").write_text(MAIN)
    sent = tmp_path / "sent.tar"
    with tarfile.open(sent, "w") as archive:
        archive.add(toy, ".")
    return {
        "work": str(tmp_path / "work"),
        "ccache": str(tmp_path / "ccache"),
        "release": str(tmp_path / "releases" / "abc"),
        "source": {
            "kind": "archive",
            "upload": str(sent),
            "sha256": hashlib.sha256(sent.read_bytes()).hexdigest(),
        },
        "options": {"CMAKE_C_COMPILER_LAUNCHER": "ccache", "CMAKE_BUILD_TYPE": "Release"},
        "targets": list(TARGETS),
        "jobs": 1,
        "needs_at_most": {},
        "manifest": {"release": "abc"},
    }


@pytest.fixture
def built(query):
    """The query, after its build and without its release."""
    assert build_engine.main(query) == 0
    shutil.rmtree(query["release"])
    return query


def in_another_boot(query):
    """Have the note say that what is there was compiled before the power was cut."""
    Path(query["work"], "boot").write_text("8a7c5b1e-0000-4000-8000-000000000000\n")


def build_folder(query):
    return Path(query["work"], "build")


def cut(path, share):
    """What ext4 keeps of a file whose blocks were not written when the power went."""
    os.truncate(path, int(path.stat().st_size * share))


def answer(query):
    return {
        name: subprocess.run([f"{query['release']}/bin/{name}"], capture_output=True).stdout
        for name in TARGETS
    }


def hits(query):
    said = subprocess.run(
        ["ccache", "--print-stats"],
        env={**os.environ, "CCACHE_DIR": query["ccache"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    reported = dict(line.split("\t") for line in said.splitlines())
    return int(reported["direct_cache_hit"]) + int(reported["preprocessed_cache_hit"])


WHOLE = {"llama-server": b"42\n", "llama-bench": b"42\n"}


@pytest.mark.parametrize(
    ("lost", "share"),
    [
        ("bin/llama-server", 0),
        ("bin/llama-server", 0.5),
        ("libggml.a", 0.5),
        ("*/*.o", 0.5),
        ("build.ninja", 0.5),
        (".ninja_log", 0.5),
    ],
)
def test_what_a_power_cut_took_of_a_build_is_made_again(built, lost, share):
    found = [path for path in build_folder(built).rglob("*") if path.match(lost)]
    assert found
    for path in found:
        cut(path, share)
    in_another_boot(built)
    assert build_engine.main(built) == 0
    assert answer(built) == WHOLE


def test_ccache_gives_back_what_another_boot_compiled(built, capsys):
    before = hits(built)
    in_another_boot(built)
    assert build_engine.main(built) == 0
    assert hits(built) == before + 3
    assert "what an earlier boot compiled is removed" in capsys.readouterr().out


@pytest.mark.parametrize("share", [0, 0.5])
def test_what_a_power_cut_took_of_ccaches_entries_is_compiled(built, share):
    entries = [path for path in Path(built["ccache"]).rglob("*") if path.is_file()]
    assert len(entries) > 3
    for path in entries:
        cut(path, share)
    in_another_boot(built)
    assert build_engine.main(built) == 0
    assert answer(built) == WHOLE


def test_a_build_of_which_no_boot_is_known_begins_anew(built):
    Path(built["work"], "boot").unlink()
    cut(build_folder(built) / "bin" / "llama-server", 0)
    assert build_engine.main(built) == 0
    assert answer(built) == WHOLE


def test_what_this_boot_compiled_is_kept(built):
    (one,) = build_folder(built).rglob("ggml-cpu.c.o")
    before = one.stat().st_mtime_ns
    assert build_engine.main(built) == 0
    assert one.stat().st_mtime_ns == before
    assert answer(built) == WHOLE
