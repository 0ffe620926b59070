"""A build for nodes runs here with the nodes' own program, and ends in the store or not at all."""

import json
import os
import platform
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from bramble.cli import main
from bramble.llama import builder, store
from bramble.llama.builder import BuilderError

# In place of the program that compiles: it installs what it was asked for.
PROGRAM = """
import json, os, sys
def main(query):
    print(":: compiling", flush=True)
    for done in range(1, 11):
        print(f"[{done}/10] object")
    print("noise")
    os.makedirs(query["release"])
    told = query["manifest"] | {"asked": {k: v for k, v in query.items() if k != "manifest"}}
    told |= {"built_at": "2026-01-01", "compiler": "gcc 12", "builder": "here"}
    told |= {"compiled_in": {"cpu_flags": "-march=armv8-a+crc", "parts": []}}
    told["compiled_in"]["system_info"] = {"NEON": "1", "DOTPROD": "1"} if query["emulator"] else None
    if query["kleidiai"]:
        told["compiled_in"]["kleidiai_kernels"] = 24
    with open(os.path.join(query["release"], "manifest.json"), "w") as file:
        json.dump(told, file)
    return 0
"""
FAILS = """
def main(query):
    print(":: the build stopped: llama.cpp has no option GGML_X", flush=True)
    return 1
"""
FLEET = {
    "settings": {
        "model": {"name": "toy", "url": "http://m.example.org/toy.gguf", "sha256": "d" * 64},
        "engine": {
            "recipe": "cross",
            "source": {"archive": {"path": "src.tar", "sha256": "a" * 64}},
        },
    },
    "hosts": {"pi4-a": {}, "pi4-b": {}, "own": {"engine": {"recipe": "native"}}},
}


@pytest.fixture
def compiles(tmp_path, monkeypatch):
    """A computer with every compiler; `compiles(text)` puts a program in place of the real one."""
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "store"))
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    (tmp_path / "fleet.yml").write_text(json.dumps(FLEET))
    (tmp_path / "src.tar").write_text("an archive")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    asked = []

    def use(text):
        def program(name, query):
            asked.append(query)
            call = f"raise SystemExit(main(json.loads({json.dumps(query)!r})))"
            return f"{text}\nimport json\n{call}\n"

        monkeypatch.setattr(builder, "program", program)
        return asked

    return use


def bramble(*words):
    return CliRunner().invoke(main, ["engine", *words])


def test_a_release_is_built_once_for_all_hosts_of_a_like_and_kept(compiles):
    asked = compiles(PROGRAM)
    done = bramble("build", "--soc", "cortex-a72", "--json")
    assert done.exit_code == 0, done.output
    (made,) = json.loads(done.stdout)["releases"]
    assert "compiling" in done.stderr
    assert (made["manifest"]["soc"], made["manifest"]["recipe"]) == ("cortex-a72", "cross")
    assert Path(made["path"]).exists()
    again = bramble("build", "--soc", "cortex-a72", "--json")
    assert json.loads(again.stdout)["releases"] == [made]
    assert len(asked) == 1


def test_a_build_that_waited_for_another_takes_what_that_one_made(compiles, monkeypatch):
    asked = compiles(PROGRAM)
    real, looks = store.find, []

    def find(release):
        looks.append(release)
        if len(looks) == 2:  # the first look, outside the lock, found nothing
            builder._build(asked_for[0], False, {}, lambda line: None)
        return real(release)

    asked_for = []
    monkeypatch.setattr(store, "find", find)
    monkeypatch.setattr(
        builder,
        "build",
        lambda query, *rest, build=builder.build: asked_for.append(query) or build(query, *rest),
    )
    done = bramble("build", "--soc", "cortex-a72", "--json")
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["releases"]) == 1
    assert len(asked) == 1


def test_without_a_processor_every_core_known_by_name_is_built_for(compiles):
    compiles(PROGRAM)
    done = bramble("build", "--json")
    socs = [entry["manifest"]["soc"] for entry in json.loads(done.stdout)["releases"]]
    assert socs == ["cortex-a72", "cortex-a76"]


def test_the_users_archive_is_left_where_it_is(compiles, tmp_path):
    asked = compiles(PROGRAM)
    assert bramble("build", "--soc", "cortex-a72").exit_code == 0
    (query,) = asked
    assert query["source"]["upload"] != str(tmp_path / "src.tar")
    assert (tmp_path / "src.tar").read_text() == "an archive"
    assert not os.path.exists(query["source"]["upload"])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="this computer is no x86-64")
def test_arm_is_crossed_and_this_computers_own_kind_is_not(compiles):
    asked = compiles(PROGRAM)
    assert bramble("build", "--soc", "cortex-a76").exit_code == 0
    assert bramble("build", "--soc", "x86-64", "own").exit_code == 0
    crossed, own = asked
    assert crossed["toolchain"]["prefix"] == "aarch64-linux-gnu-"
    assert "CMAKE_SYSTEM_PROCESSOR aarch64" in crossed["toolchain"]["text"]
    assert own["toolchain"] is None
    assert own["options"]["GGML_NATIVE"] == "OFF"
    # What was crossed is run as on its own processor, to tell what is in it.
    assert crossed["emulator"] == [
        *("/usr/bin/qemu-aarch64-static", "-cpu", "cortex-a76", "-L", "/usr/aarch64-linux-gnu")
    ]
    assert own["emulator"] is None


@pytest.mark.skipif(platform.machine() != "x86_64", reason="nothing is crossed here")
def test_without_an_emulator_nothing_is_read_back_here_and_the_list_says_so(compiles, monkeypatch):
    compiles(PROGRAM)
    monkeypatch.setattr(
        shutil, "which", lambda name: None if name.startswith("qemu") else f"/usr/bin/{name}"
    )
    assert bramble("build", "--soc", "cortex-a76").exit_code == 0
    assert "system_info: not run where it was built" in bramble("list").stdout


def with_kleidiai(tmp_path, **more):
    """The fleet with KleidiAI from a local archive."""
    fleet = json.loads(json.dumps(FLEET))
    archive = {"path": "kleidiai.tar", "sha256": "b" * 64, "subdir": "kleidiai-1.24.0"}
    fleet["settings"]["engine"] |= {"variant": "kleidiai", "kleidiai": {"archive": archive}, **more}
    (tmp_path / "fleet.yml").write_text(json.dumps(fleet))
    (tmp_path / "kleidiai.tar").write_text("another archive")


def test_kleidiai_is_built_where_its_kernels_run_and_told_of_where_they_do_not(compiles, tmp_path):
    asked = compiles(PROGRAM)
    with_kleidiai(tmp_path)
    done = bramble("build", "--json")
    assert done.exit_code == 0, done.output
    (made,) = json.loads(done.stdout)["releases"]
    assert made["manifest"]["soc"] == "cortex-a76"
    assert made["manifest"]["kleidiai"]["sha256"] == "b" * 64
    assert "not built for cortex-a72: engine.variant is kleidiai" in done.stderr
    (query,) = asked
    assert query["kleidiai"]["upload"] != query["source"]["upload"]
    assert not os.path.exists(query["kleidiai"]["upload"])
    assert (tmp_path / "kleidiai.tar").read_text() == "another archive"
    said = bramble("list").stdout
    if query["emulator"]:
        assert "system_info: NEON DOTPROD; 24 kernels of KleidiAI" in said


def test_kleidiai_for_a_processor_without_dotprod_is_refused_unless_it_is_forced(
    compiles, tmp_path
):
    asked = compiles(PROGRAM)
    with_kleidiai(tmp_path)
    refused = bramble("build", "--soc", "cortex-a72")
    assert (refused.exit_code, asked) == (2, [])
    assert "cortex-a72 has no dotprod" in refused.stderr
    assert "engine.force to true" in refused.stderr
    with_kleidiai(tmp_path, force=True)
    assert bramble("build", "--soc", "cortex-a72").exit_code == 0
    assert len(asked) == 1


def test_a_build_that_fails_says_why_and_stores_nothing(compiles, tmp_path):
    compiles(FAILS)
    done = bramble("build", "--soc", "cortex-a72")
    assert done.exit_code == 1
    assert "llama.cpp has no option GGML_X (the whole log: " in done.stderr
    assert store.entries() == ()


def test_a_build_that_was_killed_says_by_which_signal(compiles):
    compiles(FAILS.replace("return 1", "import os; os.kill(os.getpid(), 9)"))
    done = bramble("build", "--soc", "cortex-a72")
    assert done.exit_code == 1
    said = "has no option GGML_X; the build was ended by signal 9 (SIGKILL) (the whole log: "
    assert said in done.stderr


def test_a_compiler_that_is_missing_is_told_with_the_package_that_has_it(compiles, monkeypatch):
    compiles(PROGRAM)
    monkeypatch.setattr(shutil, "which", lambda name: None if "aarch64" in name else name)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(BuilderError, match="lacks g\\+\\+-aarch64-linux-gnu: sudo apt install"):
        builder.build({}, "arm64", {}, print)


def test_a_host_that_compiles_for_itself_is_refused(compiles):
    compiles(PROGRAM)
    done = bramble("build", "--soc", "cortex-a72", "own")
    assert done.exit_code == 2
    assert "engine.recipe is native there" in done.stderr


def test_an_unknown_processor_is_refused_with_those_that_are_known(compiles):
    compiles(PROGRAM)
    done = bramble("build", "--soc", "cortex-a53")
    assert done.exit_code == 2
    assert "known: cortex-a72, cortex-a76, arm64-generic, x86-64" in done.stderr


def test_the_list_tells_where_a_release_comes_from(compiles):
    compiles(PROGRAM)
    assert "The store is empty" in bramble("list").stdout
    bramble("build", "--soc", "cortex-a72")
    said = bramble("list").stdout
    assert "cortex-a72  bookworm  plain  b0-0c1e57098" in said
    assert "-march=armv8-a+crc" in said
    assert "gcc 12, on here" in said


def test_prune_removes_what_no_host_would_install_and_keeps_the_rest(compiles, tmp_path):
    compiles(PROGRAM)
    bramble("build", "--soc", "cortex-a72")
    (first,) = store.entries()
    other = json.loads(json.dumps(FLEET))
    other["settings"]["engine"]["build_number"] = 7
    (tmp_path / "fleet.yml").write_text(json.dumps(other))
    bramble("build", "--soc", "cortex-a72")
    assert len(store.entries()) == 2
    done = bramble("prune", "--json")
    assert json.loads(done.stdout) == {"removed": [first.release]}
    assert bramble("prune").stdout == "There was nothing to remove.\n"
    (kept,) = store.entries()
    assert bramble("prune", kept.release).exit_code == 0
    assert store.entries() == ()
    refused = bramble("prune", "none")
    assert (refused.exit_code, "the store has no release none" in refused.stderr) == (1, True)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="this computer is no x86-64")
@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, True),
        ({"options": {"GGML_AVX2": "OFF", "GGML_AVX512": "OFF"}}, True),
        ({"options": {"GGML_LTO": "ON"}}, False),
        ({"source": {"kind": "archive", "sha256": "b" * 64, "subdir": ""}}, False),
        ({"codename": "trixie"}, True),
        ({"codename": "bullseye"}, False),
    ],
)
def test_prune_keeps_what_a_node_built_for_its_like(compiles, tmp_path, change, kept):
    """This computer cannot tell the processor features of x86-64 nodes, so they do not count."""
    compiles(PROGRAM)
    (tmp_path / "fleet.yml").write_text(json.dumps(FLEET | {"hosts": {"own": {}}}))
    bramble("build", "--soc", "x86-64")
    (mine,) = store.entries()
    (tmp_path / "built" / "bin").mkdir(parents=True)
    manifest = json.loads(json.dumps(dict(mine.manifest))) | {"release": "built-by-a-node"}
    manifest |= change | {"options": manifest["options"] | change.get("options", {})}
    (tmp_path / "built" / "manifest.json").write_text(json.dumps(manifest))
    store.add(tmp_path / "built")
    done = bramble("prune", "--json")
    gone = [] if kept else ["built-by-a-node"]
    assert json.loads(done.stdout) == {"removed": gone}


def test_prune_keeps_what_an_arm_node_built_while_nodes_compile(compiles, tmp_path):
    compiles(PROGRAM)
    bramble("build", "--soc", "cortex-a72")
    (crossed,) = store.entries()
    options = dict(crossed.manifest["options"]) | {"GGML_NATIVE": "ON"}
    del options["GGML_CPU_ARM_ARCH"]
    (tmp_path / "built").mkdir()
    manifest = dict(crossed.manifest) | {"release": "native", "options": options}
    (tmp_path / "built" / "manifest.json").write_text(json.dumps(manifest))
    store.add(tmp_path / "built")
    assert json.loads(bramble("prune", "--json").stdout) == {"removed": []}
    cross_only = FLEET | {"hosts": {"pi4-a": {}}}
    (tmp_path / "fleet.yml").write_text(json.dumps(cross_only))
    assert json.loads(bramble("prune", "--json").stdout) == {"removed": ["native"]}
