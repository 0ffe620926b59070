"""Edits of inventory files: one thing differs, all else stays, and what is not safe is refused."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bramble.inventory import edit

FILE = Path("fleet.yml")
ENTRY = {"groups": ["pi5"], "ssh": {"address": "192.0.2.9", "port": 2222}}
BLOCK = '  new:\n    groups: [pi5]\n    ssh:\n      address: "192.0.2.9"\n      port: 2222\n'

# Each text with NEW where the host comes.
ADDED = {
    "below the last host": "hosts:\n  a: {}\nNEWsettings: {}\n",
    "with comments of the last host": (
        "hosts:\n  a: {}  # one\n    # of a\nNEW  # of hosts\n# of all\nsettings:\n"
    ),
    "where the hosts are the end": "# x\nhosts:\n  a:\n    groups: [b]\nNEW",
    "below none": "hosts:  # none yet\nNEW\n# more\n",
    "below text of many lines": ("hosts:\n  a:\n    x: |\n      one\n\n      two\n\nNEWy: 1\n"),
}


@pytest.mark.parametrize("how", ADDED)
def test_a_host_is_added_and_every_other_character_stays(how):
    before = ADDED[how].replace("NEW", "")
    assert edit.added(FILE, before, "new", ENTRY) == ADDED[how].replace("NEW", BLOCK)


@pytest.mark.parametrize("before", ["settings: {}\n", "# mine\n", "settings: {}"])
def test_hosts_begin_at_the_end_of_a_file_that_names_none(before):
    assert edit.added(FILE, before, "new", ENTRY) == f"{before.rstrip()}\nhosts:\n{BLOCK}"


def test_a_host_has_the_column_of_its_neighbours_and_their_ends_of_lines():
    made = edit.added(FILE, "hosts:\r\n    a: {}\r\n", "new", {"ssh": {"address": "x"}})
    assert made == 'hosts:\r\n    a: {}\r\n    new:\r\n      ssh:\r\n        address: "x"\r\n'


UNSAFE = {
    "one line": "hosts: {a: {}}\n",
    "null in words": "hosts: null\n",
    "two documents": "hosts:\n  a: {}\n---\nhosts:\n",
    "no YAML": "hosts:\n\ta: {}\n",
    "no mapping": "- a\n",
    "a document's end": "settings: {}\n...\n",
}


@pytest.mark.parametrize("how", UNSAFE)
def test_what_is_not_edited_safely_is_refused_with_what_to_write(how):
    with pytest.raises(edit.EditError) as refused:
        edit.added(FILE, UNSAFE[how], "new", ENTRY)
    assert str(refused.value).endswith(BLOCK)


def test_a_host_that_is_there_is_not_added():
    with pytest.raises(edit.EditError, match="has a host a already"):
        edit.added(FILE, "hosts:\n  a:\n", "a", ENTRY)


KEYS = ("hosts", "a", "ssh", "address")
SET = {
    "in place": (
        "hosts:\n  a:\n    ssh:\n      address: 192.0.2.1  # old\n      port: 1\n",
        '      address: "x"  # old\n',
    ),
    "in one line": (
        "hosts: {a: {ssh: {address: '192.0.2.1', port: 1}}}\n",
        '{address: "x", port: 1}',
    ),
    "beside others": (
        "hosts:\n  a:\n    ssh:\n      port: 1  # p\n",
        '    ssh:\n      address: "x"\n      port: 1  # p\n',
    ),
    "beside others in one line": ("hosts:\n  a: {ssh: {port: 1}}\n", '{"address": "x", port: 1}'),
    "without its section": (
        "hosts:\n  a:\n    groups: [b]\n",
        '    ssh:\n      address: "x"\n    groups: [b]\n',
    ),
    "at a host with nothing": (
        "hosts:\n  a:\n  b: {}\n",
        '  a: {"ssh": {"address": "x"}}\n  b: {}\n',
    ),
    "at an empty host": ("hosts:\n  a: {}\n", '  a: {"ssh": {"address": "x"}}\n'),
}


@pytest.mark.parametrize("how", SET)
def test_a_value_is_set_where_it_stands(how):
    before, part = SET[how]
    made = edit.with_value(FILE, before, KEYS, "x")
    assert part in made
    wanted = yaml.safe_load(before)
    host = wanted["hosts"]["a"] = wanted["hosts"]["a"] or {}
    host.setdefault("ssh", {})["address"] = "x"
    assert yaml.safe_load(made) == wanted


def test_a_value_that_others_share_is_not_changed_for_them():
    shared = "hosts:\n  a: &one\n    ssh: {address: x1}\n  b: *one\n"
    with pytest.raises(edit.EditError, match=r"by hand there: hosts\.a\.ssh\.address"):
        edit.with_value(FILE, shared, KEYS, "x")


NAMES = st.sampled_from(["a", "b-1", "c.d"])
VALUES = st.recursive(
    st.one_of(
        st.none(), st.integers(0, 9), st.sampled_from(["x y", "# no", "a: b", "two\nlines\n", ""])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=2)),
    max_leaves=5,
)


@settings(deadline=None)
@given(
    st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=2), max_size=3),
    st.sampled_from([None, True, False]),
    st.integers(2, 6),
    st.lists(st.integers(0, 30), max_size=4),
)
def test_any_fleet_has_the_host_besides_and_all_its_lines_or_is_refused(
    hosts, flow, indent, comments
):
    said = {"hosts": hosts, "settings": {"a": 1}}
    lines = yaml.safe_dump(
        said, default_flow_style=flow, indent=indent, sort_keys=False
    ).splitlines()
    for at in comments:
        lines.insert(at % (len(lines) + 1), f"{' ' * (at % 7)}# {at}")
    text = "\n".join(lines) + "\n"
    try:
        before = yaml.safe_load(text)
        made = edit.added(FILE, text, "new", ENTRY)
    except (edit.EditError, yaml.YAMLError):
        return
    assert yaml.safe_load(made) == before | {"hosts": {**(before["hosts"] or {}), "new": ENTRY}}
    rest = iter(made.splitlines())
    assert all(line in rest for line in lines)


def test_a_file_that_changed_meanwhile_stays_as_it_is(tmp_path):
    file = tmp_path / "fleet.yml"
    file.write_text("theirs")
    with pytest.raises(edit.EditError, match="was changed meanwhile"):
        edit.keep(file, "ours", "new")
    assert file.read_text() == "theirs"


def test_a_link_stays_one_and_its_file_is_written(tmp_path):
    (tmp_path / "real.yml").write_text("old")
    (tmp_path / "fleet.yml").symlink_to("real.yml")
    edit.keep(tmp_path / "fleet.yml", "old", "new")
    assert (tmp_path / "fleet.yml").is_symlink()
    assert (tmp_path / "real.yml").read_text() == "new"
