"""A small model that guesses for the one that answers: settings, files, arguments, memory, checks."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from bramble.fit.memory import Request, compute_bytes, drafting, kv_bytes
from bramble.fit.verdict import Room, fit, mib
from bramble.llama.lock import Held
from bramble.prepared import Prepared
from bramble.roles.model.plan import prune
from bramble.roles.model.plan import steps as model_steps
from bramble.roles.model.settings import Settings as ModelSettings
from bramble.roles.monitoring.wanted import _server
from bramble.roles.serving.state import not_running
from bramble.roles.serving.steps import steps
from bramble.snapshot import Snapshot
from tests.unit.good_node import good_look, node_plan, settings
from tests.unit.looks import plain, with_file
from tests.unit.several import LARGE, LOCK, SMALL, locked

GUESSING = {"speculation": {"type": "draft-simple"}}
USES = {"use": LARGE, "name": None, "url": None, "sha256": None, "draft": SMALL}
PREPARED = Prepared(models=LOCK, catalogue={use: None for use in LOCK})
DRAFT = LOCK[SMALL].fit.geometry
MODEL = LOCK[LARGE].fit.geometry


def plan(*board, lock=None, model=None, serving=None, **more):
    """The plan of a node where one model guesses for the other."""
    uses = {**USES, **(model or {})}
    own = GUESSING | (serving or {})
    return node_plan(*board, locked=lock or LOCK, model=uses, serving=own, **more)


PLAN = plan()
LOOK = good_look(PLAN)
FILE = PLAN.roles["serving"].draft_path


def amiss(prepared=PREPARED, **values):
    chosen = ModelSettings(**{"use": LARGE, "draft": SMALL, **values})
    return [str(one) for one in chosen.faults({}, "pi5-a", prepared)]


def of_serving(model=None, **serving):
    sections = settings(model=model or {}, serving=serving)
    found = sections["serving"].faults(sections, "pi5-a", PREPARED)
    return [str(one) for one in found if "speculation" in str(one)]


def test_it_has_a_file_of_its_own_that_is_fetched_and_proved_as_any():
    assert f"{PLAN.roles['model'].folder}/demo-q8_0-{'a' * 12}.gguf" == FILE
    names = [step.name for step in model_steps(PLAN.roles["model"], PLAN, Snapshot())]
    assert "Fetch the model demo-q8_0" in names
    assert FILE in PLAN.roles["model"].trusted
    assert FILE in PLAN.roles["model"].outputs.housekeeping["planned"]


def test_the_node_that_watches_itself_watches_its_file_too():
    every = SimpleNamespace(question_every_s=1, question_deadline_s=1)
    (told,) = _server(every, PLAN)["helpers"]
    assert (told["path"], told["sha256"]) == (FILE, LOCK[SMALL].sha256)


def test_it_is_no_model_that_clients_can_ask_for():
    assert [*PLAN.roles["serving"].models] == ["demo-f16"]
    assert PLAN.roles["serving"].further == ()


def test_the_server_is_given_it_with_every_value_that_it_would_guess():
    argv = PLAN.roles["serving"].argv
    at = argv.index("--spec-type draft-simple")
    assert argv[at : at + 7] == (
        "--spec-type draft-simple",
        f"--spec-draft-model {FILE}",
        "--spec-draft-threads 4",
        "--spec-draft-type-k f16",
        "--spec-draft-type-v f16",
        "--spec-draft-n-max 3",
        "--spec-draft-n-min 0",
    )
    more = plan(serving={"cache_type_k": "q8_0", "speculation": {**GUESSING["speculation"]}})
    assert "--spec-draft-type-k q8_0" in more.roles["serving"].argv


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"draft": "nothing:q8_0"}, "no nothing:q8_0 in models.yml"),
        ({"draft": LARGE}, f"{LARGE} is named already"),
        ({"also": [SMALL], "draft": LARGE, "use": "other:f16"}, "leave one of the two out"),
    ],
)
def test_a_model_that_cannot_guess_is_refused(values, said):
    other = replace(PREPARED, models={**LOCK, "other:f16": locked("f16", "c")})
    found = amiss(other, **values)
    assert any(said in one for one in found), found
    assert all(one.startswith("draft") for one in found)


def test_a_vocabulary_of_another_size_is_refused_as_far_as_it_is_known():
    entry = LOCK[SMALL]
    wide = entry.fit.model_copy(update={"vocabulary": entry.fit.vocabulary + 129})
    lock = {**LOCK, SMALL: entry.model_copy(update={"fit": wide})}
    (said,) = amiss(replace(PREPARED, models=lock))
    assert f"{SMALL} cannot guess for {LARGE}: its vocabulary has" in said
    near = entry.fit.model_copy(update={"vocabulary": entry.fit.vocabulary + 128})
    lock[SMALL] = entry.model_copy(update={"fit": near})
    assert amiss(replace(PREPARED, models=lock)) == []


def test_the_type_and_the_model_belong_together():
    (said,) = of_serving(speculation={"type": "draft-simple"})
    assert said.endswith("name one in model.draft")
    (said,) = of_serving(USES, speculation={"type": "ngram-mod"})
    assert f"model.draft names {SMALL}: set it to draft-simple" in said
    assert of_serving(USES, **GUESSING) == []


def test_a_host_that_went_back_to_another_model_has_none_that_guesses():
    lock = {**LOCK, "before:f16": locked("f16", "d")}
    held = Held(name="before-f16", sha256="d" * 64, instead_of=LOCK[LARGE].sha256)
    prepared = replace(PREPARED, models=lock).with_model("pi5-a", held)
    chosen = ModelSettings(use=LARGE, draft=SMALL)
    assert chosen.drafting("pi5-a", prepared) is None
    assert chosen.drafting("pi5-b", prepared).name == "demo-q8_0"


def test_what_it_takes_is_counted_beside_the_other_one():
    request = Request(ctx=2048, drafted=3)
    alone, beside = (
        fit(MODEL, Room(4000), one) for one in (request, replace(request, draft=DRAFT))
    )
    own = drafting(replace(request, draft=DRAFT))
    assert beside.weights_mib - alone.weights_mib == mib(DRAFT.weights.file_bytes)
    assert beside.kv_mib - alone.kv_mib == mib(kv_bytes(DRAFT, own))
    assert beside.compute_mib - alone.compute_mib == mib(compute_bytes(DRAFT, own))
    assert beside.total_mib > alone.total_mib
    assert beside.sentence.count("with the one that guesses for it") == 1


def test_a_model_that_fits_alone_may_not_with_the_one_that_guesses():
    taken = fit(MODEL, Room(4000), Request(ctx=2048)).total_mib
    room = next(Room(n) for n in range(256, 4000) if Room(n).available_mib == taken)
    assert fit(MODEL, room, Request(ctx=2048)).verdict == "tight"
    assert fit(MODEL, room, Request(ctx=2048, draft=DRAFT)).verdict == "no"


def test_without_its_dimensions_nobody_says_that_it_fits():
    lock = {**LOCK, SMALL: locked("q8_0", "a", fit=False)}
    found = plan(lock=lock)
    assert found.roles["serving"].fit is None
    (warned,) = found.roles["model"].warnings()
    assert warned.startswith(f"model.draft: whether {SMALL} fits beside")
    large = plan(lock=lock, serving={"reserve_mib": 1 << 20})
    assert large.roles["serving"].refusals()


def test_its_weights_are_locked_too():
    serving = plan(serving={"lock_weights": True}).roles["serving"]
    assert serving.locked.sizes[FILE] == DRAFT.weights.file_bytes


def test_a_file_that_was_replaced_is_told_of_the_process_that_has_it():
    serving = PLAN.roles["serving"]
    assert not_running(serving, LOOK) is None
    unit = LOOK.unit("llama-server.service")
    process = replace(unit.process, gone=(FILE,))
    units = {**LOOK.units, unit_name(unit): replace(unit, process=process)}
    assert "replaced since it started" in not_running(serving, replace(LOOK, units=units))


def unit_name(unit):
    return next(name for name, one in LOOK.units.items() if one == unit)


def test_the_gate_remembers_it_and_pruning_keeps_what_is_planned():
    look = with_file(LOOK, "/opt/bramble/engine/good.json", plain("{}"))
    (step,) = [s for s in steps(PLAN.roles["serving"], PLAN, look) if s.name == "Run the service"]
    assert step.query["helpers"] == [FILE]
    (step,) = prune(PLAN.roles["model"], PLAN, LOOK)
    assert step.why is None
