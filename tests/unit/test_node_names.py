"""The virtual Pis of the tests on nodes: no two files of tests may use one, as they run side by side."""

import importlib
import re
from pathlib import Path

import pytest

NODES = Path(__file__).parents[1] / "nodes"
NAME = re.compile(r"vp[im]-\d+")


def names_in(values):
    """The virtual Pis that a module's own names stand for, in tuples and lists too."""
    found = set()
    for value in values:
        if isinstance(value, str):
            found |= {value} if NAME.fullmatch(value) else set()
        elif isinstance(value, (tuple, list)):
            found |= names_in(value)
    return found


def shared(by_module):
    """Each virtual Pi that several modules use, with their names."""
    users = {}
    for module, names in by_module.items():
        for name in names:
            users.setdefault(name, []).append(module)
    return {name: modules for name, modules in users.items() if len(modules) > 1}


def test_no_two_files_use_one_virtual_pi():
    modules = [importlib.import_module(f"tests.nodes.{f.stem}") for f in NODES.glob("test_*.py")]
    used = {module.__name__: names_in(vars(module).values()) for module in modules}
    assert sum(map(bool, used.values())) > len(used) * 3 // 4
    assert shared(used) == {}


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({"NODE": "vpi-1"}, {"NAMES": ("vpi-2", ["vpi-1"])}, {"vpi-1"}),
        ({"NODE": "vpm-1"}, {"NODE": "vpi-1", "WORDS": "a vpm-1"}, set()),
    ],
)
def test_a_virtual_pi_that_two_files_use_is_found(one, other, both):
    found = shared({"one": names_in(one.values()), "other": names_in(other.values())})
    assert found == {name: ["one", "other"] for name in both}
