"""Fit before fetch: a plan refuses a model that the node cannot hold, and names what it could."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bramble import registry
from bramble.fleet import prepare
from bramble.models import gguf, lock
from bramble.models.dims import dims_of
from bramble.models.geometry import geometry
from bramble.plan import make
from bramble.roles.serving.checks import model_fits
from tests.shapes.models import all_shapes
from tests.unit.good_node import ALONE, PI5, node_plan, settings

SHAPES = all_shapes()
PI4 = replace(PI5, kind="pi4", cpu_part="0xd08", cpu_features=frozenset({"asimd"}), memory_mib=1840)
QUANTS = ("q2_k", "q3_k_m", "q4_k_m", "q8_0")


@pytest.fixture
def folder(tmp_path):
    """An inventory that has some quants of one model locked, and a smaller model."""
    shapes = {f"qwen2.5-3b:{quant}": f"qwen2.5-3b-{quant}" for quant in QUANTS}
    shapes["tinyllama-1.1b:q4_k_m"] = "tinyllama-1.1b-q4_k_m"
    locked = {}
    for use, shape in shapes.items():
        header = gguf.read(SHAPES[shape].header())
        locked[use] = lock.Locked(
            repo="Toys/Toy",
            revision="1" * 40,
            file=f"{shape}.gguf",
            size_bytes=header.file_bytes,
            sha256="2" * 64,
            fit=dims_of(geometry(header)),
        )
    lock.write(tmp_path, locked)
    (tmp_path / "models.yml").write_text(
        "models: {qwen2.5-3b: {repo: Toys/Toy, files: {q4_k_m: a.gguf, q5_k_m: b.gguf}}}\n"
    )
    return tmp_path


def planned(folder, board, use="qwen2.5-3b:q8_0", serving=(), **model):
    """The plan of a node that uses a model of the lock."""
    sections = settings(serving=dict(serving))
    sections["model"] = registry.role("model").settings(use=use, **model)
    return make("pi4", sections, board, ALONE, prepare(folder, ()))


def test_a_model_that_does_not_fit_is_refused_with_the_numbers_and_the_nearest_quant(folder):
    plan = planned(folder, PI4)
    (why,) = plan.refusals
    answer = plan.roles["serving"].fit.answer
    assert f"the model takes {answer.total_mib} MiB" in why
    assert f"the node has {answer.available_mib} MiB" in why
    assert "Zram and swap are no room" in why
    assert "The nearest quant that fits is qwen2.5-3b:q2_k" in why
    assert "models.yml has qwen2.5-3b:q5_k_m too: `bramble model lock`" in why


def with_known(folder, **changes):
    """The lock's entry of one model with other dimensions."""
    locked = lock.load(folder)
    use = "qwen2.5-3b:q8_0"
    entry = locked[use]
    locked[use] = entry.model_copy(update={"fit": entry.fit.model_copy(update=changes)})
    lock.write(folder, locked)
    return use


def test_an_upper_bound_refuses_nothing_and_is_told(folder):
    use = with_known(folder, doubt="its windows are not known", file_bytes=900 << 20)
    plan = planned(folder, PI4, use, {"ctx_tokens": 32768})
    assert plan.roles["serving"].fit.answer.verdict == "unknown"
    assert plan.refusals == ()
    (reported,) = plan.warnings
    assert reported.startswith(
        "model: Cannot tell: with a context of 32768 tokens the model takes at most"
    )
    assert "Its windows are not known." in reported
    finding = model_fits(plan.roles["serving"], SimpleNamespace(plan=plan))
    assert (finding.status, finding.remedy) == (
        "unknown",
        plan.roles["serving"].fit.answer.sentence,
    )


def test_what_would_not_load_is_told_also_where_it_fits(folder):
    use = with_known(folder, doubt="llama.cpp does not know it", file_bytes=300 << 20)
    plan = planned(folder, PI5, use)
    assert plan.roles["serving"].fit.answer.verdict in ("yes", "tight")
    assert "Llama.cpp does not know it." in plan.warnings[0]


def test_weights_that_do_not_fit_are_refused_whatever_else_is_not_known(folder):
    use = with_known(folder, doubt="its windows are not known")
    assert "does not fit" in planned(folder, PI4, use).refusals[0]


def test_what_only_may_fit_is_not_named_as_what_fits(folder):
    locked = lock.load(folder)
    for use in ("qwen2.5-3b:q2_k", "qwen2.5-3b:q3_k_m", "qwen2.5-3b:q4_k_m"):
        fit = locked[use].fit.model_copy(
            update={"doubt": "x", "layers": locked[use].fit.layers * 9}
        )
        locked[use] = locked[use].model_copy(update={"fit": fit})
    lock.write(folder, locked)
    (why,) = planned(folder, PI4, serving={"ctx_tokens": 8192}).refusals
    assert "The nearest locked model that fits is tinyllama-1.1b:q4_k_m" in why


@pytest.mark.parametrize(("ctx", "slots"), [(65536, 1), (65536, 2), (131072, 4)])
def test_a_context_beyond_the_trained_one_is_told_where_a_conversation_would_get_it(
    folder, ctx, slots
):
    plan = planned(folder, PI5, "qwen2.5-3b:q2_k", {"ctx_tokens": ctx, "slots": slots})
    assert plan.refusals == ()
    if ctx // slots == 32768:
        assert plan.warnings == ()
        return
    (reported,) = plan.warnings
    assert reported.startswith(
        "serving.ctx_tokens: a context of 65536 tokens: the model was trained for 32768"
    )
    assert "32768 is the most that is of use" in reported


def test_what_is_named_fits(folder):
    assert planned(folder, PI4, "qwen2.5-3b:q2_k").refusals == ()
    assert planned(folder, PI4, "qwen2.5-3b:q3_k_m").refusals != ()


def test_where_no_quant_fits_another_locked_model_is_named(folder):
    (why,) = planned(folder, replace(PI4, memory_mib=1300)).refusals
    assert "The nearest locked model that fits is tinyllama-1.1b:q4_k_m" in why
    (why,) = planned(folder, replace(PI4, memory_mib=700)).refusals
    assert "Nothing else that models.lock has fits" in why


def test_a_context_that_is_too_large_is_answered_with_the_largest_that_fits(folder):
    (why,) = planned(folder, PI4, "qwen2.5-3b:q2_k", {"ctx_tokens": 32768}).refusals
    assert "tokens would fit" in why


def test_what_is_reserved_for_other_programs_is_not_for_the_model(folder):
    assert planned(folder, PI4, "qwen2.5-3b:q2_k", {"reserve_mib": 512}).refusals != ()


def test_warn_takes_it_and_a_node_that_has_the_room_takes_it_anyway(folder):
    assert planned(folder, PI4, fit="warn").refusals == ()
    assert planned(folder, PI5).refusals == ()


def test_a_model_of_which_nothing_is_known_is_not_refused():
    plan = node_plan(replace(PI5, memory_mib=500))
    assert plan.roles["serving"].fit is None
    assert plan.refusals == ()


def test_a_small_file_of_this_computer_is_known_by_its_header():
    demo = Path(__file__).parents[2] / "models" / "bramble-demo-q8_0.gguf"
    plan = node_plan(model={"name": "demo", "url": None, "path": str(demo)})
    assert plan.roles["serving"].fit.answer.verdict == "yes"


@pytest.mark.parametrize(
    "serving",
    [{"cache_type_k": "q8_0", "ctx_tokens": 8192}, {"flash_attention": "off", "ubatch_tokens": 64}],
)
def test_what_is_counted_is_what_the_server_is_told(folder, serving):
    plan = planned(folder, PI5, "qwen2.5-3b:q2_k", serving)
    flags = dict(zip(*[iter(plan.roles["serving"].fit.answer.flags)] * 2, strict=True))
    argv = " ".join(plan.roles["serving"].argv)
    names = {
        "-c": "--ctx-size",
        "-np": "--parallel",
        "-ub": "--ubatch-size",
        "-t": "--threads",
        "-ctk": "--cache-type-k",
        "-ctv": "--cache-type-v",
        "-fa": "--flash-attn",
    }
    for flag, value in flags.items():
        assert f"{names.get(flag, flag)} {value} " in f"{argv} "
