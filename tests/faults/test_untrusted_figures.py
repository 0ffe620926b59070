"""Whatever a node measured, and whatever a stored result holds: figures, or a sentence on it."""

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from hypothesis import example, given

from bramble.bench import result
from bramble.bench.race import decide, entries, table
from bramble.cli import main
from bramble.pyinfra import connection, race
from bramble.snapshot import FileState, Snapshot
from tests.faults.fuzz import examples, mangled
from tests.unit import good_result

pytestmark = pytest.mark.untrusted
SHA = "d" * 64
STORED = good_result.result().model_dump(mode="json")
LATER = good_result.result(at="2026-11-21T12:00:00Z").model_dump(mode="json")


def with_in(part, **values):
    return {**LATER, part: {**LATER[part], **values}}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """An inventory of one host that was measured twice, and the file of its last result."""
    folder = tmp_path_factory.mktemp("fleet")
    model = f"{{name: toy, url: http://models.example.org/toy.gguf, sha256: {SHA}}}"
    (folder / "fleet.yml").write_text(f"settings: {{model: {model}}}\nhosts: {{pi4-a: {{}}}}\n")
    (folder / "known_hosts").write_text("")
    result.keep(folder, good_result.result())
    file = result.keep(folder, good_result.result(at="2026-11-21T12:00:00Z"))
    return SimpleNamespace(folder=folder, file=file)


def shown(fleet, *words):
    """What the command tells of it: never a traceback, nor what controls a terminal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAMBLE_INVENTORY", str(fleet.folder))
        done = CliRunner().invoke(main, ["bench", "pi4-a", "--kept", *words])
    assert isinstance(done.exception, SystemExit | None), done.exc_info
    assert all(letter.isprintable() or letter in "\n\t" for letter in done.output)
    return done


@examples(150)
@given(mangled(LATER))
@example(with_in("bandwidth", gb_s=0))
@example(with_in("board", memory_mib=10**400))
@example(with_in("seen", max_mhz=10**400))
def test_a_stored_result_is_judged_or_refused_with_its_file(fleet, stored):
    fleet.file.write_text(json.dumps(stored))
    chart = fleet.folder / "chart.html"
    done = shown(fleet, "--chart", str(chart))
    if "is no result of a benchmark" in done.output:
        assert fleet.file.name in done.output
        return
    assert "<script" not in chart.read_text()
    json.loads(shown(fleet, "--json").stdout)


GOOD = {"variant": "plain", "round": 1, "prompt_tps": 15.0, "answer_tps": 6.0, "mhz": 1800.0}
RACED = {"id": "this race", "whole": True, "runs": [GOOD, {**GOOD, "variant": "rpc"}]}


@examples(150)
@given(mangled(RACED))
@example([])
@example({**RACED, "runs": [{**GOOD, "answer_tps": 0}]})
@example({**RACED, "runs": [{**GOOD, "problem": ""}, {"variant": "rpc", "problem": ""}]})
@example({**RACED, "runs": [{**GOOD, "variant": "../x"}]})
@example({**RACED, "runs": [{"variant": "plain"}]})
def test_whatever_a_race_left_is_decided_or_is_a_problem_in_words(left):
    text = json.dumps(left)
    state = FileState("file", 0o644, "root", "root", len(text), 0, text=text)
    step = SimpleNamespace(query={"id": RACED["id"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "look", lambda *_: Snapshot(files={race.RESULT: state}))
        runs, problem = race._result(None, step, ("plain", "rpc"))
    assert bool(runs) is (problem is None)
    if problem:
        assert problem.endswith("; race again")
        assert problem.isprintable()
        return
    found = entries(runs)
    verdict = decide(found)
    assert verdict is None or verdict.winner in ("plain", "rpc")
    assert table(found)
