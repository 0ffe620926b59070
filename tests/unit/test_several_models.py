"""Several models on a node: settings, files, the router's command line and list, memory, the way in."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from bramble.edge.wanted import PATHS
from bramble.fit.memory import Request
from bramble.fit.together import Models, fewer, fit_together
from bramble.fit.verdict import ROUTER_MIB, SERVER_MIB, Room, fit
from bramble.llama.lock import Held
from bramble.prepared import Prepared
from bramble.remote import serve_release, talk
from bramble.roles.model.plan import prune
from bramble.roles.model.plan import steps as model_steps
from bramble.roles.model.settings import Settings as ModelSettings
from bramble.roles.serving import left, router
from bramble.roles.serving.edge import PLACE
from bramble.roles.serving.settings import Settings
from bramble.roles.serving.state import not_running
from bramble.roles.serving.steps import steps
from bramble.snapshot import Answer, Snapshot
from bramble.steps import unit_name
from tests.unit.good_node import PI5, good_look, node_plan
from tests.unit.looks import plain, with_file
from tests.unit.roles.serving.good import GATE, with_unit
from tests.unit.several import (
    FIRST,
    LARGE,
    LOCK,
    LOOK,
    SECOND,
    SEVERAL,
    SMALL,
    locked,
    several_plan,
)

MODEL, SERVING = SEVERAL.roles["model"], SEVERAL.roles["serving"]
ONE = several_plan(model={"also": []})
PREPARED = Prepared(models=LOCK, catalogue={use: None for use in LOCK})
REQUEST = Request(ctx=2048)
DIMS = {use: entry.fit.geometry for use, entry in LOCK.items()}


def chosen(**values):
    return ModelSettings(use=SMALL, **values)


def faults(prepared=PREPARED, **values):
    return [str(one) for one in chosen(**values).faults({}, "pi5-a", prepared)]


# Settings


def test_further_models_are_named_as_the_first_one_is_and_have_files_of_their_own():
    (further,) = chosen(also=[LARGE]).further("pi5-a", PREPARED)
    assert (further.name, further.sha256) == ("demo-f16", "b" * 64)
    assert faults(also=[LARGE]) == []
    assert chosen().further("pi5-a", PREPARED) == ()


def test_a_further_model_that_is_not_locked_is_refused_with_what_to_do():
    beside = replace(PREPARED, models={SMALL: LOCK[SMALL]})
    (said,) = faults(beside, also=[LARGE])
    assert said.startswith("also[0]: ") or said.startswith("also.0: ")
    assert f"run `bramble model lock {LARGE}`" in said
    (said,) = faults(also=["nothing:q8_0"])
    assert "no nothing:q8_0 in models.yml" in said


@pytest.mark.parametrize(
    ("also", "said"),
    [
        ([SMALL], f"{SMALL} is named already ({SMALL})"),
        ([LARGE, LARGE], f"{LARGE} is named already ({LARGE})"),
        (["copy:f16", LARGE], f"{LARGE} is the same file as copy:f16"),
        (["copy:q8_0"], f"copy:q8_0 is the same file as {SMALL}"),
    ],
)
def test_a_model_that_is_there_twice_is_refused(also, said):
    copies = {"copy:q8_0": LOCK[SMALL], "copy:f16": LOCK[LARGE]}
    (why,) = faults(replace(PREPARED, models={**LOCK, **copies}), also=also)
    assert said in why


def test_a_name_that_no_model_has_is_refused_by_its_form():
    with pytest.raises(ValidationError):
        chosen(also=["no-quant"])


def test_a_further_model_of_unknown_dimensions_is_warned_of():
    beside = replace(PREPARED, models={**LOCK, LARGE: locked("f16", "b", fit=False)})
    (said,) = chosen(also=[LARGE]).warnings({}, "pi5-a", beside)
    assert f"`bramble model lock {LARGE}`" in said
    assert chosen(also=[LARGE]).warnings({}, "pi5-a", PREPARED) == ()


@pytest.mark.parametrize("name", ["demo-f16", "renamed"])
def test_a_host_that_was_rolled_back_to_a_further_model_has_it_once(name):
    """Two sections of one name, or one file under two names, would be served as one of the two."""
    settings = chosen(also=[LARGE])
    held = Held(name=name, sha256="b" * 64, instead_of="a" * 64)
    back = PREPARED.with_model("pi5-a", held)
    assert settings.chosen("pi5-a", back).sha256 == "b" * 64
    assert settings.further("pi5-a", back) == ()
    older = Held(name="demo-f16", sha256="c" * 64, instead_of="a" * 64)
    assert settings.further("pi5-a", PREPARED.with_model("pi5-a", older)) == ()


def test_what_is_expected_of_a_model_that_is_not_there_is_refused():
    serving = Settings(also_expect={LARGE: "4", "other:q8_0": "4"})
    sections = {"model": chosen(also=[LARGE]), "serving": serving}
    wrong = [str(one) for one in serving.faults(sections, "pi5-a", PREPARED)]
    assert len(wrong) == 1
    assert "also_expect" in wrong[0]
    assert "no such model" in wrong[0]


# Files


def test_each_model_is_fetched_by_a_step_of_its_own_that_hosts_share():
    found = [step for step in model_steps(MODEL, SEVERAL, Snapshot()) if step.program]
    fetches = [step for step in found if step.program == "fetch_model"]
    assert [step.name for step in fetches] == ["Fetch the model", "Fetch the model demo-f16"]
    assert [step.query["sha256"] for step in fetches] == ["a" * 64, "b" * 64]
    assert [step.shared.sha256 for step in fetches] == ["a" * 64, "b" * 64]
    assert len({unit_name(step) for step in fetches}) == 2


def test_models_that_are_there_are_left_alone_and_a_damaged_one_alone_is_fetched():
    assert [step.why for step in model_steps(MODEL, SEVERAL, LOOK) if step.why] == []
    (further,) = MODEL.further
    look = with_file(LOOK, further.path, replace(LOOK.file(further.path), mtime_ns=8))
    (step,) = (s for s in model_steps(MODEL, SEVERAL, look) if s.why)
    assert (step.name, step.query["path"]) == ("Fetch the model demo-f16", further.path)


def test_steps_are_as_many_whatever_the_node_shows():
    counts = {len(model_steps(MODEL, SEVERAL, look)) for look in (LOOK, Snapshot())}
    assert len(counts) == 1


def test_old_models_are_told_from_all_that_are_planned():
    (step,) = prune(MODEL, SEVERAL, LOOK)
    assert step.why is None
    old = with_file(LOOK, f"{MODEL.folder}/old-q8_0-000000000000.gguf.part", plain(""))
    (step,) = prune(MODEL, SEVERAL, old)
    assert step.query["planned"] == [one.path for one in MODEL.every]


# The server


def test_one_model_is_served_as_it_was():
    serving = ONE.roles["serving"]
    assert f"--model {serving.model_path}" in serving.argv
    assert not any(word.startswith(("--models-", "--sleep-idle")) for word in serving.argv)
    assert "\nOOMPolicy=stop\n" in serving.unit_text
    assert "\nTasksMax=128\n" in serving.unit_text
    assert not any(file.path.startswith(router.FOLDER) for file in serving.files)


def test_several_models_make_it_a_router_that_has_the_same_values_for_all():
    """The router's own command line is each model's, and wins over the model's section."""
    one, both = ONE.roles["serving"].argv, SERVING.argv
    (file,) = (f for f in SERVING.files if f.path.startswith(router.FOLDER))
    own = [f"--model {SERVING.model_path}", f"--alias {FIRST}"]
    assert [word for word in one if word not in both] == own
    of_router = [f"--models-preset {file.path}", "--models-max 1"]
    assert [word for word in both if word not in one] == of_router


def test_the_list_has_files_alone_and_the_first_is_loaded_at_the_start():
    (file,) = (f for f in SERVING.files if f.path.startswith(router.FOLDER))
    lines = [line for line in file.text.splitlines() if line and not line.startswith(";")]
    assert lines == [
        "version = 1",
        f"[{FIRST}]",
        f"model = {SERVING.models[FIRST]}",
        "load-on-startup = true",
        f"[{SECOND}]",
        f"model = {SERVING.models[SECOND]}",
    ]
    assert (file.mode, file.owner, file.secret) == (0o644, "root", False)


@pytest.mark.parametrize("folder", ["/srv/a#b", "/srv/a;b", "/srv/a b"])
def test_what_would_end_a_value_of_the_list_is_in_no_path(folder):
    with pytest.raises(ValidationError):
        chosen(also=[LARGE], folder=folder)


def test_another_list_is_another_plan_and_what_was_good_keeps_its_own():
    other = several_plan(lock={**LOCK, LARGE: locked("f16", "c")})
    assert other.roles["serving"].plan_id != SERVING.plan_id
    assert other.roles["serving"].identity["argv"] != SERVING.identity["argv"]
    (mine,) = (f.path for f in SERVING.files if f.path.startswith(router.FOLDER))
    (new,) = (f.path for f in other.roles["serving"].files if f.path.startswith(router.FOLDER))
    assert mine != new
    look = with_file(good_look(other), mine, plain("version = 1\n"))
    assert left.superfluous(other.roles["serving"].files, GATE, look) == [mine]
    note = plain(f'{{"release": "x", "unit": "ExecStart=x --models-preset {mine}"}}')
    kept = with_file(look, GATE, note)
    assert left.superfluous(other.roles["serving"].files, GATE, kept) == []


def test_no_more_models_than_there_are_can_be_loaded_at_once_and_never_any_number():
    argv = several_plan(serving={"models_at_once": 5}).roles["serving"].argv
    assert "--models-max 2" in argv
    with pytest.raises(ValidationError):
        Settings(models_at_once=0)


def test_a_model_that_nobody_uses_gives_its_memory_back_where_that_is_wanted():
    for also in ([], [LARGE]):
        plan = several_plan(model={"also": also}, serving={"idle_unload_s": 600})
        assert "--sleep-idle-seconds 600" in plan.roles["serving"].argv


def test_one_that_is_killed_for_memory_does_not_end_the_others():
    text = several_plan(serving={"models_at_once": 2}).roles["serving"].unit_text
    assert "\nOOMPolicy=continue\n" in text
    assert "\nTasksMax=384\n" in text


def test_the_gate_is_told_what_each_model_is_to_answer_and_has_time_for_it():
    plan = several_plan(serving={"also_expect": {LARGE: "four"}})
    serving = plan.roles["serving"]
    stopped = with_unit(good_look(plan), active="inactive", process=None)
    (step,) = (s for s in steps(serving, plan, stopped) if s.program == "serve_release")
    assert step.query["further"] == [
        {
            "name": SECOND,
            "path": serving.models[SECOND],
            "expect": "four",
            "dimensions": None,
            "setting": f"serving.also_expect of {LARGE}",
        }
    ]
    load_s = serving.start_deadline_s
    assert step.timeout_s >= 4 * load_s + 2 * talk.ASK_TIMEOUT_S + serve_release.LONGEST_S
    assert serving.attempt != SERVING.attempt


def test_a_file_that_was_replaced_under_any_of_its_servers_has_the_service_restarted():
    first, *others = LOOK.programs["llama-server"]
    gone = (first, *(replace(one, gone=(SERVING.models[SECOND],)) for one in others))
    look = replace(LOOK, programs={"llama-server": gone})
    assert not_running(SERVING, LOOK) is None
    assert "a model file that was replaced" in not_running(SERVING, look)
    stranger = replace(others[0], gone=(SERVING.models[SECOND],), cgroup="/user.slice")
    look = replace(LOOK, programs={"llama-server": (first, stranger)})
    assert not_running(SERVING, look) is None


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"data": [1]}', '{"data": [{"id": "a"}]}'])
def test_what_is_no_list_of_models_is_said(body):
    assert router.listed(Answer(200, body)) == "HTTP 200, and no list of models"


def test_a_model_that_failed_is_told_from_one_that_is_not_loaded():
    assert router.state({"status": {"value": "unloaded"}}) == "unloaded"
    assert router.state({"status": {"value": "unloaded", "failed": True}}) == "failed"


# Memory


def test_the_largest_count_as_many_as_may_be_loaded_each_with_a_server_of_its_own():
    room = Room(4000, cores=4)
    totals = [fit(model, room, REQUEST).total_mib for model in DIMS.values()]
    one, both = (fit_together(Models(DIMS, n), room, REQUEST) for n in (1, 2))
    assert (one.total_mib, both.total_mib) == (max(totals), sum(totals))
    assert one.available_mib == room.available_mib - ROUTER_MIB
    assert both.available_mib == room.available_mib - ROUTER_MIB - SERVER_MIB
    assert one.verdict == both.verdict == "yes"
    assert f"{LARGE} {max(totals)} MiB" in both.sentence


def exactly(at_once):
    """The room that has just enough for so many."""
    wanted = fit_together(Models(DIMS, at_once), Room(4000), REQUEST)
    lacking = wanted.available_mib - wanted.total_mib
    return Room(4000, cores=4, others_mib=lacking)


def test_one_mib_less_than_they_take_is_too_little():
    room = exactly(2)
    assert fit_together(Models(DIMS, 2), room, REQUEST).verdict == "tight"
    less = replace(room, others_mib=room.others_mib + 1)
    assert fit_together(Models(DIMS, 2), less, REQUEST).verdict == "no"
    assert fewer(Models(DIMS, 2), less, REQUEST) == 1
    assert fewer(Models(DIMS, 1), less, REQUEST) is None


def refusal(at_once, spare_mib, **model):
    """Why a node with so much room for the models refuses them."""
    wanted = fit_together(Models(DIMS, at_once), Room(4000), REQUEST).total_mib + spare_mib
    taken = Room(4000).available_mib - ROUTER_MIB - (at_once - 1) * SERVER_MIB - wanted
    board = replace(PI5, memory_mib=4000)
    more = {"models_at_once": at_once, "reserve_mib": taken}
    return several_plan(board, model=model, serving=more).refusals


def test_models_that_do_not_fit_together_are_refused_before_any_is_fetched():
    assert refusal(2, 0) == ()
    (why,) = refusal(2, -1)
    assert f"{FIRST}, {SECOND} do not fit, so nothing is fetched" in why
    assert "With serving.models_at_once 1 they fit." in why
    assert refusal(2, -1, fit="warn") == ()


def test_a_model_that_does_not_even_fit_alone_is_named():
    (why,) = refusal(1, -1)
    assert f"Take a smaller model or quantization in the place of {SECOND}" in why


def test_models_of_unknown_size_refuse_nothing_and_prove_nothing():
    lock = {**LOCK, LARGE: locked("f16", "b", fit=False)}
    plan = several_plan(lock=lock)
    assert plan.refusals == ()
    assert [said for said in plan.warnings if f"`bramble model lock {LARGE}`" in said]
    assert plan.roles["serving"].fit is None
    small = several_plan(replace(PI5, memory_mib=360), lock=lock)
    assert any("do not fit" in why for why in small.refusals)


def test_weights_of_several_models_are_locked_only_where_they_fit():
    plan = several_plan(serving={"lock_weights": True, "models_at_once": 2})
    sizes = plan.roles["serving"].locked.sizes
    assert list(sizes) == list(plan.roles["serving"].models.values())
    assert None not in sizes.values()
    assert plan.refusals == ()


# Clients


def configuration(plan):
    (file,) = (f for f in plan.roles["serving"].files if f.path == PLACE.config)
    return file.text


def test_clients_get_the_names_of_several_models_and_nothing_else_of_them():
    """llama-server's own list has the command line of each, with paths of the node."""
    text = configuration(SEVERAL)
    (line,) = (one for one in text.splitlines() if '"object":"list"' in one)
    assert f'"id":"{FIRST}"' in line
    assert f'"id":"{SECOND}"' in line
    assert line.endswith("if { method GET }")
    assert "use_backend" not in text
    assert MODEL.folder not in text


def test_clients_of_one_model_get_its_name_from_the_server():
    assert "use_backend names if { method GET }" in configuration(ONE)
    assert '"object":"list"' not in configuration(ONE)


def test_what_loads_and_unloads_models_is_closed_to_clients():
    assert not any(path.startswith("/models") for path in PATHS)
    text = configuration(SEVERAL)
    (offered,) = (one for one in text.splitlines() if "Not offered here" in one)
    assert "/models/" not in offered
    assert offered.count("/models") == 1
    assert "{ method GET } { path /v1/models }" in offered


def test_each_model_that_is_loaded_has_slots_of_its_own():
    plan = several_plan(serving={"models_at_once": 2, "slots": 3, "ctx_tokens": 3072})
    assert "maxconn 6 check" in configuration(plan)
    assert "maxconn 1 check" in configuration(SEVERAL)


def test_the_node_that_watches_itself_is_told_of_each_model():
    from bramble.roles.monitoring.wanted import _server

    told = _server(SimpleNamespace(question_every_s=1, question_deadline_s=1), SEVERAL)
    assert [one["name"] for one in told["further"]] == [SECOND]
    assert (
        _server(SimpleNamespace(question_every_s=1, question_deadline_s=1), node_plan())["further"]
        == []
    )
