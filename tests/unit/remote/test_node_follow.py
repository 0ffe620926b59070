"""A long step's output, condensed for people, and its end told apart from being ended."""

import subprocess
from types import SimpleNamespace

import pytest

from bramble.remote import follow, outcome


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets by hand."""
    made = SimpleNamespace(now=0.0)
    monkeypatch.setattr(follow, "time", SimpleNamespace(monotonic=lambda: made.now, sleep=None))
    return made


def reported(progress, clock, seconds_and_done, of):
    lines = []
    for second, done in seconds_and_done:
        clock.now = second
        lines.append(progress.line(done, of))
    return [line for line in lines if line]


def test_counters_become_a_line_for_every_ten_percent(clock):
    lines = reported(follow.Progress(), clock, [(n / 100, n) for n in range(1, 201)], 200)
    assert [line.split(" %")[0].strip() for line in lines] == [str(n) for n in range(10, 101, 10)]


def test_counters_become_a_line_when_it_was_quiet_for_long(clock):
    lines = reported(follow.Progress(), clock, [(0, 0), (16, 2), (17, 3), (32, 4)], 100)
    assert [line.split(" %")[0].strip() for line in lines] == ["2", "4"]


def test_a_counter_that_stands_still_is_not_told_again(clock):
    assert reported(follow.Progress(), clock, [(0, 50), (60, 50), (120, 50)], 100) == [" 50 %"]


def test_the_time_left_is_told_once_there_is_a_pace(clock):
    progress = follow.Progress()
    assert reported(progress, clock, [(0, 0), (1, 10)], 100) == [" 10 %"]
    assert reported(progress, clock, [(10, 20)], 100) == [" 20 %, about 40 s left"]
    assert reported(progress, clock, [(100, 40)], 100) == [" 40 %, about 2 min left"]
    assert reported(progress, clock, [(200, 100)], 100) == ["100 %"]


def test_resumed_work_is_paced_by_what_was_done_now(clock):
    lines = reported(follow.Progress(), clock, [(0, 800), (10, 900)], 1000)
    assert lines == [" 80 %", " 90 %, about 10 s left"]


def test_a_counter_of_nothing_is_no_error(clock):
    assert reported(follow.Progress(), clock, [(0, 0)], 0) == []


def test_lines_for_people_pass_and_others_do_not(tmp_path, capsys):
    log = tmp_path / "log"
    log.write_text(":: configuring\n-- The C compiler is GNU\nwarning: x\n:: compiling\n")
    position = follow.tell(log, 0, follow.Progress())
    assert capsys.readouterr().out == "configuring\ncompiling\n"
    assert position == log.stat().st_size


def test_a_line_that_is_not_whole_yet_is_kept_for_later(tmp_path, capsys):
    log, progress = tmp_path / "log", follow.Progress()
    log.write_text(":: one\n:: tw")
    position = follow.tell(log, 0, progress)
    assert capsys.readouterr().out == "one\n"
    assert position == len(":: one\n")
    log.write_text(":: one\n:: two\n")
    assert follow.tell(log, position, progress) == log.stat().st_size
    assert capsys.readouterr().out == "two\n"


def test_a_character_cut_in_two_is_kept_for_later_too(tmp_path, capsys):
    log, progress = tmp_path / "log", follow.Progress()
    line = ":: größer\n".encode()
    log.write_bytes(line[:6])
    position = follow.tell(log, 0, progress)
    log.write_bytes(line)
    assert follow.tell(log, position, progress) == len(line)
    assert capsys.readouterr().out == "größer\n"


def test_what_is_no_text_is_no_error(tmp_path, capsys):
    log = tmp_path / "log"
    log.write_bytes(b":: \xff\n")
    assert follow.tell(log, 0, follow.Progress()) == 5
    assert capsys.readouterr().out == "\N{REPLACEMENT CHARACTER}\n"


def test_a_log_that_is_not_there_yet_has_nothing_to_tell(tmp_path, capsys):
    assert follow.tell(tmp_path / "log", 0, follow.Progress()) == 0
    assert capsys.readouterr().out == ""


def test_counters_in_a_log_are_condensed(tmp_path, capsys):
    log = tmp_path / "log"
    log.write_text("".join(f"[{n}/200] Building CXX object {n}\n" for n in range(1, 201)))
    follow.tell(log, 0, follow.Progress())
    shown = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in shown] == [f"{n} %" for n in range(10, 101, 10)]


def test_the_exit_code_is_the_one_that_the_unit_left(tmp_path):
    (tmp_path / "code").write_text("3\n")
    assert follow.code_of(tmp_path) == 3


def test_a_unit_that_left_no_code_was_ended_from_outside(tmp_path, capsys):
    assert follow.code_of(tmp_path) == 1
    assert "ended from outside" in capsys.readouterr().err


def test_a_failed_steps_last_lines_are_shown(tmp_path, capsys):
    (tmp_path / "log").write_text("".join(f"line {n}\n" for n in range(100)))
    follow.complain(tmp_path)
    assert capsys.readouterr().err.splitlines() == [f"line {n}" for n in range(60, 100)]


def test_an_outcome_goes_with_the_lines_of_a_step_that_failed_and_of_one_that_went_well(
    tmp_path, capsys
):
    (tmp_path / "log").write_text(':= {"no_source": true}\n:: it failed\n')
    follow.complain(tmp_path)
    follow.tell(tmp_path / "log", 0, follow.Progress())
    said = capsys.readouterr()
    for output in (said.out, said.err):
        assert outcome.read(output) == ("it failed", {"no_source": True})
    assert outcome.read("") == ("", {})


def test_a_step_that_printed_nothing_says_so(tmp_path, capsys):
    follow.complain(tmp_path)
    assert capsys.readouterr().err == "(it printed nothing)\n"


@pytest.fixture
def systemd(monkeypatch, tmp_path):
    """systemd-run that runs the unit's script at once, and a systemctl that has ended units."""
    made = SimpleNamespace(started=[], states=[])
    real = subprocess.run

    def run(argv, **options):
        if argv[0] == "systemctl":
            state = made.states.pop(0) if made.states else "inactive"
            return SimpleNamespace(stdout=f"{state}\n")
        assert argv[0] == "systemd-run"
        made.started.append(argv)
        return real(argv[-3:], check=True)

    monkeypatch.setattr(follow, "STEPS", str(tmp_path))
    monkeypatch.setattr(follow, "subprocess", SimpleNamespace(run=run, **ERRORS))
    return made


ERRORS = {"SubprocessError": subprocess.SubprocessError}


def query(program):
    return {"unit": "bramble-toy", "program": program, "properties": {"Nice": "10"}}


def test_a_step_runs_as_a_unit_and_its_lines_and_code_come_back(systemd, capsys):
    assert follow.main(query("print(':: at work'); print('noise')")) == 0
    assert capsys.readouterr().out == "at work\n"
    (argv,) = systemd.started
    assert "--unit=bramble-toy" in argv
    assert "--property=Nice=10" in argv


def test_a_failing_step_gives_its_code_and_its_own_words(systemd, capsys):
    assert follow.main(query("print('because'); raise SystemExit(7)")) == 7
    assert "because" in capsys.readouterr().err


def test_a_step_under_way_is_followed_and_not_started_again(systemd, tmp_path, capsys):
    folder = tmp_path / "bramble-toy"
    folder.mkdir()
    (folder / "log").write_text(":: from before\n")
    (folder / "code").write_text("0\n")
    systemd.states = ["active", "inactive"]
    assert follow.main(query("print(':: again')")) == 0
    assert systemd.started == []
    said = capsys.readouterr().out
    assert "an earlier run's work is still under way" in said
    assert "from before" in said


def test_an_earlier_runs_code_and_log_are_not_taken_for_this_ones(systemd, tmp_path, capsys):
    folder = tmp_path / "bramble-toy"
    folder.mkdir()
    (folder / "log").write_text(":: from before\n")
    (folder / "code").write_text("9\n")
    assert follow.main(query("print(':: again')")) == 0
    assert capsys.readouterr().out == "again\n"


def test_the_program_is_readable_by_its_owner_alone(systemd, tmp_path):
    """It may hold a secret of the query's."""
    assert follow.main(query("pass")) == 0
    assert (tmp_path / "bramble-toy" / "program.py").stat().st_mode & 0o777 == 0o600


def test_a_unit_that_cannot_be_started_is_said(systemd, monkeypatch, capsys):
    def run(argv, **options):
        if argv[0] == "systemctl":
            return SimpleNamespace(stdout="inactive\n")
        raise FileNotFoundError("systemd-run")

    monkeypatch.setattr(follow, "subprocess", SimpleNamespace(run=run, **ERRORS))
    assert follow.main(query("pass")) == 1
    assert "could not start bramble-toy" in capsys.readouterr().err


def test_mib_are_told_with_the_rate_and_the_time_left(tmp_path, capsys, clock):
    log, progress = tmp_path / "log", follow.Progress()
    position = 0
    for now, done in ((0, 100), (20, 400), (40, 700)):
        clock.now = now
        with log.open("a") as file:
            file.write(f"[{done}/1000] MiB\n")
        position = follow.tell(log, position, progress)
    assert capsys.readouterr().out.splitlines() == [
        " 10 %",
        " 40 % of 1000 MiB, 15.0 MiB/s, about 40 s left",
        " 70 % of 1000 MiB, 15.0 MiB/s, about 20 s left",
    ]


def test_a_counter_that_begins_anew_is_other_work(clock):
    counts = [(0, 50), (1, 100), (2, 5), (3, 50), (4, 100)]
    told_lines = reported(follow.Progress(), clock, counts, 100)
    assert told_lines == [" 50 %", "100 %", " 50 %", "100 %"]


def test_a_failed_downloads_counters_are_not_its_last_words(tmp_path, capsys):
    (tmp_path / "log").write_text("[1/9] Building x\n[8/9] MiB\n[9/9] MiB\n:: it is no model\n")
    follow.complain(tmp_path)
    assert capsys.readouterr().err == "[1/9] Building x\nit is no model\n"
