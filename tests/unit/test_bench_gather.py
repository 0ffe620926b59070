"""A result is made of a plan and a look: what the node did not tell stays None."""

import json
from dataclasses import replace

import pytest

from bramble.bench import gather
from bramble.bench.result import Bandwidth, Recorded, Seen
from bramble.node import container
from bramble.snapshot import Output, Unit, Unknown
from tests.unit.good_node import PI5, good_look, node_plan
from tests.unit.looks import plain, with_command, with_file
from tests.unit.roles.engine.good import SMOKE

QUERY = {"threads": 4, "ubatch_tokens": 128, "prompt_tokens": 128, "answer_tokens": 32}
RUN = {"variant": "x", "round": 1, "prompt_tps": 15.0, "answer_tps": 6.0, "hottest_c": 60.0}
MADE = {"id": "a", "server_swap_mib": 3.0, "runs": [RUN]}
PLAN = node_plan()
RELEASE = PLAN.roles["engine"].release
FOLDER = PLAN.roles["engine"].folder


def look(desktop="inactive"):
    """A good node, and what a benchmark wants to see besides."""
    made = with_command(good_look(PLAN), container.COMMAND, Output(1, "none\n"))
    for path, text in ((gather.GOVERNOR, "ondemand\n"), (gather.MAX_CLOCK, "2400000\n")):
        made = with_file(made, path, plain(text))
    unit = Unit("loaded", desktop, "", "", False, 0, "", None)
    return replace(made, units={**made.units, gather.DESKTOP: unit})


def made(seen, **changes):
    measured = {"gb_s": 14.0, "threads": 4, "cached_gb_s": 40.0, "others_cores": 0.0}
    left = Recorded.model_validate({**MADE, **changes})
    return gather.result_of(PLAN, seen, RELEASE, left, Bandwidth(**measured), QUERY, None)


def test_a_good_node_gives_a_whole_result():
    found = made(look())
    assert (found.host, found.board.kind, found.threads) == (PLAN.host, "pi5", 4)
    assert (found.release.release, found.release.lacks) == (RELEASE, ())
    assert found.release.processor == "cortex-a76"
    assert (found.runs[0].answer_tps, found.bandwidth.gb_s) == (6.0, 14.0)
    assert found.seen == Seen(
        held_back_now=(),
        held_back_since_boot=(),
        server="active",
        server_swap_mib=3.0,
        desktop=False,
        governor="ondemand",
        max_mhz=2400.0,
    )


def test_a_desktop_and_a_container_are_seen():
    seen = with_command(look("active"), container.COMMAND, Output(0, "systemd-nspawn\n"))
    assert (made(seen).seen.desktop, made(seen).seen.container) == (True, "systemd-nspawn")


def test_what_the_node_would_not_say_is_none():
    blind = replace(look(), units=Unknown("x"), files=Unknown("x"), commands=Unknown("x"))
    assert made(blind, server_swap_mib=None).seen == Seen()
    assert made(blind).release.lacks is None


@pytest.mark.parametrize(
    ("shown", "lacking"),
    [
        ({"NEON": "1", "DOTPROD": "1"}, ()),
        ({"NEON": "1"}, ("DOTPROD",)),
        (None, None),
        ("NEON", None),
    ],
)
def test_a_release_lacks_what_the_processor_has_and_it_does_not_show(shown, lacking):
    assert gather.lacks(shown, PI5) == lacking


def test_a_release_without_dotprod_is_told_on_an_a76_and_not_on_an_a72():
    record = {**SMOKE, "system_info": {"NEON": "1"}}
    seen = with_file(look(), f"{FOLDER}/smoke.json", plain(json.dumps(record)))
    assert made(seen).release.lacks == ("DOTPROD",)
    a72 = replace(PI5, cpu_features=PI5.cpu_features - {"asimddp"})
    assert gather.lacks({"NEON": "1"}, a72) == ()


@pytest.mark.parametrize(
    ("features", "lacking"),
    [
        ({"avx2"}, ("AVX2",)),
        ({"avx2", "avx512f"}, ("AVX2",)),
        ({"avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"}, ("AVX512",)),
        ({"i8mm", "asimddp"}, ("DOTPROD", "MATMUL_INT8")),
    ],
)
def test_other_processors_are_known_too(features, lacking):
    board = replace(PI5, cpu_features=frozenset(features))
    assert gather.lacks({"SSE3": "1"}, board) == lacking


def test_the_current_release_is_the_one_that_is_linked():
    assert gather.current(PLAN, look()) == RELEASE
    home = PLAN.roles["engine"].outputs.home.path
    assert gather.current(PLAN, with_file(look(), f"{home}/current", None)) == ""


def test_the_look_asks_for_what_a_result_has():
    asked = gather.facts_needed(PLAN, "/run/bramble/bench-x.json")
    assert {gather.GOVERNOR, gather.MAX_CLOCK, "/run/bramble/bench-x.json"} <= set(asked.files)
    assert asked.units == (gather.DESKTOP, "llama-server.service")
