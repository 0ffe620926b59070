"""A release is made of the pinned source and declared options, and appears whole or not at all."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from bramble.remote import build_engine, build_proof, build_source, build_tools
from bramble.remote.build_tools import BuildError
from bramble.roles.engine import amx
from bramble.roles.engine import kleidiai as kleidiai_role

GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}
needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not on this machine")
needs_cmake = pytest.mark.skipif(
    not (shutil.which("cmake") and shutil.which("ninja")), reason="no cmake or no ninja here"
)


# The source


@pytest.fixture
def tree(tmp_path):
    """A project below two folders of an archive, with a git folder that nobody wants."""
    root = tmp_path / "made" / "pkg-1" / "vendor"
    for name, text in (
        ("llama.cpp/CMakeLists.txt", "project(toy)"),
        ("llama.cpp/src/a.cpp", "int a;"),
        ("llama.cpp/.git/HEAD", "ref"),
        ("other.txt", "not ours"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return tmp_path / "made"


@pytest.fixture
def source(tree, tmp_path):
    """An uploaded archive of the tree, as the query names it."""
    upload = tmp_path / "upload"
    with tarfile.open(upload, "w:gz") as archive:
        archive.add(tree / "pkg-1", "pkg-1")
    return {
        "kind": "archive",
        "upload": str(upload),
        "sha256": hashlib.sha256(upload.read_bytes()).hexdigest(),
        "subdir": "pkg-1/vendor/llama.cpp",
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work" / "src"


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_an_archive_is_unpacked_without_its_upper_folders_and_its_git(source, folder):
    build_source.get_source(source, str(folder))
    assert files(folder) == [".bramble-source", "CMakeLists.txt", "src/a.cpp"]
    assert sorted(os.listdir(folder.parent)) == ["src"]
    assert not os.path.exists(source["upload"])


def test_an_archive_may_have_its_project_at_the_root(source, folder, tree, tmp_path):
    with tarfile.open(source["upload"], "w") as archive:
        archive.add(tree / "pkg-1" / "vendor" / "llama.cpp", ".")
    found = hashlib.sha256(Path(source["upload"]).read_bytes()).hexdigest()
    build_source.get_source(source | {"sha256": found, "subdir": ""}, str(folder))
    assert files(folder) == [".bramble-source", "CMakeLists.txt", "src/a.cpp"]


def test_an_archive_of_another_content_is_refused(source, folder):
    with pytest.raises(BuildError, match=r"nothing was built\. Correct engine\.source\.archive"):
        build_source.get_source(source | {"sha256": "0" * 64}, str(folder))
    assert not folder.exists()
    assert not os.path.exists(f"{folder}.new.archive")


def test_what_is_hashed_is_what_is_unpacked(source, folder, monkeypatch):
    """Others may write to the upload while we read it: only our own copy counts."""
    real = build_tools.sha256

    def swap(path, *algorithm):
        assert path != source["upload"]
        Path(source["upload"]).write_bytes(b"swapped")
        return real(path, *algorithm)

    monkeypatch.setattr(build_tools, "sha256", swap)
    build_source.get_source(source, str(folder))
    assert "CMakeLists.txt" in files(folder)


def test_a_whole_source_of_the_same_identity_is_kept(source, folder, capsys):
    build_source.get_source(source, str(folder))
    (folder / "kept").write_text("x")
    build_source.get_source(source, str(folder))
    assert (folder / "kept").exists()
    assert "the source is there already" in capsys.readouterr().out


def test_a_source_of_another_identity_is_replaced(source, folder):
    folder.mkdir()
    (folder / "stale").write_text("x")
    (folder / ".bramble-source").write_text('{"kind": "git"}')
    build_source.get_source(source, str(folder))
    assert not (folder / "stale").exists()


def test_half_a_source_is_thrown_away(source, folder):
    new = Path(f"{folder}.new")
    new.mkdir()
    (new / "half").write_text("x")
    folder.mkdir()
    (folder / "also-half").write_text("x")
    build_source.get_source(source, str(folder))
    assert files(folder) == [".bramble-source", "CMakeLists.txt", "src/a.cpp"]
    assert not new.exists()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A local repository with two commits: its path, and the first one's name."""
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "repository"
    path.mkdir()

    def git(*words):
        done = subprocess.run(
            ["git", "-C", path, *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "--quiet")
    commits = []
    for text in ("first", "second"):
        (path / "CMakeLists.txt").write_text(text)
        git("add", ".")
        git("commit", "--quiet", "-m", text)
        commits.append(git("rev-parse", "HEAD"))
    return SimpleNamespace(url=str(path), first=commits[0], second=commits[1])


@needs_git
def test_a_git_source_is_the_pinned_commit_without_its_history(repository, folder):
    source = {"kind": "git", "url": repository.url, "commit": repository.first}
    build_source.get_source(source, str(folder))
    assert files(folder) == [".bramble-source", "CMakeLists.txt"]
    assert (folder / "CMakeLists.txt").read_text() == "first"


@needs_git
def test_a_commit_that_the_repository_lacks_is_refused(repository, folder):
    source = {"kind": "git", "url": repository.url, "commit": "a" * 40}
    with pytest.raises(BuildError, match=r"git -C .* ended with exit code \d+"):
        build_source.get_source(source, str(folder))
    assert not folder.exists()


@needs_git
def test_another_commit_than_the_asked_one_is_refused(repository, folder, monkeypatch):
    monkeypatch.setattr(build_tools, "output", lambda *argv, **_: repository.second)
    source = {"kind": "git", "url": repository.url, "commit": repository.first}
    with pytest.raises(BuildError, match=f"gave commit {repository.second} for {repository.first}"):
        build_source.get_source(source, str(folder))
    assert not folder.exists()


# The configuration

TOY = """
cmake_minimum_required(VERSION 3.20)
project(toy NONE)
option(GGML_NATIVE "use this machine's own instructions" OFF)
option(GGML_CPU_REPACK "repack" ON)
set(GGML_CPU_ARM_ARCH "" CACHE STRING "architecture")
# As llama.cpp does: every GGML_ variable counts as used, so that CMake warns of none.
get_cmake_property(names VARIABLES)
foreach(name ${names})
  if(name MATCHES "^GGML_")
    set(unused "${${name}}")
  endif()
endforeach()
"""


@pytest.fixture
def toy(tmp_path):
    source, build = tmp_path / "src", tmp_path / "build"
    source.mkdir()
    (source / "CMakeLists.txt").write_text(TOY)
    return str(source), str(build)


@needs_cmake
def test_declared_options_and_cmakes_own_are_taken(toy):
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "GGML_NATIVE": "ON",
        "GGML_CPU_ARM_ARCH": "armv8.2-a+dotprod",
        "LLAMA_BUILD_NUMBER": "1",
        "LLAMA_BUILD_COMMIT": "abc",
    }
    build_engine.configure(*toy, options)
    cache = Path(toy[1], "CMakeCache.txt").read_text()
    assert "GGML_NATIVE:BOOL=ON" in cache
    assert "GGML_CPU_ARM_ARCH:STRING=armv8.2-a+dotprod" in cache


@needs_cmake
def test_an_undeclared_option_is_refused_with_the_one_that_was_meant(toy):
    with pytest.raises(BuildError) as caught:
        build_engine.configure(*toy, {"GGML_CPU_REPAK": "ON"})
    assert str(caught.value) == (
        "llama.cpp has no option GGML_CPU_REPAK; did you mean GGML_CPU_REPACK? (engine.options)"
    )


@needs_cmake
def test_an_undeclared_option_of_an_earlier_run_is_forgotten(toy):
    with pytest.raises(BuildError, match="GGML_OLD"):
        build_engine.configure(*toy, {"GGML_OLD": "ON"})
    build_engine.configure(*toy, {"GGML_NATIVE": "ON"})
    assert "GGML_OLD" not in Path(toy[1], "CMakeCache.txt").read_text()


@needs_cmake
def test_a_toolchain_is_given_to_cmake_as_a_file(cache, tmp_path):
    calls = cache("A:BOOL=ON\n")
    build_engine.configure("src", str(tmp_path), {}, {"text": "set(CMAKE_SYSTEM_NAME Linux)\n"})
    (argv,) = calls
    assert argv[-1] == f"-DCMAKE_TOOLCHAIN_FILE={tmp_path}.cmake"
    assert Path(f"{tmp_path}.cmake").read_text() == "set(CMAKE_SYSTEM_NAME Linux)\n"


def test_a_project_that_does_not_configure_names_the_command(toy):
    Path(toy[0], "CMakeLists.txt").write_text("message(FATAL_ERROR no)")
    with pytest.raises(BuildError, match=r"^cmake --fresh -S \.\.\. ended with exit code 1$"):
        build_engine.configure(*toy, {})


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A CMake that writes the given cache."""
    calls = []

    def write(text):
        def call(*argv, **options):
            calls.append(argv)
            (tmp_path / "CMakeCache.txt").write_text(text)

        monkeypatch.setattr(build_tools, "call", call)
        return calls

    return write


def test_options_are_given_to_a_fresh_cmake_in_one_order(cache, tmp_path):
    calls = cache("A:BOOL=ON\nB:STRING=x\n")
    build_engine.configure("src", str(tmp_path), {"B": "x", "A": "ON"})
    (argv,) = calls
    assert argv[:2] == ("cmake", "--fresh")
    assert argv[-2:] == ("-DA=ON", "-DB=x")


def test_an_option_like_no_other_is_refused_without_a_guess(cache, tmp_path):
    cache("# comment\nGGML_NATIVE:BOOL=ON\nXYZZY:UNINITIALIZED=1\n")
    with pytest.raises(BuildError) as caught:
        build_engine.configure("src", str(tmp_path), {"XYZZY": "1"})
    assert str(caught.value) == "llama.cpp has no option XYZZY (engine.options)"


# KleidiAI

# As much of KleidiAI and of llama.cpp's way to take it as matters for the options.
ASKS_FOR_KLEIDIAI = """
cmake_minimum_required(VERSION 3.20)
project(ggml C)
option(GGML_CPU_KLEIDIAI "KleidiAI" OFF)
include(FetchContent)
FetchContent_Declare(kleidiai URL https://nowhere.invalid/k.tar.gz URL_HASH MD5=00)
FetchContent_GetProperties(kleidiai SOURCE_DIR there)
if(NOT kleidiai_POPULATED)
  FetchContent_Populate(kleidiai)
endif()
add_subdirectory(${kleidiai_SOURCE_DIR} ${kleidiai_BINARY_DIR})
"""
KLEIDIAI = """
cmake_minimum_required(VERSION 3.16)
project(KleidiAI C)
set(files kai/ukernels/matmul/pack/kai_lhs_quant_pack_qai8dxp_bf16_neon.c kai/other.c)
set_source_files_properties(${files} PROPERTIES COMPILE_OPTIONS -DOWN=1)
add_library(kleidiai STATIC ${files})
"""


@pytest.fixture
def kleidiai(tmp_path):
    """An uploaded archive of KleidiAI in a folder of its own, as the query names it."""
    root = tmp_path / "made" / "kleidiai-1.24.0"
    pack = root / "kai" / "ukernels" / "matmul" / "pack"
    pack.mkdir(parents=True)
    (pack / "kai_lhs_quant_pack_qai8dxp_bf16_neon.c").write_text("int a;")
    (root / "kai" / "other.c").write_text("int b;")
    (root / "CMakeLists.txt").write_text(KLEIDIAI)
    upload = tmp_path / "kleidiai.tar"
    with tarfile.open(upload, "w") as archive:
        archive.add(root, root.name)
    (tmp_path / "work").mkdir()
    return {
        "kind": "archive",
        "upload": str(upload),
        "sha256": hashlib.sha256(upload.read_bytes()).hexdigest(),
        "subdir": "",
    }


@needs_cmake
def test_kleidiai_is_taken_from_its_archive_without_the_pass_that_crashes_gcc_12(
    kleidiai, tmp_path
):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "CMakeLists.txt").write_text(ASKS_FOR_KLEIDIAI)
    options = build_source.kleidiai(kleidiai, str(tmp_path / "work"))
    options |= build_engine.hooked(kleidiai_role.HOOK, str(tmp_path / "work"))
    build = tmp_path / "build"
    build_engine.configure(str(tmp_path / "src"), str(build), {"GGML_CPU_KLEIDIAI": "ON"} | options)
    rules = {
        Path(block.split(": ")[0].removesuffix(".o")).name: block
        for block in (build / "build.ninja").read_text().split("\nbuild ")
        if ".c.o: " in block
    }
    crashing = rules["kai_lhs_quant_pack_qai8dxp_bf16_neon.c"]
    assert "-fno-tree-loop-vectorize" in crashing
    assert "-DOWN=1" in crashing  # what KleidiAI sets itself stays
    assert "-fno-tree-loop-vectorize" not in rules["other.c"]


# As much of ggml's folders as the hook for AMX depends on, and what llama.cpp does with the tiles.
TILES = """
#include <immintrin.h>
#include <cstdint>
struct config { uint8_t palette, start, reserved[14]; uint16_t columns[16]; uint8_t rows[16]; };
void begin() {
    config now = {};
    now.palette = 1;
    for (int i = 0; i < 8; i++) { now.rows[i] = 16; now.columns[i] = 64; }
    _tile_loadconfig(&now);
}
"""


@needs_cmake
@pytest.mark.skipif(platform.machine() != "x86_64", reason="AMX is of x86-64")
@pytest.mark.parametrize("hook", [amx.HOOK, "# none"])
def test_the_tile_configuration_is_stored_whole(hook, tmp_path):
    source, build = tmp_path / "src", tmp_path / "build"
    (source / "src" / "ggml-cpu" / "amx").mkdir(parents=True)
    (source / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(ggml CXX)\nadd_subdirectory(src)\n"
    )
    (source / "src" / "CMakeLists.txt").write_text(
        "add_library(cpu OBJECT ggml-cpu/amx/mmq.cpp)\n"
        'target_compile_options(cpu PRIVATE -O3 "-mamx-tile")\n'
    )
    (source / "src" / "ggml-cpu" / "amx" / "mmq.cpp").write_text(TILES)
    build_engine.configure(str(source), str(build), build_engine.hooked(hook, str(tmp_path)))
    build_engine.compile_targets(str(build), ["cpu"], 1)
    (built,) = build.rglob("mmq.cpp.o")
    code = subprocess.run(
        ["objdump", "--disassemble", str(built)], capture_output=True, text=True, check=True
    ).stdout
    assert "ldtilecfg" in code
    version = subprocess.run(["c++", "-dumpfullversion"], capture_output=True, text=True).stdout
    rows = "0x1010101010101010" in code
    assert rows if hook == amx.HOOK else not (rows and version.startswith("12.2"))


@pytest.mark.parametrize("subdir", ["", "kleidiai-1.24.0"])
def test_kleidiais_folder_is_named_or_the_only_one(kleidiai, tmp_path, subdir):
    options = build_source.kleidiai(kleidiai | {"subdir": subdir}, str(tmp_path / "work"))
    assert Path(options["FETCHCONTENT_SOURCE_DIR_KLEIDIAI"], "CMakeLists.txt").exists()
    assert options["FETCHCONTENT_FULLY_DISCONNECTED"] == "ON"


def test_an_archive_without_kleidiai_is_refused(kleidiai, tmp_path):
    with pytest.raises(BuildError, match=r"no CMakeLists\.txt there; correct its subdir"):
        build_source.kleidiai(kleidiai | {"subdir": "kleidiai-1.24.0/kai"}, str(tmp_path / "work"))


def test_another_archive_of_kleidiai_is_refused_by_its_setting(kleidiai, tmp_path):
    with pytest.raises(BuildError, match=r"Correct engine\.kleidiai\.archive"):
        build_source.kleidiai(kleidiai | {"sha256": "0" * 64}, str(tmp_path / "work"))


def released(kleidiai, **more):
    """The same archive as a download."""
    content = Path(kleidiai["upload"]).read_bytes()
    url = Path(kleidiai["upload"]).as_uri()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return {"kind": "download", "url": url, "md5": md5} | more


def test_kleidiai_is_downloaded_and_held_against_llama_cpps_own_sum(kleidiai, tmp_path):
    work = str(tmp_path / "work")
    options = build_source.kleidiai(released(kleidiai), work)
    assert Path(options["FETCHCONTENT_SOURCE_DIR_KLEIDIAI"], "CMakeLists.txt").exists()
    with pytest.raises(BuildError, match=r"md5 is \w{32} and the inventory pins 0{32};"):
        build_source.kleidiai(released(kleidiai, md5="0" * 32), work)


def test_a_download_that_fails_tells_of_the_local_archive(kleidiai, tmp_path):
    lost = released(kleidiai, url=(tmp_path / "lost").as_uri())
    with pytest.raises(BuildError, match=r"cannot be fetched .* give engine\.kleidiai\.archive"):
        build_source.kleidiai(lost, str(tmp_path / "work"))


@pytest.mark.parametrize(
    ("symbols", "count"),
    [
        ("0 T kai_run_a\n1 t kai_run_b\n2 T kai_get_m_step\n", 2),
        ("0 T kai_get_m_step\n         U kai_run_a\n", None),
    ],
)
def test_kernels_that_were_asked_for_are_counted_in_the_program(monkeypatch, symbols, count):
    asked = []
    monkeypatch.setattr(build_tools, "output", lambda *argv, **_: asked.append(argv) or symbols)
    if count is None:
        with pytest.raises(BuildError, match="none of KleidiAI's kernels"):
            build_proof.kleidiai_kernels("server", "aarch64-linux-gnu-")
    else:
        assert build_proof.kleidiai_kernels("server", "aarch64-linux-gnu-") == count
    assert asked == [("aarch64-linux-gnu-nm", "server")]


# The compilation


def test_a_command_that_fails_is_named():
    with pytest.raises(BuildError, match=r"^sh -c exit 3 \.\.\. ended with exit code 3$"):
        build_tools.call("sh", "-c", "exit 3")


# The release

SERVER = "#!/bin/sh\necho version: 1 >&2\n"
NINJA = """\
build a.dir/ggml.c.o: C_COMPILER a.c
  FLAGS = -O3 -DNDEBUG

build ggml/ggml-cpu.dir/ggml-cpu/ggml-cpu.c.o: C_COMPILER ggml-cpu.c
  DEFINES = -DGGML_SCHED -DGGML_USE_OPENMP -DGGML_USE_CPU_REPACK
  FLAGS = -O3 -Wall -march=armv8-a+crc -mtune=cortex-a72
"""


@pytest.fixture
def build(tmp_path):
    """A build folder whose programs are shell scripts."""
    folder = tmp_path / "build"
    (folder / "bin").mkdir(parents=True)
    for name in ("llama-server", "llama-bench"):
        program = folder / "bin" / name
        program.write_text(SERVER)
        program.chmod(0o755)
    (folder / "build.ninja").write_text(NINJA)
    return folder


def stripped(called):
    """In place of commands: they are noted, and strip copies what it is given."""

    def call(*argv, **_):
        called.append(argv[0])
        if argv[1] == "-o":
            shutil.copy(argv[3], argv[2])

    return call


def install(query, build):
    """Install what is in a build's folder, as the program does after a compile."""
    scratch = Path(build).with_name("scratch")
    scratch.mkdir(exist_ok=True)
    build_engine.install(query, build, str(scratch))


@pytest.fixture
def query(tmp_path, monkeypatch):
    """What to install, where no stripper and no compiler is needed."""
    monkeypatch.setattr(build_tools, "call", stripped([]))
    monkeypatch.setattr(build_tools, "output", lambda *argv, **_: "c++ (Debian) 12.2.0\nmore")
    (tmp_path / "releases").mkdir()
    return {
        "release": str(tmp_path / "releases" / "abc"),
        "targets": ["llama-server", "llama-bench"],
        "needs_at_most": {"GLIBC": "2.36", "GLIBCXX": "3.4.30"},
        "manifest": {"release": "abc", "soc": "cortex-a76"},
    }


def test_a_release_has_its_programs_and_a_manifest_with_their_sums(query, build):
    install(query, str(build))
    release = Path(query["release"])
    assert files(release) == ["bin/llama-bench", "bin/llama-server", "manifest.json"]
    manifest = json.loads((release / "manifest.json").read_text())
    assert set(manifest) == {
        *("release", "soc", "binaries", "builder", "built_at"),
        *("compiled_in", "compiler", "needs"),
    }
    assert manifest["compiled_in"] == {
        "cpu_flags": "-O3 -march=armv8-a+crc -mtune=cortex-a72",
        "parts": ["CPU_REPACK", "OPENMP"],
        "system_info": None,  # this one tells nothing
    }
    assert manifest["compiler"] == "c++ (Debian) 12.2.0"
    assert manifest["binaries"] == {
        name: hashlib.sha256(SERVER.encode()).hexdigest() for name in query["targets"]
    }
    assert os.listdir(release.parent) == ["abc"]


def test_a_release_appears_by_one_rename_with_its_manifest_in_it(query, build, monkeypatch):
    seen = []
    real = os.rename

    def rename(old, new):
        seen.append((new, os.path.exists(new), os.path.exists(f"{old}/manifest.json")))
        real(old, new)

    monkeypatch.setattr(os, "rename", rename)
    install(query, str(build))
    assert seen == [(query["release"], False, True)]


def test_the_manifest_is_written_after_every_program(query, build, monkeypatch):
    real = build_tools.sha256

    def no_manifest_yet(path):
        assert not (Path(path).parents[1] / "manifest.json").exists()
        return real(path)

    monkeypatch.setattr(build_tools, "sha256", no_manifest_yet)
    install(query, str(build))
    assert Path(query["release"], "manifest.json").exists()


def test_a_server_that_does_not_start_makes_no_release(query, build):
    (build / "bin" / "llama-server").write_text(
        "#!/bin/sh\necho Illegal instruction >&2\nexit 132\n"
    )
    with pytest.raises(BuildError, match="does not start: Illegal instruction"):
        install(query, str(build))
    assert not os.path.exists(query["release"])


def test_a_program_that_was_not_built_makes_no_release(query, build):
    (build / "bin" / "llama-bench").unlink()
    with pytest.raises(FileNotFoundError):
        install(query, str(build))
    assert not os.path.exists(query["release"])


def test_a_damaged_release_is_replaced(query, build):
    release = Path(query["release"])
    release.mkdir()
    (release / "damaged").write_text("x")
    install(query, str(build))
    assert files(release) == ["bin/llama-bench", "bin/llama-server", "manifest.json"]
    assert os.listdir(release.parent) == ["abc"]


def test_what_a_killed_build_left_behind_is_replaced(query, build):
    stale = Path(query["release"]).with_name(".abc.new")
    stale.mkdir()
    (stale / "half").write_text("x")
    install(query, str(build))
    assert not stale.exists()
    assert "half" not in files(Path(query["release"]))


def test_a_crossed_release_is_not_run_and_is_stripped_by_the_targets_own_program(
    query, build, monkeypatch
):
    called = []
    monkeypatch.setattr(build_tools, "call", stripped(called))
    (build / "bin" / "llama-server").write_text("no program of this computer")
    install(query | {"toolchain": {"prefix": "aarch64-linux-gnu-"}}, str(build))
    assert set(called) == {"aarch64-linux-gnu-strip"}
    assert os.path.exists(query["release"])


TELLS = """#!/bin/sh
echo "I cmn system_info: n_threads = 2 / 2 | CPU : NEON = 1 | DOTPROD = 1 | KLEIDIAI = 1 | " >&2
test $1 = --version
"""


def test_what_the_program_tells_of_itself_is_recorded(query, build):
    (build / "bin" / "llama-server").write_text(TELLS)
    install(query | {"wants": ["DOTPROD"]}, str(build))
    found = json.loads(Path(query["release"], "manifest.json").read_text())["compiled_in"]
    assert found["system_info"] == {"NEON": "1", "DOTPROD": "1", "KLEIDIAI": "1"}
    assert "kleidiai_kernels" not in found


def test_kleidiais_kernels_are_counted_before_the_program_is_stripped(query, build, monkeypatch):
    called = []
    monkeypatch.setattr(build_tools, "call", stripped(called))
    monkeypatch.setattr(
        build_tools, "output", lambda *argv, **_: called.append(argv[0]) or "0 T kai_run_a"
    )
    install(query | {"kleidiai": {"kind": "download"}}, str(build))
    found = json.loads(Path(query["release"], "manifest.json").read_text())["compiled_in"]
    assert found["kleidiai_kernels"] == 1
    assert called[:2] == ["nm", "strip"]


def test_a_program_that_lacks_what_its_options_ask_for_makes_no_release(query, build):
    (build / "bin" / "llama-server").write_text(TELLS)
    with pytest.raises(BuildError, match="the new llama-server has no SVE, only "):
        install(query | {"wants": ["DOTPROD", "SVE"]}, str(build))
    assert not os.path.exists(query["release"])


def test_a_crossed_program_tells_where_there_is_an_emulator(query, build, tmp_path):
    emulator = tmp_path / "emulator"
    emulator.write_text('#!/bin/sh\ntest "$1" = -cpu && shift 2 && exec sh "$@"\n')
    emulator.chmod(0o755)
    (build / "bin" / "llama-server").write_text(TELLS)
    crossed = query | {"toolchain": {"prefix": ""}, "emulator": [str(emulator), "-cpu", "a76"]}
    install(crossed, str(build))
    found = json.loads(Path(query["release"], "manifest.json").read_text())["compiled_in"]
    assert found["system_info"] == {"NEON": "1", "DOTPROD": "1", "KLEIDIAI": "1"}


@pytest.mark.parametrize(
    ("symbol", "problem"),
    [
        (b"GLIBC_2.36\0GLIBC_2.4\0GLIBCXX_3.4.30\0", None),
        (b"GLIBC_2.38\0", "the programs need GLIBC_2.38 and the nodes have 2.36 at most"),
        (b"GLIBC_2.4\0GLIBCXX_3.4.31\0", "need GLIBCXX_3.4.31 and the nodes have 3.4.30"),
    ],
)
def test_programs_that_the_nodes_libraries_could_not_load_make_no_release(
    query, build, symbol, problem
):
    (build / "bin" / "llama-bench").write_bytes(b"\0" + symbol)
    if problem is None:
        install(query, str(build))
        manifest = json.loads(Path(query["release"], "manifest.json").read_text())
        assert manifest["needs"] == {"GLIBC": "2.36", "GLIBCXX": "3.4.30"}
        return
    with pytest.raises(BuildError, match=problem):
        install(query, str(build))
    assert not os.path.exists(query["release"])


# The whole


def test_a_disk_that_is_too_small_is_told_before_anything_is_built(tmp_path, monkeypatch):
    room = SimpleNamespace(free=build_engine.NEEDED_BYTES - 1)
    monkeypatch.setattr(build_engine.shutil, "disk_usage", lambda folder: room)
    with pytest.raises(BuildError, match="has 1023 MiB free and the build needs 1024"):
        build_engine.check_space(str(tmp_path))


def test_a_build_takes_its_steps_in_order_and_says_why_it_stopped(
    query, tmp_path, monkeypatch, capsys
):
    taken = []
    for module, name in (
        (build_engine, "check_space"),
        (build_source, "get_source"),
        (build_engine, "configure"),
        (build_engine, "compile_targets"),
    ):
        monkeypatch.setattr(module, name, lambda *_, name=name: taken.append(name))
    whole = query | {
        "work": str(tmp_path / "work"),
        "ccache": str(tmp_path / "ccache"),
        "source": {},
        "options": {},
        "jobs": 1,
    }
    assert build_engine.main(whole) == 1  # nothing was compiled, so there is nothing to install
    assert taken == ["check_space", "get_source", "configure", "compile_targets"]
    assert ":: the build stopped: " in capsys.readouterr().out
    assert (tmp_path / "ccache").is_dir()


def test_a_command_that_is_not_there_is_named():
    with pytest.raises(build_tools.BuildError, match="no-such-cmake is not installed here"):
        build_tools.call("no-such-cmake", "--version")
