"""Which release a host gets, keeps and goes back to: pins, commits of a roll, rejections."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bramble.documents.problems import InventoryError
from bramble.fleet import load
from bramble.llama import lock as engine_lock
from bramble.llama.lock import Lock, ReleasePin, Rolling
from bramble.llama.releases import superfluous
from bramble.plan import Inputs, make
from bramble.prepared import Prepared
from bramble.roles.engine import steps as engine_steps
from bramble.roles.engine.rollback import back
from bramble.roles.engine.whole import HOME
from bramble.roles.serving import checks
from bramble.roles.serving import steps as serving
from bramble.snapshot import Unknown
from tests.unit.good_node import ROLES, good_look, node_plan, settings
from tests.unit.looks import link, plain
from tests.unit.roles.serving.good import with_process

PLAN = node_plan()
ENGINE = PLAN.roles["engine"]
GOOD = good_look(PLAN)
PIN = ReleasePin(release="0123456789ab", build_info="b7-0c1e57098")
OLD = PIN.release


def with_files(**files):
    return replace(GOOD, files={**GOOD.files, **files.pop("paths", {}), **files})


def manifest(release):
    return f"{HOME.release(release)}/manifest.json"


def planned(lock, host="pi5-a", **engine):
    """A host's plan with this engine.lock."""
    return make(host, settings(engine=engine), PLAN.board, ROLES, Prepared(engine=lock))


# The lock


def test_a_pinned_host_has_its_release_whatever_else_is_set():
    plan = planned(Lock(hosts={"pi5-a": PIN}), options={"GGML_LTO": "ON"})
    part = plan.roles["engine"]
    assert (part.release, part.pinned) == (PIN.release, True)
    assert part.outputs.build_info == PIN.build_info
    assert plan.roles["serving"].release_folder == HOME.release(PIN.release)


def test_the_pin_of_one_host_is_not_that_of_another():
    lock = Lock(hosts={"pi5-a": PIN})
    part = planned(lock, host="pi5-b", build_number=11300).roles["engine"]
    assert (part.pinned, part.outputs.build_info) == (False, "b11300-0c1e57098")


def test_a_pinned_release_comes_from_the_store_and_is_never_built():
    plan = planned(Lock(hosts={"pi5-a": PIN}))
    _given, *_user, step, _switch, _old = engine_steps.steps(plan.roles["engine"], plan, GOOD)
    assert step.stored.key == PIN.release
    assert "pi5-a is pinned to release 0123456789ab" in step.stored.otherwise
    assert "run `bramble upgrade pi5-a`, which drops the pin" in step.stored.otherwise


def test_a_commit_of_a_roll_is_for_its_hosts_and_the_fleets_for_the_others():
    lock = Lock(commit="1" * 40, rolling=Rolling(commit="2" * 40, hosts=("pi5-a",)))
    rolled = planned(lock).roles["engine"]
    other = planned(lock, host="pi5-b").roles["engine"]
    assert rolled.source["commit"] == "2" * 40
    assert rolled.outputs.build_info == f"b11300-{'2' * 9}"
    assert other.source["commit"] == "1" * 40
    assert rolled.release != other.release


def test_a_commit_says_nothing_to_a_host_that_builds_from_an_archive():
    archive = {"path": "src.tar", "sha256": "a" * 64}
    with_commit = planned(Lock(commit="1" * 40), source={"archive": archive})
    without = planned(Lock(), source={"archive": archive})
    assert with_commit.roles["engine"] == without.roles["engine"]


def test_a_lock_that_is_wrong_is_a_problem_of_the_inventory(tmp_path):
    (tmp_path / engine_lock.FILE).write_text("commit: 12\n")
    (tmp_path / "fleet.yml").write_text("hosts: {pi5-a: , pi5-b: }\n")
    with pytest.raises(InventoryError) as caught:
        load(tmp_path)
    assert str(caught.value).count("engine.lock:1: commit: found 12") == 1


# Rejections

MARK = HOME.rejection(ENGINE.release)
REJECTED = with_files(
    paths={MARK: plain(json.dumps({"release": ENGINE.release, "why": "too slow", "at": "noon"}))}
)


def test_a_release_that_was_rejected_here_is_refused_with_why_and_what_to_do():
    _given, *_user, step, _switch, _old = engine_steps.steps(ENGINE, PLAN, REJECTED)
    assert step.program == "refuse"
    assert step.query["why"] == (
        f"release {ENGINE.release} was rejected here on noon: too slow; mend that and run "
        "`bramble upgrade --again pi5-a`"
    )


def test_another_release_that_was_rejected_says_nothing_of_this_one():
    other = with_files(paths={HOME.rejection(OLD): REJECTED.files[MARK]})
    assert [step.why for step in engine_steps.steps(ENGINE, PLAN, other)] == [None] * 6


def test_trying_again_forgets_the_mark_and_looks_again():
    (step,) = engine_steps.again(ENGINE, PLAN, REJECTED)
    assert (step.program, step.query, step.look_again) == ("remove_files", {"paths": [MARK]}, True)
    (nothing,) = engine_steps.again(ENGINE, PLAN, GOOD)
    assert nothing.why is None


def test_taking_the_role_back_takes_the_marks_too():
    _, notes, _user = engine_steps.revert(ENGINE, PLAN, REJECTED)
    assert notes.query == {"paths": [HOME.good, MARK]}


# Going back


def test_the_predecessor_is_what_the_link_says_and_its_manifest_tells():
    reported = plain(json.dumps({"build_info": "b7-0c1e57098"}))
    look = with_files(paths={HOME.previous: link(f"releases/{OLD}"), manifest(OLD): reported})
    found = back(settings()["engine"], Inputs("pi5-a"), look)
    assert found == Prepared().with_pin("pi5-a", PIN)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "no release ran here before the current one"),
        (
            {HOME.previous: link(f"releases/{OLD}")},
            f"release {OLD}, which ran here before, is not",
        ),
        ({HOME.previous: Unknown("no")}, "no release ran here before"),
    ],
)
def test_without_a_predecessor_there_is_nothing_to_go_back_to(files, why):
    found = back(settings()["engine"], Inputs("pi5-a"), with_files(paths=files))
    assert isinstance(found, str)
    assert found.startswith(why)


# The gate


def run_step(look):
    steps = serving.steps(PLAN.roles["serving"], PLAN, look)
    return next(step for step in steps if step.name == "Run the service")


def test_what_runs_without_having_passed_the_gate_is_taken_through_it_without_a_restart():
    step = run_step(with_files(paths={HOME.good: None}))
    assert step.why == f"the known good release is none, not {ENGINE.release}"
    assert (step.program, step.query["restart"]) == ("serve_release", False)


def test_what_does_not_run_is_started_and_gated():
    step = run_step(replace(GOOD, units=Unknown("no")))
    assert step.query["restart"] is True
    assert step.query["identity"] == PLAN.roles["serving"].identity
    assert run_step(GOOD).why is None


def refused(look, **changes):
    """What the first step of serving refuses, where this look shows it."""
    plan = node_plan(**changes)
    step, *_ = serving.steps(plan.roles["serving"], plan, look)
    return step.query["why"] if step.program == "refuse" else None


def test_a_model_that_was_rejected_here_is_refused_before_its_unit_is_written():
    reported = {"release": ENGINE.release, "model": "tiny", "why": "it answered ''", "at": "noon"}
    mark = PLAN.roles["serving"].rejection
    look = with_files(paths={mark: plain(json.dumps(reported))})
    assert refused(look) == (
        "model tiny was rejected here, as it was to be served, on noon: it answered ''; set another "
        "in the inventory, or mend that and run `bramble upgrade --again pi5-a`"
    )
    assert engine_steps.steps(ENGINE, PLAN, look)[3].why is None
    node = SimpleNamespace(plan=PLAN, snapshot=with_process(look, environ={}))
    found = checks.process_runs_the_plan(PLAN.roles["serving"], node)
    assert (found.status, found.remedy) == ("fail", refused(look))
    for other in ({"expect": "5"}, {"ctx_tokens": 1024}, {"gate": {"speed_share": 0.5}}):
        assert refused(look, serving=other) is None
    (step,) = serving.again(PLAN.roles["serving"], PLAN, look)
    assert (step.program, step.query, step.look_again) == ("remove_files", {"paths": [mark]}, True)
    (nothing,) = serving.again(PLAN.roles["serving"], PLAN, GOOD)
    assert nothing.why is None


def test_a_mark_says_all_that_its_program_is_asked_with():
    """The node names the note by what the plan says of the attempt."""
    query = run_step(with_files(paths={HOME.good: None})).query
    part = PLAN.roles["serving"]
    assert part.rejection == HOME.rejection(f"{query['release']}-{query['attempt']}")
    assert (query["name"], query["path"]) == (part.model_name, part.model_path)


def test_a_server_whose_model_file_was_replaced_is_started_anew():
    step = run_step(with_process(GOOD, gone=(PLAN.roles["model"].path,)))
    assert step.why == "its process has a model file that was replaced since it started"
    assert step.query["restart"] is True


# What stays


@pytest.mark.parametrize(
    ("found", "needed", "keep", "gone"),
    [
        (("d", "c", "b", "a"), ("d", "", "c"), 3, ("a",)),
        (("d", "c", "b", "a"), ("a", "b"), 2, ("d", "c")),
        (("d", "c", "b", "a"), ("new", "d", "c"), 3, ("b", "a")),
        (("b", "a"), ("b",), 3, ()),
        (("d", "c", "b", "a"), ("a", "b", "c"), 2, ("d",)),
    ],
)
def test_as_many_stay_as_are_to_be_kept_and_none_that_is_needed_goes(found, needed, keep, gone):
    assert superfluous(found, needed, keep) == gone


def test_the_oldest_builds_go_and_current_previous_good_and_planned_stay():
    built = {name: f"2026-0{month}" for month, name in enumerate("abcdef", 1)}
    look = with_files(
        paths={
            **{manifest(n): plain(json.dumps({"built_at": at})) for n, at in built.items()},
            HOME.previous: link("releases/a"),
        }
    )
    step = engine_steps.steps(ENGINE, PLAN, look)[-1]
    # Kept: the planned and current one, the predecessor a, and f, which was built last.
    assert step.query == {"home": HOME.path, "releases": ["e", "d", "c", "b"]}
    assert engine_steps.steps(ENGINE, PLAN, GOOD)[-1].why is None
    assert engine_steps.steps(ENGINE, PLAN, replace(GOOD, files=Unknown("no")))[-1].why is None
