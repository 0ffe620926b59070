"""Something else in the place of a managed file: it is refused with its cause, and left as it is.

The programs of the power cuts (tests/durability/cases.py), run on a real ext4.
"""

import os
import pathlib
import re

import pytest

from tests.durability import cases
from tests.faults.test_broken_disks import OURS, files, run

pytestmark = [
    pytest.mark.fault("F29"),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems: root only"),
]
# Files that a program replaces; what is a link itself, or made of a whole folder, is no such file.
PATHS = {
    "cmdline.txt": "cmdline.txt",
    "config.txt": "config.txt",
    "eeprom_defaults": "defaults",
    "write_files": "etc/a.conf",
    "edit_fstab": "fstab",
    "set_hostname": "hosts",
    "apt_source": "sources.list.d/x.list",
    "confirmed_begun": "drop-in",
}
REPLACED = [case for case in OURS if case.name in PATHS]
KINDS = {
    "a link": "not.*plain file|no plain file|symbolic link|left alone",
    "a folder": "not.*plain file|no plain file|is a directory|left alone",
    "an immutable file": "is immutable, and stays as it is; take that away with `chattr -i`",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", REPLACED, ids=lambda case: case.name)
def test_what_is_in_the_place_of_a_managed_file_is_refused_and_left(case, kind):
    path = PATHS[case.name]
    (told,) = run(case, kind, [path])
    assert told["code"] == 1
    assert re.search(KINDS[kind], told["said"], re.IGNORECASE), told["said"]
    assert pathlib.Path(path).name in told["said"]
    assert "Traceback" not in told["said"]
    assert told["kept"]
    assert told["victim"] == case.before.get(path, b"precious").decode("latin-1")
    assert told["again"][0] == case.code, told["again"]
    assert case.problem(files(told["then"]), ended=True) is None


def test_every_program_that_replaces_a_file_is_among_them():
    assert [case.name for case in REPLACED] == list(PATHS)
    assert all(case.disk in (cases.EXT4, cases.FAT) for case in REPLACED)
