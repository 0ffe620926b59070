"""Which release a processor gets: its key, its options, and who may build it."""

from dataclasses import replace

import pytest
from good_node import A76, PI5, node_plan, recorded
from pydantic import ValidationError

from bramble import parse
from bramble.board import SUPPORTED_CODENAMES, Board
from bramble.snapshot import Snapshot
from roles.engine import plan as engine
from roles.engine import processor
from roles.engine.settings import RENAMED, Settings

PI4 = replace(PI5, kind="pi4", cpu_part="0xd08", cpu_features=frozenset(["fp", "asimd", "crc32"]))
OTHER_ARM = replace(PI5, kind="other", cpu_part="0xd03")
MINI_PC = replace(
    PI5,
    kind="other",
    architecture="amd64",
    cpu_part=None,
    cpu_features=parse.cpuinfo(recorded("cpuinfo.container-bookworm-amd64.txt")).features,
)


def planned(board: Board, **settings: object) -> engine.EnginePlan:
    part = node_plan(board, engine={"build_number": 1, **settings}).roles["engine"]
    assert isinstance(part, engine.EnginePlan)
    return part


@pytest.mark.parametrize(
    ("board", "key"),
    [
        (PI4, "cortex-a72"),
        (PI5, "cortex-a76"),
        (OTHER_ARM, "arm64-0xd03"),
        (replace(OTHER_ARM, cpu_part=None), "arm64-generic"),
        (MINI_PC, "x86-64"),
    ],
)
def test_a_processor_has_one_key(board, key):
    assert processor.soc_key(board) == key
    assert planned(board).soc == key


@pytest.mark.parametrize(
    ("board", "arch"),
    [
        (PI4, "armv8-a+crc;-mtune=cortex-a72"),
        (PI5, "armv8.2-a+crc+crypto+dotprod+fp16;-mtune=cortex-a76"),
        (OTHER_ARM, "armv8-a"),
    ],
)
def test_a_crossed_build_names_its_instructions_and_never_detects_them(board, arch):
    options = planned(board, recipe="cross").options
    assert options["GGML_NATIVE"] == "OFF"
    assert options["GGML_CPU_ARM_ARCH"] == arch


def test_a_native_build_on_arm_lets_the_compiler_look():
    options = planned(PI4).options
    assert options["GGML_NATIVE"] == "ON"
    assert "GGML_CPU_ARM_ARCH" not in options


def test_only_the_a76_is_compiled_with_what_the_a72_lacks():
    """The features of the recorded processors decide whether the named instructions are there."""
    assert "asimddp" in A76.split()
    for name, arm in processor.ARMS.items():
        assert ("dotprod" in arm.arch) == (name == "cortex-a76")


def test_x86_is_the_same_release_whoever_builds_it_and_another_for_other_features():
    options = planned(MINI_PC).options
    assert planned(MINI_PC, recipe="cross").options == options
    assert planned(MINI_PC, recipe="cross").release == planned(MINI_PC).release
    older = replace(MINI_PC, cpu_features=frozenset({"sse4_2", "avx"}))
    assert planned(older).release != planned(MINI_PC).release
    assert planned(older).soc == planned(MINI_PC).soc


@pytest.mark.parametrize(
    "other",
    [
        {"recipe": "cross"},
        {"variant": "rpc"},
        {"variant": "openblas"},
        {"options": {"GGML_LTO": "ON"}},
        {"build_number": 2},
    ],
)
def test_another_recipe_variant_or_option_is_another_release(other):
    assert planned(PI5, **other).release != planned(PI5).release


def test_a_node_that_never_compiles_gets_no_compiler():
    assert planned(PI5, recipe="cross").packages == ("libgomp1",)
    assert "build-essential" in planned(PI5).packages


def test_a_variant_adds_its_options_programs_and_packages():
    rpc, blas = planned(PI5, variant="rpc"), planned(PI5, variant="openblas")
    assert (rpc.options["GGML_RPC"], planned(PI5).options["GGML_RPC"]) == ("ON", "OFF")
    assert rpc.targets == (*engine.TARGETS, "ggml-rpc-server")
    assert (blas.options["GGML_BLAS"], blas.options["GGML_BLAS_VENDOR"]) == ("ON", "OpenBLAS")
    assert {"libopenblas-dev", "pkg-config"} <= set(blas.packages)
    assert not {"libopenblas-dev", "pkg-config"} & set(planned(PI5).packages)


def test_openblas_is_not_crossed():
    with pytest.raises(ValidationError, match="use recipe native, or variant plain"):
        Settings(recipe="cross", variant="openblas")


@pytest.mark.parametrize("name", list(RENAMED))
def test_a_name_that_articles_use_is_answered_with_todays(name):
    with pytest.raises(ValidationError, match=f"options.{name} is no longer a name; use "):
        Settings(options={name: "ON"})


def install(**settings: object):
    plan = node_plan(PI4, engine={"build_number": 1, **settings})
    return plan.roles["engine"], engine.steps(plan.roles["engine"], plan, Snapshot())[0]


def test_a_crossed_release_that_is_not_stored_is_refused_with_the_command_that_makes_it():
    plan, step = install(recipe="cross")
    assert step.stored.key == plan.release
    assert "run `bramble engine build --soc cortex-a72`" in step.stored.otherwise
    assert step.stored.query["release"] == plan.folder


def test_a_native_release_that_is_not_stored_is_built_on_the_node():
    _, step = install()
    assert step.stored.otherwise is None
    assert (step.program, step.query["work"]) == ("build_engine", "/opt/bramble/engine/work")


def test_every_codename_has_the_versions_of_its_libraries():
    assert set(engine.LIBRARIES) == set(SUPPORTED_CODENAMES)
