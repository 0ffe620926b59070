"""A run's report: one line an event, each whole or not there, whatever ended the run."""

import json
import os
import re

import pytest

from bramble import report
from bramble.report import Report


def test_events_come_back_in_order_with_their_values_and_time(tmp_path):
    made = Report(tmp_path / "reports" / "run.jsonl")
    made.write("run", hosts=["pi5-a"])
    made.write("end", changed=[], failed=["größer\nas a line"])
    first, last = report.read(made.file)
    assert (first["event"], first["hosts"]) == ("run", ["pi5-a"])
    assert last["failed"] == ["größer\nas a line"]
    assert 0 < first["at"] <= last["at"]


def test_every_event_is_on_the_disk_as_soon_as_it_is_written(tmp_path):
    made = Report(tmp_path / "run.jsonl")
    for number in range(3):
        made.write("step", number=number)
        assert len(made.file.read_text().splitlines()) == number + 1


def test_an_earlier_part_of_a_report_is_kept(tmp_path):
    Report(tmp_path / "run.jsonl").write("run")
    Report(tmp_path / "run.jsonl").write("end")
    assert [entry["event"] for entry in report.read(tmp_path / "run.jsonl")] == ["run", "end"]


@pytest.mark.parametrize("kept", [0, 1, 20, -1])
def test_a_last_line_that_a_kill_cut_short_is_left_out(tmp_path, kept):
    whole, cut = '{"event": "run", "at": 1}\n', '{"event": "end", "at": 2}\n'
    file = tmp_path / "run.jsonl"
    file.write_text(whole + cut[:kept])
    assert list(report.read(file)) == [json.loads(whole)]


def test_a_report_that_was_never_begun_has_no_events(tmp_path):
    assert list(report.read(tmp_path / "none.jsonl")) == []


def test_a_report_goes_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv(report.VARIABLE, str(tmp_path / "here.jsonl"))
    assert report.path() == tmp_path / "here.jsonl"


@pytest.mark.parametrize("stand", ["", "inventory", "deploys/own"])
def test_a_report_has_a_file_of_its_own_for_each_run_in_the_project_otherwise(
    monkeypatch, tmp_path, stand
):
    for folder in ("inventory", "deploys/own"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "inventory" / "fleet.yml").write_text("")
    (tmp_path / "inventory.py").write_text("")
    monkeypatch.delenv(report.VARIABLE, raising=False)
    monkeypatch.delenv("BRAMBLE_INVENTORY", raising=False)
    monkeypatch.chdir(tmp_path / stand)
    path = report.path()
    assert path.parent == tmp_path / "reports"
    assert re.fullmatch(rf"\d{{8}}-\d{{6}}-{os.getpid()}\.jsonl", path.name)


def test_reports_of_an_inventory_without_a_project_lie_in_it(monkeypatch, tmp_path):
    monkeypatch.delenv(report.VARIABLE, raising=False)
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path / "fleet"))
    assert report.path().parent == tmp_path / "fleet" / "reports"
