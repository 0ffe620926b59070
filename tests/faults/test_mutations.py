"""Each planted fault of `mutations.py` is seen: its tests pass on the sources and fail with it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.faults.mutations import MUTATIONS
from tests.faults.rows import BY_ID

ROOT = Path(__file__).parents[2]
# Against hangs: a fault that takes a time limit away makes its test wait for the next one.
LIMIT_S = 900
OF_A_TEST = ("AssertionError", "assert ", "Failed: DID NOT RAISE")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_there_is_what_a_mutation_changes(mutation):
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    assert mutation.new != mutation.old
    assert mutation.row is None or mutation.row in BY_ID
    assert all((ROOT / test.partition("::")[0]).is_file() for test in mutation.tests)


def test_there_are_ten_and_more_of_several_rows():
    assert len(MUTATIONS) >= 10
    assert len({mutation.row for mutation in MUTATIONS if mutation.row}) >= 8


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The sources of this checkout in another folder, as tests are run there."""
    place = tmp_path_factory.mktemp("mutated") / "sources"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, done.stdout.split("\0")):
        if os.path.lexists(ROOT / name):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name, follow_symlinks=False)
    return place


def environment(copy):
    """Of a run in the copy: its modules come first, before those of the editable installation."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return {**kept, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}


def outcomes(copy, tests):
    """What came of the tests that were run in the copy: by name None, or how one failed; and its row."""
    report = copy.parent / "report.xml"
    report.unlink(missing_ok=True)
    options = (f"--junitxml={report}", f"--basetemp={copy.parent / 'temporary'}", "--thorough")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, *tests],
        cwd=copy,
        env=environment(copy),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        ends = [end for end in case if end.tag in ("failure", "error", "skipped")]
        how = f"{ends[0].tag}: {ends[0].get('message')}" if ends else None
        rows = {each.get("value") for each in case.iter("property")}
        found[f"{case.get('classname')}::{case.get('name')}"] = (how, rows)
    return found, done.stdout


@pytest.fixture(scope="module")
def passing(copy, request):
    """The tests of all mutations of this run pass in the copy, which is what they import."""
    imported = subprocess.run(
        [sys.executable, "-c", "import bramble, roles; print(bramble.__file__, roles.__file__)"],
        cwd=copy,
        env=environment(copy),
        capture_output=True,
        text=True,
        check=True,
    )
    assert imported.stdout.split() == [
        str(copy / name / "__init__.py") for name in ("bramble", "roles")
    ]
    called = [item.callspec for item in request.session.items if hasattr(item, "callspec")]
    planted = [call.params["mutation"] for call in called if "mutation" in call.params]
    named = sorted({test for mutation in planted for test in mutation.tests})
    found, said = outcomes(copy, named)
    assert len(found) == len(named), said
    assert not {name: how for name, (how, _) in found.items() if how}, said
    return copy


@pytest.mark.thorough
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_planted_fault_turns_its_tests_red(passing, mutation):
    file = passing / mutation.file
    right = file.read_text()
    file.write_text(right.replace(mutation.old, mutation.new))
    try:
        found, said = outcomes(passing, mutation.tests)
    finally:
        file.write_text(right)
    assert len(found) == len(mutation.tests), said
    for how, rows in found.values():
        assert how is not None, f"it survives:\n{said}"
        assert how.removeprefix("failure: ").startswith(OF_A_TEST), said
        assert mutation.row is None or mutation.row in rows, said
