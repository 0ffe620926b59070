"""A host's line says which step of how many it is in, how far it is, and how long that still takes."""

import pytest

from bramble import report
from bramble.pyinfra import standing
from bramble.pyinfra.standing import Standing
from bramble.remote import follow


@pytest.fixture
def kept(tmp_path):
    """A report, and what it says of progress."""
    made = report.Report(tmp_path / "report.jsonl")
    yield made
    standing.ended("pi5-a")


def progress(kept):
    return [(event["percent"], event["left_s"]) for event in report.read(kept.file)]


def test_of_how_many_steps_one_is_follows_from_what_is_due_by_the_latest_look():
    counted = Standing()
    counted.expect("base", 1)
    counted.expect("engine", 2)
    assert counted.begin("base", 1) == (1, 3)
    counted.over("base")
    # Another look found one step more.
    assert counted.begin("engine", 3) == (2, 4)
    assert counted.begin("engine", 2) == (3, 4)
    assert counted.begin("engine", 1) == (4, 4)
    counted.over("engine")
    assert counted.begin("serving", 1) == (5, 5)


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (" 34 %, about 6 min left", (34, 360)),
        ("  7 % of 812 MiB, 9.5 MiB/s, about 79 s left", (7, 79)),
        ("100 %", (100, None)),
    ],
)
def test_how_far_a_long_step_is_is_told_with_the_step_and_reported(kept, line, event):
    assert standing.begun("pi5-a", "Install llama.cpp", (4, 17), kept) == (
        "step 4 of 17: Install llama.cpp"
    )
    said = standing.told("pi5-a", line)
    assert said == f"step 4 of 17: Install llama.cpp, {line.strip()}"
    assert progress(kept) == [(None, None), event]


def test_what_a_node_prints_of_its_progress_is_understood(kept, monkeypatch):
    told, now = follow.Progress(), [0.0]
    monkeypatch.setattr(follow.time, "monotonic", lambda: now[0])
    told.started_s = told.told_s = 0.0
    standing.begun("pi5-a", "Fetch the model", (2, 3), kept)
    follow.condensed("[0/800] MiB", told)
    now[0] = 100.0
    standing.told("pi5-a", follow.condensed("[200/800] MiB", told))
    assert progress(kept)[-1] == (25, 300)


def test_a_wait_is_told_with_the_step_that_waits(kept):
    assert standing.within("pi5-a", "waiting for the next boot") == "waiting for the next boot"
    standing.begun("pi5-a", "Reboot", (5, 17), kept)
    assert standing.within("pi5-a", "waiting for the next boot: 30 of 600 s") == (
        "step 5 of 17: Reboot, waiting for the next boot: 30 of 600 s"
    )


def test_other_lines_and_those_of_no_step_are_shown_as_they_are(kept):
    assert standing.told("pi5-a", " 34 %") == " 34 %"
    standing.begun("pi5-a", "Install llama.cpp", (4, 17), kept)
    assert standing.told("pi5-a", "fetching 34 % more") == "fetching 34 % more"
    assert standing.told("pi4-b", " 34 %") == " 34 %"
    standing.ended("pi5-a")
    assert standing.told("pi5-a", " 34 %") == " 34 %"
    assert progress(kept) == [(None, None)]
