"""What hosts say becomes a state, a row and a screen: what is old, odd or not told is shown as such."""

import json
from datetime import timedelta

import pytest

from bramble import report
from bramble.audit.result import Audit, HostAudit, Item
from bramble.audit.since import keep
from bramble.cli import keys
from bramble.cli.live import changed
from bramble.roles.monitoring.wanted import STATUS
from bramble.roles.serving.wanted import UNIT
from bramble.status import pauses, rows, screen
from bramble.status import wanted as wanted_module
from bramble.status.drift import Changes, changes
from bramble.status.known import SILENT_S, Known
from bramble.status.result import host_status
from bramble.status.said import said
from bramble.status.screen import Screen
from tests.unit.status_made import LINE, NOW, audited, known, line, status, wanted

# What a line says


def test_a_line_is_taken_as_it_is_said():
    found = said(line())
    assert (found.health, found.temperature_c, found.models) == (
        "HTTP 200",
        48.3,
        {"toy": "loaded"},
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "hello",
        line(temperature_c="hot"),
        line(models={"toy": 1}),
        line(models=["toy"]),
        line(busy=True),
        line(busy=1.5),
        line(uptime_s=2**80),
        line(ages=None),
        line(files_ok="yes"),
        line().replace("7300", "NaN"),
    ],
)
def test_a_line_of_another_form_is_not_believed(text):
    with pytest.raises(ValueError, match=r".+"):
        said(text)


def test_what_is_not_known_here_is_left_out():
    assert said(line(further={"a": [1]})) == said(line())


@pytest.mark.parametrize(
    ("look", "gone"),
    [("board", "temperature_c"), ("unit", "resident_mib"), ("server", "health")],
)
def test_a_look_that_hangs_tells_nothing_of_the_present(look, gone):
    ages = {**LINE["ages"], look: 61}
    assert getattr(said(line(ages=ages)), gone) is None
    del ages[look]
    assert getattr(said(line(ages=ages)), gone) is None
    assert getattr(said(line()), gone) is not None


# The state of a host


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "healthy"),
        ({"health": "HTTP 503"}, "loading"),
        ({"health": "timed out"}, "unwell"),
        ({"health": "HTTP 500"}, "unwell"),
        ({"health": "refused", "unit": "failed"}, "stopped"),
        ({"health": "refused", "unit": None}, "stopped"),
        ({"models": {"toy": "sleeping"}}, "asleep"),
        ({"models": {"toy": "loaded", "b": "failed"}}, "unwell"),
        ({"models": {}}, "healthy"),
        ({"health": None}, "not told"),
    ],
)
def test_the_state_is_what_the_server_tells(changes, state):
    found = status(**changes)
    assert found.state == state
    assert found.is_well == (state in ("healthy", "asleep"))
    assert bool(found.why) == (not found.is_well)


def test_a_host_that_is_to_serve_nothing_is_up():
    host = wanted(server=None, models=(), slots=0)
    assert host_status(host, known(health=None), Changes(), 1000.0).state == "up"


def test_a_host_that_was_never_heard_is_connecting_and_after_30_s_silent():
    seen = Known(1000.0)
    of = [host_status(wanted(), seen, Changes(), 1000.0 + s) for s in (0, 29.9, SILENT_S)]
    assert [one.state for one in of] == ["connecting", "connecting", "silent"]
    assert "nothing was heard of it for 30 s" in of[-1].why


def test_a_host_that_is_not_heard_any_more_is_old_then_silent_and_its_figures_go():
    fresh, old, silent = (status(seen=known(heard_ago_s=ago)) for ago in (4.9, 7, 31))
    assert rows.cells(fresh, NOW)["STATE"].text == "healthy"
    assert rows.cells(old, NOW)["STATE"] == rows.Cell("healthy, 7s ago", "warn")
    assert (silent.state, silent.temperature_c) == ("silent", None)
    assert "31 s" in silent.why


def test_a_connection_that_ended_is_told_once_its_last_line_is_old():
    seen = known(heard_ago_s=1).ended("the connection ended")
    assert status(seen=seen).state == "healthy"
    later = host_status(wanted(), seen, Changes(), 1010.0)
    assert (later.state, later.why) == ("unreachable", "the connection ended")


def test_a_host_that_cannot_be_reached_says_why_at_once():
    seen = Known(1000.0).ended("it shows another key\x1b[2J")
    found = host_status(wanted(), seen, Changes(), 1000.1)
    assert (found.state, found.why) == ("unreachable", "it shows another key?[2J")


def test_a_host_that_is_heard_again_is_well_again():
    seen = Known(900.0).ended("no route").heard(said(line()), 999.9)
    assert status(seen=seen).state == "healthy"


def test_a_build_is_compared_by_its_commit():
    assert status().build_planned is True
    assert status(build="b1-1111111").build_planned is False
    assert status(build="b1-").build_planned is False
    assert status(build=None).build_planned is None


def test_a_model_that_was_not_planned_is_marked():
    found = status(models={"other": "loaded"})
    assert found.models[0].planned is False
    assert rows.cells(found, NOW)["MODEL"] == rows.Cell("other", "bad")


# Rows


def row(**changes):
    return {
        name: (cell.text, cell.tone) for name, cell in rows.cells(status(**changes), NOW).items()
    }


def test_a_row_of_a_good_host():
    assert row() == {
        "HOST": ("pi5-a", ""),
        "STATE": ("healthy", "good"),
        "MODEL": ("toy", ""),
        "TOK/S": ("7.9", ""),
        "SLOTS": ("1/1", ""),
        "TEMP": ("48 °C", ""),
        "HELD BACK": ("no", ""),
        "MEMORY": ("1200/1300 MiB", ""),
        "UP": ("2h", ""),
        "DRIFT": ("not audited", "dim"),
        "BUILD": ("b11300-0c1e57098", ""),
    }


@pytest.mark.parametrize(
    ("changes", "column", "cell"),
    [
        ({"tokens_per_s": 0.0}, "TOK/S", ("idle", "dim")),
        ({"tokens_per_s": None, "prompt_per_s": 41.6}, "TOK/S", ("reads 42", "")),
        ({"tokens_per_s": None, "prompt_per_s": None}, "TOK/S", ("", "")),
        ({"busy": None}, "SLOTS", ("?/1", "")),
        ({"waiting": 3}, "SLOTS", ("1/1 +3", "warn")),
        ({"health": "HTTP 503"}, "SLOTS", ("", "")),
        ({"temperature_c": 81.2}, "TEMP", ("81 °C", "bad")),
        ({"temperature_c": 71}, "TEMP", ("71 °C", "warn")),
        ({"temperature_c": None}, "TEMP", ("?", "dim")),
        ({"throttled": 0x50005}, "HELD BACK", ("undervoltage, throttled", "bad")),
        ({"throttled": 0x50000}, "HELD BACK", ("earlier", "warn")),
        ({"throttled": None}, "HELD BACK", ("?", "dim")),
        ({"resident_mib": 1400}, "MEMORY", ("1400/1300 MiB", "warn")),
        ({"swapped_mib": 20.2}, "MEMORY", ("1200/1300 MiB +20 swap", "warn")),
        ({"resident_mib": None}, "MEMORY", ("", "")),
        ({"uptime_s": 59}, "UP", ("59s", "")),
        ({"build": "b1-1111111"}, "BUILD", ("b1-1111111", "bad")),
        ({"models": {"a": "unloaded"}}, "MODEL", ("none loaded", "")),
    ],
)
def test_each_cell_tells_what_is_not_well(changes, column, cell):
    assert row(**changes)[column] == cell


def test_drift_is_the_nodes_own_word_else_that_of_the_last_audit():
    told = {"files_at_s": NOW.timestamp() - 40, "files_ok": False}
    assert row(**told, files_said="2 differ: /etc/x, /etc/y")["DRIFT"] == ("2 differ (40s)", "bad")
    assert row(**told | {"files_ok": True})["DRIFT"] == ("none (40s)", "")
    assert row(**told | {"files_ok": None})["DRIFT"] == ("? (40s)", "")
    assert row(changes=audited())["DRIFT"] == ("none (3h)", "")
    assert row(changes=audited("differs", "4 of 90"))["DRIFT"] == ("4 of 90 (3h)", "bad")
    both = row(changes=audited(), **told, files_said="1 differ: /etc/x")
    assert both["DRIFT"] == ("1 differ (40s)", "bad")


def test_a_deploy_after_the_audit_makes_it_outdated():
    later = audited("differs", "4 of 90", deployed=NOW - timedelta(hours=1))
    assert row(changes=later)["DRIFT"] == ("deployed since (3h)", "dim")
    earlier = audited("differs", "4 of 90", deployed=NOW - timedelta(hours=9))
    assert row(changes=earlier)["DRIFT"] == ("4 of 90 (3h)", "bad")


def test_reports_tell_the_last_audit_of_each_host_and_when_a_run_changed_it(tmp_path):
    item = {"id": "serving.x", "kind": "check", "role": "serving", "got": "", "want": ""}
    items = tuple(Item(**item, status=status) for status in ("fail", "pass", "fail"))
    host = HostAudit(host="a", state="differs", looked_at=NOW, items=items)
    keep(Audit(at=NOW, hosts=(host,)), tmp_path / "20261130-120000-1-audit.json")
    kept = report.Report(tmp_path / "20261130-130000-2-node.jsonl")
    kept.write("run", hosts=["a", "b"], who="ann", command="bramble up")
    kept.write("step", host="b", step="x", why="y", state="done", problem=None)
    kept.write("end", changed=["b"], failed=[], complete=True)
    found = changes(tmp_path, ["a", "b"])
    assert (found["a"].drift().found, found["a"].drift().what) == ("differs", "2 of 3")
    assert found["a"].drift().at == NOW
    assert (found["a"].deployed, found["b"].audit) == (None, None)
    assert found["b"].deployed is not None
    assert changes(tmp_path / "none", ["a"]) == {"a": Changes()}


# The screen


FLEET = [status("pi5-a"), status("pi5-b", throttled=0x1), status("pi4-c", health="HTTP 503")]


def text(drawn):
    return ["".join(piece.text for piece in one) for one in drawn]


def drawn(chosen=None, hosts=FLEET, width=160, height=24):
    return text(screen.lines(chosen or Screen(), hosts, width, height, NOW))


def test_the_screen_has_every_host_and_the_details_of_the_chosen_one():
    found = drawn(Screen(host="pi4-c"))
    assert found[0].startswith("3 hosts, 2 well; not: pi4-c")
    assert found[1].split()[:3] == ["HOST", "STATE", "MODEL"]
    assert [line.split()[0] for line in found[2:5]] == ["pi5-a", "pi5-b", "pi4-c"]
    assert "pi4-c: its model is being loaded" in "\n".join(found)
    assert "q quit" in found[-1]


@pytest.mark.parametrize("width", [200, 120, 100, 79, 60, 40])
@pytest.mark.parametrize("height", [50, 24, 8])
def test_the_screen_fits_the_terminal(width, height):
    many = [status(f"pi-{n:02}", models={"m" * 60: "loaded"}) for n in range(20)]
    found = drawn(Screen(host="pi-17"), many, width, height)
    assert len(found) <= height
    assert max(map(len, found)) <= width + len(screen.GAP)
    assert any(line.startswith("pi-17  ") for line in found)


def test_columns_go_in_order_where_the_terminal_is_narrow():
    narrow = drawn(width=60)[1].split()
    assert narrow[:2] == ["HOST", "STATE"]
    assert "TOK/S" in narrow
    assert "BUILD" not in narrow


def test_what_a_node_says_cannot_move_the_cursor():
    odd = status(models={"a\x1b[2Jb": "loaded"}, build="b\r\n1", health="HTTP 200")
    assert all(character.isprintable() for line in drawn(hosts=[odd]) for character in line)
    assert list(changed([odd], {})) == ["pi5-a: healthy; a?[2Jb loaded; b??1"]


def test_keys_choose_a_host_and_stay_within_the_fleet():
    found = Screen()
    for key, host in [("j", "pi5-b"), ("down", "pi4-c"), ("j", "pi4-c"), ("k", "pi5-b")]:
        found, action = found.pressed(key, FLEET)
        assert (found.host, action) == (host, "")
    assert found.pressed("home", FLEET)[0].host == "pi5-a"
    assert found.pressed("end", FLEET)[0].host == "pi4-c"
    assert found.pressed("page up", FLEET)[0].host == "pi5-a"
    assert Screen().pressed("j", [])[0] == Screen()


@pytest.mark.parametrize(
    ("key", "action"),
    [("v", "checks"), ("enter", "checks"), ("l", "logs"), ("a", "ask"), ("q", "quit"), ("x", "")],
)
def test_a_key_stands_for_a_command(key, action):
    assert Screen().pressed(key, FLEET) == (Screen(), action)


def test_a_part_of_names_is_typed_and_letters_are_no_commands_meanwhile():
    found = Screen(host="pi4-c")
    for key in ("/", "5", "-", "x", "backspace", "a"):
        found, action = found.pressed(key, FLEET)
        assert action == ""
    assert (found.typing, found.part) == (True, "5-a")
    assert [one.host for one in found.shown(FLEET)] == ["pi5-a"]
    assert drawn(found)[-1].startswith("/5-a_")
    found, _ = found.pressed("enter", FLEET)
    assert found.chosen(FLEET).host == "pi5-a"
    assert found.pressed("v", FLEET)[1] == "checks"
    assert found.pressed("escape", FLEET)[0].part == ""


def test_where_no_name_has_the_part_no_host_is_chosen():
    found = Screen(part="zz")
    assert found.chosen(FLEET) is None
    assert "no such host" in "\n".join(drawn(found))


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"j", ["j"]),
        (b"\x1b[A\x1b[B", ["up", "down"]),
        (b"\x1bOAq", ["up", "q"]),
        (b"\r", ["enter"]),
        (b"\x1b", ["escape"]),
        (b"\x7f", ["backspace"]),
        (b"\x1b[5~\x1b[6~", ["page up", "page down"]),
        (b"\x1b[1;5Cq", ["q"]),
        (b"\x1b[", []),
        ("é".encode(), []),
        (b"\x00\x01", []),
        (b"/a b", ["/", "a", " ", "b"]),
    ],
)
def test_bytes_of_a_terminal_are_named_keys(data, named):
    assert list(keys.names(data)) == named


# Off a terminal


def test_a_line_is_told_when_something_lasting_changed_and_not_each_second():
    before = {}
    assert list(changed([host_status(wanted(), Known(1000.0), Changes(), 1000.0)], before)) == []
    assert list(changed([status()], before)) == ["pi5-a: healthy; toy loaded; b11300-0c1e57098"]
    assert list(changed([status(temperature_c=60, busy=0, tokens_per_s=1)], before)) == []
    (line,) = changed([status(throttled=0x1)], before)
    assert line.endswith("; held back: undervoltage")
    assert list(changed([status()], before)) != []


# Pauses


def test_pauses_grow_and_no_more_than_two_commands_are_begun_in_a_minute():
    found, now_s, begun = pauses.Pauses(), 0.0, []
    for _ in range(40):
        found.begin(now_s)
        begun.append(now_s)
        now_s += 0.5 + found.after(now_s + 0.5, 0.5)
    for number, at_s in enumerate(begun[2:], 2):
        assert at_s - begun[number - 2] >= 60
    assert begun[-1] - begun[-2] >= 60


def test_a_host_that_takes_no_connection_is_tried_less_and_less_often():
    found = pauses.Pauses()
    assert [found.after(n, 10) for n in range(8)] == [2, 4, 8, 16, 32, 60, 60, 60]


def test_after_a_good_connection_the_pause_is_short_again():
    found = pauses.Pauses()
    for _ in range(6):
        found.after(0, 1)
    assert found.after(1000, 600) == 2


# What is wanted


def test_the_unit_and_the_file_of_a_nodes_own_look_are_those_of_their_roles():
    assert (wanted_module._UNIT, wanted_module._OWN_LOOK) == (UNIT, STATUS)


def test_the_query_of_a_node_is_json():
    assert json.loads(json.dumps(wanted().query(once=True)))["once"] is True
