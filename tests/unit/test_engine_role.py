"""Which release a processor gets: its key, its options, and who may build it."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from bramble.board import Board
from bramble.fleet import prepare
from bramble.llama import lock as engine_lock
from bramble.llama import processor, recipe
from bramble.plan import Inputs
from bramble.roles.engine import amx
from bramble.roles.engine import plan as engine
from bramble.roles.engine import steps as engine_steps
from bramble.roles.engine.settings import RENAMED, Settings
from bramble.roles.engine.whole import HOME
from bramble.snapshot import Snapshot
from bramble.system import parse
from bramble.system.debian import RELEASES
from tests.unit.good_node import A76, PI5, node_plan
from tests.unit.looks import link, plain, recorded
from tests.unit.roles.engine.good import SMOKE

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
    assert rpc.targets == (*recipe.TARGETS, "ggml-rpc-server")
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


def step_of(plan, look, name="Install llama.cpp"):
    """The role's step of this name."""
    return {s.name: s for s in engine_steps.steps(plan.roles["engine"], plan, look)}[name]


def install(**settings: object):
    plan = node_plan(PI4, engine={"build_number": 1, **settings})
    return plan.roles["engine"], step_of(plan, Snapshot())


def test_a_crossed_release_that_is_not_stored_is_refused_with_the_command_that_makes_it():
    plan, step = install(recipe="cross")
    assert step.stored.key == plan.release
    said = "run `bramble engine build --soc cortex-a72 --codename bookworm`"
    assert said in step.stored.otherwise
    assert step.stored.query["release"] == plan.folder


def test_a_native_release_that_is_not_stored_is_built_on_the_node():
    _, step = install()
    assert step.stored.otherwise is None
    assert (step.program, step.query["work"]) == ("build_engine", "/opt/bramble/engine/work")


def test_each_release_of_debian_has_a_release_of_its_own_which_needs_no_newer_libraries():
    plans = {name: planned(replace(PI5, codename=name)) for name in RELEASES}
    assert len({plan.release for plan in plans.values()}) == len(RELEASES)
    for name, plan in plans.items():
        query = plan.build()
        assert query["manifest"]["codename"] == name
        assert query["needs_at_most"] == RELEASES[name].libraries


@pytest.mark.parametrize(
    ("built", "words"),
    [
        ("bookworm", "; {old}, which is current, was built for bookworm, and this is trixie"),
        ("trixie", ""),
        (None, ""),
    ],
)
def test_a_node_of_another_release_now_says_that_its_engine_was_built_for_the_one_before(
    built, words
):
    old = planned(PI5).release
    plan = node_plan(replace(PI5, codename="trixie"), engine={"build_number": 1})
    manifest = json.dumps({"binaries": {}, "codename": built})
    look = Snapshot(
        files={
            HOME.current: link(f"releases/{old}"),
            f"{HOME.release(old)}/manifest.json": plain(manifest),
        }
    )
    wanted = plan.roles["engine"]
    why = step_of(plan, look).why
    assert why == f"release {wanted.release} is not there{words.format(old=old)}"


# The variant that a processor gets


def lock_with(folder, **variants):
    """What is read of an inventory whose lock has these winners."""
    won = {name.replace("_", "-"): engine_lock.Variant(variant=v) for name, v in variants.items()}
    engine_lock.write(folder, engine_lock.Lock(variants=won))
    return prepare(folder, ())


def variant(prepared, board=PI5, **settings):
    return engine.plan(Settings(**settings), board, Inputs(prepared=prepared)).variant


def test_auto_is_what_won_on_this_processor_and_plain_elsewhere(tmp_path):
    prepared = lock_with(tmp_path, cortex_a76="openblas")
    assert variant(prepared) == "openblas"
    assert variant(prepared, PI4) == "plain"
    assert variant(prepare(tmp_path / "none", ())) == "plain"


def test_a_variant_that_is_set_counts_whatever_won(tmp_path):
    prepared = lock_with(tmp_path, cortex_a76="openblas")
    assert variant(prepared, variant="rpc") == "rpc"


def test_what_cannot_be_crossed_is_plain_where_it_is_crossed(tmp_path):
    prepared = lock_with(tmp_path, cortex_a76="openblas", cortex_a72="rpc")
    assert variant(prepared, recipe="cross") == "plain"
    assert variant(prepared, PI4, recipe="cross") == "rpc"


def test_a_winner_that_is_no_variant_is_refused_with_what_to_do(tmp_path):
    prepared = lock_with(tmp_path, cortex_a76="fastest")
    (said,) = Settings().faults({}, "pi5-a", prepared)
    assert "'fastest' for cortex-a76" in said
    assert "race again" in said


def test_plain_by_race_and_plain_by_setting_are_one_release():
    assert planned(PI5).release == planned(PI5, variant="plain").release


def test_a_candidate_comes_beside_what_is_current():
    node = node_plan(PI5, engine={"variant": "rpc"})
    names = [
        step.program for step in engine_steps.candidate(node.roles["engine"], node, Snapshot())
    ]
    assert names == ["apt_install", "write_files", "command", "build_engine"]


@pytest.mark.parametrize(
    ("board", "recipe", "names"),
    [
        (PI5, "native", ("kleidiai", "openblas")),
        (PI5, "cross", ("kleidiai",)),
        (PI4, "native", ("openblas",)),
        (PI4, "cross", ()),
        (MINI_PC, "native", ("openblas",)),
    ],
)
def test_only_what_may_gain_and_can_be_built_for_a_board_is_worth_a_race(board, recipe, names):
    assert Settings(recipe=recipe).worth_a_race(board) == names


# What a build is to show of itself


def shown(board: Board, **settings: object):
    return planned(board, **settings).wants["system_info"]


@pytest.mark.parametrize(
    ("board", "settings", "names"),
    [
        (PI5, {}, ("DOTPROD",)),
        (PI5, {"recipe": "cross"}, ("DOTPROD",)),
        (PI5, {"options": {"GGML_NATIVE": "OFF", "GGML_CPU_ARM_ARCH": "armv8-a"}}, ()),
        (PI4, {}, ()),
        (PI4, {"recipe": "cross"}, ()),
        (PI4, {"variant": "kleidiai", "force": True}, ("KLEIDIAI",)),
        (PI5, {"variant": "kleidiai"}, ("DOTPROD", "KLEIDIAI")),
        (OTHER_ARM, {}, ("DOTPROD",)),  # this one's features are an A76's
        (OTHER_ARM, {"recipe": "cross"}, ()),  # compiled for any Arm
    ],
)
def test_arm_is_to_show_dotprod_where_the_options_bring_it(board, settings, names):
    assert shown(board, **settings) == names


def test_x86_is_to_show_each_instruction_set_that_is_enabled():
    assert shown(replace(MINI_PC, cpu_features=frozenset({"sse4_2", "avx", "avx2"}))) == (
        "AVX",
        "AVX2",
    )
    assert {"AVX512", "AVX512_VNNI"} <= set(shown(MINI_PC))
    without = shown(MINI_PC, options={"GGML_AVX512": "OFF"})
    assert not [name for name in without if name.startswith("AVX512")]
    assert shown(MINI_PC, options={"GGML_NATIVE": "ON"}) == ()


AMX = {
    "amx_tile",
    "amx_int8",
    "avx512_vnni",
    "avx512f",
    "avx512cd",
    "avx512vl",
    "avx512dq",
    "avx512bw",
}


def test_amx_is_compiled_with_what_its_kernels_need_and_with_its_own_instruction_mended():
    plan = planned(replace(MINI_PC, cpu_features=frozenset(AMX)))
    assert (plan.options["GGML_AMX_TILE"], plan.options["GGML_AMX_INT8"]) == ("ON", "ON")
    assert plan.hook == amx.HOOK
    assert "AMX_INT8" in plan.wants["system_info"]
    assert "AMX_TILE" not in plan.wants["system_info"]  # llama.cpp has no such name


@pytest.mark.parametrize("missing", ["amx_tile", "amx_int8", "avx512_vnni", "avx512bw"])
def test_without_one_of_them_there_is_no_amx(missing):
    plan = planned(replace(MINI_PC, cpu_features=frozenset(AMX - {missing})))
    assert (plan.options["GGML_AMX_TILE"], plan.options["GGML_AMX_INT8"]) == ("OFF", "OFF")
    assert plan.hook == ""


def test_what_mends_the_compiler_is_a_part_of_the_release(monkeypatch):
    board = replace(MINI_PC, cpu_features=frozenset(AMX))
    before = planned(board).release
    monkeypatch.setattr(amx, "HOOK", amx.HOOK + "# better")
    assert planned(board).release != before


def smoked(plan, text: str | None) -> Snapshot:
    server = plain("llama-server")
    files = {
        HOME.current: link(f"releases/{plan.release}"),
        f"{HOME.programs}/llama-server": server,
        f"{plan.folder}/manifest.json": plain(
            json.dumps({"binaries": {"llama-server": server.sha256}})
        ),
    }
    if text is not None:
        files[f"{plan.folder}/smoke.json"] = plain(text)
    return Snapshot(files=files)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "what it computes with was never read back"),
        ("{", "what it computes with was never read back"),
        (
            json.dumps(SMOKE | {"system_info": {"NEON": "1"}}),
            "its smoke test did not show DOTPROD in system_info",
        ),
        (json.dumps(SMOKE), None),
        # Not told is not lacking: the check says so, and no run would change it.
        (json.dumps(SMOKE | {"system_info": None}), None),
    ],
)
def test_a_current_release_that_has_not_proved_itself_is_tested_again(text, why):
    plan = node_plan(PI5)
    part = plan.roles["engine"]
    step = step_of(plan, smoked(part, text), "Make the release current")
    assert step.why == why
    if why:
        assert step.query["wants"] == {"system_info": ("DOTPROD",), "kleidiai": ()}


# KleidiAI

ARCHIVE = {"path": "/k.tar", "sha256": "b" * 64, "subdir": "kleidiai-1.24.0"}


def test_kleidiai_is_a_pinned_source_of_its_own_and_the_build_fetches_nothing_else():
    plan = planned(PI5, variant="kleidiai")
    query = plan.build()
    assert plan.options["GGML_CPU_KLEIDIAI"] == "ON"
    assert plan.wants["kleidiai"] == ("q4", "q8")
    assert query["kleidiai"]["url"].endswith("/v1.24.0/kleidiai-v1.24.0-src.tar.gz")
    assert query["kleidiai"]["md5"] == "2f02ebe29573d45813e671eb304f2a00"
    assert query["manifest"]["kleidiai"] == {
        key: query["kleidiai"][key] for key in ("kind", "url", "md5")
    }
    assert "kleidiai" not in planned(PI5).build()["manifest"]


def test_kleidiai_may_be_a_local_archive_which_is_sent_beside_llama_cpps():
    own = {"archive": {"path": "/l.tar", "sha256": "a" * 64}}
    plan = planned(PI5, variant="kleidiai", kleidiai={"archive": ARCHIVE}, source=own)
    assert [str(upload.local) for upload in plan.uploads] == ["/l.tar", "/k.tar"]
    assert plan.uploads[1].remote == plan.kleidiai["upload"]
    assert "upload" not in plan.build()["manifest"]["kleidiai"]


def test_another_pin_of_kleidiai_is_another_release_where_it_is_compiled_in():
    releases = [
        planned(PI5, variant=variant, kleidiai=source).release
        for variant in ("kleidiai", "plain")
        for source in ({}, {"md5": "0" * 32}, {"archive": ARCHIVE})
    ]
    assert len(set(releases[:3])) == 3
    assert len(set(releases[3:])) == 1


@pytest.mark.parametrize(
    ("board", "settings", "words"),
    [
        (PI4, {}, "cortex-a72 has no dotprod"),
        (replace(PI4, cpu_part="0xd03"), {}, "arm64-0xd03 has no dotprod"),
        (MINI_PC, {}, "KleidiAI is for 64-bit Arm only"),
        (MINI_PC, {"force": True}, "KleidiAI is for 64-bit Arm only"),
        (PI4, {"force": True}, None),
        (PI5, {}, None),
        (OTHER_ARM, {}, None),
    ],
)
def test_kleidiai_is_refused_where_it_has_no_kernel_to_run(board, settings, words):
    plan = node_plan(board, engine={"variant": "kleidiai", **settings})
    step = step_of(plan, Snapshot())
    if words is None:
        assert step.program == "build_engine"
    else:
        assert step.program == "refuse"
        assert words in step.query["why"]
        assert "engine.variant to plain" in step.query["why"]


def test_only_variant_kleidiai_is_refused():
    assert planned(PI4).refusal is None
    assert planned(MINI_PC, variant="rpc").refusal is None


def test_a_forced_build_wants_no_kernel_where_none_can_run():
    plan = planned(PI4, variant="kleidiai", force=True)
    assert plan.wants == {"system_info": ("KLEIDIAI",), "kleidiai": ()}
