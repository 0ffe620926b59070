"""Whatever the files hold, loading ends with an inventory or with problems, one line each."""

import contextlib

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from toy_sections import SECTIONS

from bramble.documents.problems import InventoryError
from bramble.fleet import prepare
from bramble.inventory.load import load

words = st.sampled_from(
    [
        "settings",
        "hosts",
        "groups",
        "ssh",
        "serving",
        "port",
        "address",
        "tls",
        "mounts",
        "env",
        "a",
        "g",
        "path",
        "flags",
        "threads",
    ]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=4)
trees = st.recursive(
    scalars,
    lambda t: st.lists(t, max_size=3) | st.dictionaries(words, t, max_size=4),
    max_leaves=12,
)
fleets = st.fixed_dictionaries(
    {"settings": trees, "hosts": st.dictionaries(words, trees, max_size=3)}
)


def attempt(tmp_path, fleet, group):
    (tmp_path / "groups").mkdir(exist_ok=True)
    (tmp_path / "fleet.yml").write_text(fleet)
    (tmp_path / "groups/g.yml").write_text(group)
    assert all(line.startswith(str(tmp_path)) for line in _problem_lines(tmp_path))


def _problem_lines(folder):
    try:
        load(folder, SECTIONS, prepare)
    except InventoryError as error:
        return str(error).split("\n")
    return []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(fleets | trees, trees)
def test_any_data(tmp_path, fleet, group):
    attempt(tmp_path, yaml.safe_dump(fleet), yaml.safe_dump(group))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text("ab:-?[]{}&*!|>'\"%@`#,<=~ \t\n\x00\u2028\ufeff", max_size=40))
@example("hosts: &a {<<: *a}")
@example("hosts: {a: {ssh: {port: !!int x}}}")
@example("hosts: {a: {ssh: {port: !!float 1_0.5_}}}")
@example("? {a: b}\n: c")
def test_any_text(tmp_path, text):
    with contextlib.suppress(UnicodeEncodeError):
        attempt(tmp_path, text, text)
