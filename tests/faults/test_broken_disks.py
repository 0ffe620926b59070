"""A disk that is full at any write, without inodes, or read-only: whole files, and a clear word.

The programs of the power cuts (tests/durability/cases.py), on a real ext4 with as few blocks left as it
takes for each of their writes to be the one that fails.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bramble.remote import try_ssh
from tests.durability import cases

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems: root only")

DRIVER = Path(__file__).with_name("broken_disk.py")
# What binds folders and what undoes a trial are no programs of ours.
ALL = [case for case in cases.CASES if case.disk in (cases.EXT4, cases.FAT)]
OURS = [case for case in ALL if "bound" not in case.name and case.name != "taken_back_ended"]
TOOLS = cases.TOOLS | {
    "systemctl": f"""#!/bin/sh
[ "$*" = "start {try_ssh.UNIT}" ] && exec sh {try_ssh.SCRIPT}
exit 0
"""
}
FEW = (0, 1, 3, 5)
MANY = (*range(24), 32, 48, 64, 96, 128, 192, 256, 300, 384)
SAID = {
    "full": r"No space left on device|[KM]iB free",
    "inodes": r"No space left on device",
    "read-only": r"[Rr]ead-only file system",
}
# A library of this computer, which its commands catch; and Debian's own program in a double.
NOT_NODES = ("store", "eeprom_staged")
TEMPORARY = re.compile(r"(^|/)\.[^/]*\.(bramble|new)(/|$)|\.(part|undo|new)(/|$)")


def before(case):
    """The cases that must have gone well for this one to begin."""
    if not case.folder:
        return []
    same = [other for other in ALL if other.folder == case.folder]
    return same[: same.index(case)]


def run(case, fault, left):
    job = {
        "fault": fault,
        "left": left,
        "root": cases.FAT if case.disk == cases.FAT else f"{cases.EXT4}/{case.folder or case.name}",
        "also": f"{cases.EXT4}/{case.name}",
        "before": {path: content.decode("latin-1") for path, content in case.before.items()},
        "first": [other.text for other in before(case)],
        "program": case.text,
        "tools": TOOLS,
    }
    argv = ["unshare", "--mount", "--uts", "--propagation", "private", sys.executable, DRIVER]
    done = subprocess.run(argv, input=json.dumps(job), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def files(reported):
    return {path: content.encode("latin-1") for path, content in reported.items()}


def problems(case, fault, reported):
    """What is wrong with what a program left on a broken disk."""
    went_well = reported["code"] == 0
    if problem := case.problem(files(reported["tree"]), ended=went_well):
        yield problem
    if reported["code"] == case.code and not case.problem(files(reported["tree"]), ended=True):
        return
    if not re.search(SAID[fault], reported["said"]):
        yield f"it said {reported['said']!r}"
    if "Traceback" in reported["said"] and case.name not in NOT_NODES:
        yield "a traceback"
    if left := [path for path in reported["tree"] if TEMPORARY.search(path)]:
        yield f"left: {left}"
    if reported["again"][0] != case.code:
        yield f"the next run, on a good disk: {reported['again']}"
    elif problem := case.problem(files(reported["then"]), ended=True):
        yield f"after the next run, on a good disk: {problem}"


def assert_well(case, fault, left):
    reported = run(case, fault, left)
    assert len(reported) == len(left)
    wrong = {state["left"]: [*problems(case, fault, state)] for state in reported}
    assert not {left: found for left, found in wrong.items() if found}


def left(request):
    return MANY if request.config.getoption("--thorough") else FEW


@pytest.mark.fault("F13")
@pytest.mark.parametrize("case", OURS, ids=lambda case: case.name)
def test_a_disk_that_is_full_at_any_write(case, request):
    assert_well(case, "full", left(request))


@pytest.mark.fault("F14")
@pytest.mark.parametrize("case", OURS, ids=lambda case: case.name)
def test_a_disk_without_inodes(case):
    assert_well(case, "inodes", (0, 1, 2))


@pytest.mark.fault("F14")
@pytest.mark.parametrize("case", OURS, ids=lambda case: case.name)
def test_a_disk_that_is_read_only(case):
    assert_well(case, "read-only", (0,))
