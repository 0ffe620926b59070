"""Kept reports are read as far as they can be, and what they do not have is not known."""

import json
from dataclasses import replace

import pytest

from bramble.bench.result import Model, keep
from bramble.figures import Figures, believed, of_node
from bramble.reporting import benchmarks, history
from bramble.reporting.history import Benchmarks, Look
from tests.shapes.models import all_shapes
from tests.unit.good_node import node_plan
from tests.unit.good_result import result as benchmark
from tests.unit.looks import WHY
from tests.unit.roles.serving.good import UNIT, with_process
from tests.unit.spoiled import GOOD, PLAN, RIGHT_ANSWER

FIGURES = {"temperature_c": 61.5, "resident_mib": 2400, "planned_mib": 2600, "tokens_per_s": 9.5}


def event(kind, host="pi5-a", at=1000.0, **more):
    return {"event": kind, "at": at, "host": host, **more}


def result(status="pass", check="health_is_ok", **more):
    return event("result", role="serving", check=check, status=status, **more)


def test_a_look_has_each_hosts_statuses_and_figures():
    found = history.looks(
        [result(), result("fail", "model_answers", at=1001), event("figures", **FIGURES)]
    )
    statuses = {"serving.health_is_ok": "pass", "serving.model_answers": "fail"}
    assert found == {"pi5-a": Look(1001, statuses, Figures(**FIGURES))}


def test_figures_that_a_report_lacks_are_not_known():
    (look,) = history.looks([result()]).values()
    assert look.figures == Figures(None, None, None, None)


@pytest.mark.parametrize("state", ["unreachable", "refused", "failed"])
def test_a_host_that_could_not_be_looked_at_was_not_well(state):
    found = history.looks([event("host", state=state), event("host", "b", state="connected")])
    assert found == {"pi5-a": Look(1000, {"ssh.reachable": "fail"})}


def test_a_host_that_failed_after_it_was_checked_keeps_its_checks():
    found = history.looks([result("fail"), event("host", state="failed")])
    assert found["pi5-a"].statuses == {"serving.health_is_ok": "fail"}


@pytest.mark.parametrize(
    "odd",
    [
        result("splendid"),
        result(at="now"),
        result(at=-1),
        result(at=1e30),
        event("figures", temperature_c="hot", resident_mib=-1, planned_mib=True, tokens_per_s=1e99),
    ],
)
def test_what_cannot_be_is_left_out(odd):
    (look,) = history.looks([result(), odd]).values()
    assert look == Look(1000, {"serving.health_is_ok": "pass"})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e99, "9", None, [1], True])
def test_a_figure_that_is_no_possible_number_is_not_believed(value):
    assert believed(dict.fromkeys(FIGURES, value)) == Figures()


def test_reports_are_read_from_the_oldest_to_the_newest_and_broken_ones_named(tmp_path):
    for name, at in (("20261102-000000-1", 3), ("20261101-000000-1-verify", 1)):
        lines = (result(at=at), event("figures", at=at, temperature_c=50 + at))
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    (tmp_path / "20261103-000000-1.jsonl").write_text("no JSON\n")
    (tmp_path / "20261104-000000-1.jsonl").write_text("[]\n")
    (tmp_path / "20261105-000000-1.jsonl").write_bytes(b"\xff\xfe\n")
    found = history.kept(tmp_path)
    assert [look.at_s for look in found.looks["pi5-a"]] == [1, 3]
    assert [look.figures.temperature_c for look in found.looks["pi5-a"]] == [51, 53]
    assert found.unreadable == tuple(f"2026110{n}-000000-1.jsonl" for n in (5, 4, 3))


def test_the_last_runs_are_read_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "RUNS", 3)
    for day in range(1, 9):
        name = f"2026110{day}-000000-1.jsonl"
        (tmp_path / name).write_text(f"{json.dumps(result(at=day))}\n")
    assert [look.at_s for look in history.kept(tmp_path).looks["pi5-a"]] == [6, 7, 8]


def test_a_project_without_reports_has_no_history(tmp_path):
    assert history.kept(tmp_path / "none") == history.History()


# Benchmarks


def test_the_speeds_of_the_last_benchmarks_are_those_of_one_model(tmp_path):
    for day, speed, name in ((1, 9.0, "tiny"), (2, 1.5, "qwen"), (3, 1.7, "qwen")):
        at = f"2026-11-0{day}T00:00:00Z"
        model = Model(name=name, sha256="d" * 64)
        keep(tmp_path, benchmark((speed,) * 3, at=at, model=model))
    (tmp_path / "bench/pi4-a/20261104T000000Z.json").write_text("{}")
    found, unreadable = benchmarks.kept(tmp_path, ["pi4-a", "pi4-b"])
    assert found == {"pi4-a": Benchmarks("qwen", ((1_793_577_600, 1.5), (1_793_664_000, 1.7)))}
    assert unreadable == ("pi4-a/20261104T000000Z.json",)


# What a run keeps of a node


def with_memory(rss):
    """The good look with this much of the server in memory, in the kernel's words."""
    return with_process(GOOD, status={**GOOD.process(UNIT).status, "VmRSS": rss})


def test_a_good_node_tells_its_figures():
    found = of_node(PLAN, with_memory("2458000 kB"), RIGHT_ANSWER)
    assert 0 < found.temperature_c < 100
    assert found.resident_mib == 2400.4
    assert found.tokens_per_s == RIGHT_ANSWER["tokens_per_second"]


def test_memory_is_told_beside_what_the_fit_counted(tmp_path):
    model = all_shapes()["qwen2.5-3b-q4_k_m"].write(tmp_path)
    plan = node_plan(model={"name": "qwen", "url": None, "path": str(model)})
    assert (
        of_node(plan, GOOD, None).planned_mib == plan.roles["serving"].fit.answer.total_mib > 1000
    )


@pytest.mark.parametrize("answer", [None, {}, {"problem": "x"}, {"tokens_per_second": "many"}])
def test_a_speed_that_was_not_told_is_not_known(answer):
    assert of_node(PLAN, GOOD, answer).tokens_per_s is None


@pytest.mark.parametrize("rss", ["", "many kB", "1 MB"])
def test_memory_that_the_kernel_does_not_tell_is_not_known(rss):
    assert of_node(PLAN, with_memory(rss), None).resident_mib is None


def test_a_look_that_could_not_be_taken_tells_nothing():
    found = of_node(PLAN, replace(GOOD, units=WHY, commands=WHY, files=WHY), None)
    assert (found.temperature_c, found.resident_mib) == (None, None)
