"""The line that says what is proved: a failure turns a row red, and what did not run proves nothing."""

import pytest

from tests.faults.rows import PROMISES, ROWS

pytest_plugins = "pytester"

TESTS = """\
import pytest

@pytest.mark.fault("F1")
def test_proved(record_property):
    record_property("kill_points", 5)
    record_property("half_written", 0)

@pytest.mark.fault("F1", "F2")
def test_proved_too(record_property):
    record_property("kill_points", 2)
    record_property("bricked", 0)

@pytest.mark.fault("F3")
def test_fails(record_property):
    record_property("kill_points", 3)
    record_property("bricked", 2)
    assert False

@pytest.mark.fault("F3")
def test_passes_beside_it():
    pass

@pytest.mark.fault("F4")
def test_skips():
    pytest.skip("not here")

@pytest.fixture
def broken():
    yield
    raise OSError("cannot be taken down")

@pytest.mark.fault("F6")
def test_is_not_taken_down(broken):
    pass

@pytest.mark.parametrize("one", [1, pytest.param(2, marks=pytest.mark.fault("F7"))])
def test_param(one):
    pass

@pytest.mark.fault("F2")
def test_is_skipped_in_part():
    pytest.skip("this part")
"""


@pytest.fixture(autouse=True)
def alone(pytester, monkeypatch):
    """Load no other plugin: that takes most of a second for each run."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest('pytest_plugins = ("tests.faults.plugin",)\n')


@pytest.fixture
def project(pytester):
    pytester.makepyfile(TESTS)
    return pytester


@pytest.mark.parametrize(
    "processes", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "xdist"]
)
def test_rows_are_proved_red_or_unproved(project, processes):
    done = project.runpytest("--thorough", "--every-fault", *processes)
    reported = done.stdout.str()
    name = "test_rows_are_proved_red_or_unproved.py"
    assert (
        f"faults: 3/{len(ROWS)}, kill points: 7/10, half-written 0, bricked 2, hangs ?, "
        "leaked secrets ?"
    ) in reported
    assert f"  F3 red: {fault('F3')} ({name}::test_fails)" in reported
    assert f"  F4 unproved: {fault('F4')} ({name}::test_skips)" in reported
    assert f"  F5 unproved: {fault('F5')} (no test ran)" in reported
    assert f"  F6 red: {fault('F6')} ({name}::test_is_not_taken_down)" in reported
    assert f"  F2 proved in part, skipped: {name}::test_is_skipped_in_part" in reported
    assert "F1 red" not in reported
    assert "F7" not in reported


def fault(row_id):
    (found,) = [row.fault for row in ROWS if row.id == row_id]
    return found


def test_where_it_is_not_asked_for_nothing_is_told(project):
    assert "faults:" not in project.runpytest("--thorough").stdout.str()


ALL = "\n".join(
    f'@pytest.mark.fault("{row.id}")\ndef test_{row.id}(record_property):\n    count(record_property)\n'
    for row in ROWS
)
COUNT = """\
import pytest

def count(record_property):
    for name, seen in dict(kill_points=1, half_written=0, bricked=0, hangs=0, {secrets}).items():
        record_property(name, seen)

"""


@pytest.mark.parametrize(
    ("secrets", "code"),
    [("leaked_secrets=0", 0), ("leaked_secrets=1", 1), ("", 1)],
    ids=["none", "one", "nobody looked"],
)
def test_a_run_of_every_fault_fails_where_one_is_not_proved(pytester, secrets, code):
    pytester.makepyfile(COUNT.format(secrets=secrets) + ALL)
    done = pytester.runpytest("--thorough", "--every-fault", "-p", "no:cacheprovider")
    assert done.ret == code
    assert (
        f"faults: {len(ROWS)}/{len(ROWS)}, kill points: {len(ROWS)}/{len(ROWS)}"
        in done.stdout.str()
    )
    without_one = pytester.runpytest("--thorough", "--every-fault", "-k", "not test_F30")
    assert without_one.ret == 1


@pytest.mark.parametrize("mark", ['"F31"', '"f1"', "", 'row="F1"'])
def test_a_row_that_is_none_is_an_error(pytester, mark):
    pytester.makepyfile(f"import pytest\n@pytest.mark.fault({mark})\ndef test_it():\n    pass\n")
    done = pytester.runpytest()
    assert done.ret not in (0, 1)
    assert "names rows of tests/faults/rows.py" in done.stdout.str() + done.stderr.str()


def test_what_only_thorough_runs_is_left_out(pytester):
    pytester.makepyfile(
        "import pytest\npytestmark = pytest.mark.thorough\ndef test_it():\n    pass\n"
    )
    pytester.makeini("[pytest]\nmarkers = thorough: longer\n")
    pytester.runpytest().assert_outcomes(deselected=1)
    pytester.runpytest("--thorough").assert_outcomes(passed=1)


def test_the_rows_are_the_thirty_of_the_matrix():
    assert [row.id for row in ROWS] == [f"F{number}" for number in range(1, 31)]
    assert {row.promise for row in ROWS} <= PROMISES.keys()
