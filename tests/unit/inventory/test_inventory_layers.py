"""What holds in the end, and where it comes from."""

import copy
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from toy_sections import SECTIONS

from bramble.documents.document import Document
from bramble.inventory.effective import report, table
from bramble.inventory.layers import Layer, Source, merge
from bramble.inventory.load import from_data

FLEET = """\
settings:
  serving:
    port: 1000
    flags: [--a, --b]
    env: {A: all, B: all}
hosts:
  b: {groups: [one, two]}
  a:
    groups: [two, one]
    serving: {port: 4000}
"""
ONE = "serving:\n  port: 2000\n  flags: [--one]\n  env: {B: one, C: one}\n"
TWO = "serving:\n  port: 3000\n  mode: on\n  share: 1\n"


def test_later_layers_win_and_groups_count_in_the_order_of_the_host(loaded):
    fleet = loaded(fleet=FLEET, groups__one=ONE, groups__two=TWO, hosts__a="serving: {share: 0}")
    assert list(fleet.hosts) == ["b", "a"]
    assert fleet.groups == {"one": ("b", "a"), "two": ("b", "a")}
    b, a = fleet.hosts["b"], fleet.hosts["a"]
    assert (b.settings["serving"].port, a.settings["serving"].port) == (3000, 4000)
    assert a.settings["serving"].share == 0
    assert b.settings["serving"].env == {"A": "all", "B": "one", "C": "one"}
    assert b.settings["serving"].flags == ("--one",)
    assert b.groups == ("one", "two")


def test_every_value_knows_its_layer(loaded, tmp_path):
    fleet = loaded(fleet=FLEET, groups__one=ONE, groups__two=TWO, hosts__a="serving: {share: 0}")
    sources = fleet.hosts["a"].sources
    inv = tmp_path / "inv"
    assert sources["serving", "port"] == Source("host", inv / "fleet.yml", 10)
    assert sources["serving", "share"] == Source("host", inv / "hosts/a.yml", 1)
    assert sources["serving", "env", "A"] == Source("all", inv / "fleet.yml", 5)
    assert sources["serving", "env", "C"] == Source("group one", inv / "groups/one.yml", 4)
    assert sources["serving", "flags", 0] == Source("group one", inv / "groups/one.yml", 3)
    assert ("serving", "flags", 1) not in sources
    assert ("serving", "threads") not in sources
    assert str(sources["serving", "port"]) == "inv/fleet.yml:10"


def test_null_is_back_to_the_default_and_an_empty_section_says_nothing(loaded):
    fleet = loaded(
        fleet="""\
            settings: {serving: {port: 1, share: 1, tls: {cert: c}}}
            hosts:
              a: {serving: {port: null, tls: }}
              b: {serving: }
            """
    )
    a, b = (fleet.hosts[name].settings["serving"] for name in "ab")
    assert (a.port, a.share, a.tls) == (8080, 1, None)
    assert (b.port, b.share, b.tls is None) == (1, 1, False)
    assert fleet.hosts["a"].values == {"serving": {"share": 1}}
    assert fleet.hosts["a"].sources["serving", "port"].line == 3


def test_paths_are_taken_from_the_inventory_folder(loaded, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    fleet = loaded(
        fleet="""\
            settings: {ssh: {key: ~/.ssh/id, known_hosts: ../known}}
            hosts: {a: {serving: {tls: {cert: tls/cert.pem}}}, b: }
            """
    )
    inv, a = tmp_path / "inv", fleet.hosts["a"]
    assert a.settings["ssh"].key == Path("/home/me/.ssh/id")
    assert a.settings["ssh"].known_hosts == tmp_path / "known"
    assert a.settings["serving"].tls.cert == inv / "tls/cert.pem"
    assert a.settings["serving"].lock == inv / "models.lock"
    assert a.settings["ssh"].address == "a"
    assert a.values["serving"] == {"tls": {"cert": str(inv / "tls/cert.pem")}}
    assert fleet.hosts["b"].values["ssh"]["key"] == "/home/me/.ssh/id"


def test_typed_settings_can_be_made_again_of_the_plain_values(loaded):
    fleet = loaded(fleet=FLEET, groups__one=ONE, groups__two=TWO)
    for name, host in fleet.hosts.items():
        assert from_data(name, host.values, SECTIONS, fleet.folder) == host.settings


def test_anchors_merge_keys_and_plain_words_of_yaml_1_2(loaded):
    fleet = loaded(
        fleet="""\
            settings:
              serving: &base
                mode: off
                name: 0644
                port: 0x10
                env: {<<: [{A: yes}, {A: no, B: "22"}], C: 22:30}
            hosts:
              a: {serving: {<<: *base, port: 2}}
            """
    )
    serving = fleet.hosts["a"].settings["serving"]
    assert (serving.mode, serving.name, serving.port) == ("off", "0644", 2)
    assert serving.env == {"A": "yes", "B": "22", "C": "22:30"}
    assert fleet.hosts["a"].sources["serving", "name"].line == 4


def test_the_report_names_value_unit_and_layer(loaded):
    fleet = loaded(
        fleet="""\
            settings: {serving: {tls: {cert: /c}, api_key: 00c0ffee, env: {A: b}}}
            hosts: {a: {groups: [g]}}
            """,
        groups__g="serving: {tls: {days: 5}}",
    )
    made = report(fleet.hosts["a"])
    rows = {row.setting: row for row in made.settings}
    days = rows["serving.tls.days"]
    assert (days.value, days.unit, days.layer, days.file, days.line) == (
        5,
        "days",
        "group g",
        "inv/groups/g.yml",
        1,
    )
    assert (rows["serving.port"].value, rows["serving.port"].layer) == (8080, "default")
    assert rows["serving.env.A"].layer == "all"
    assert rows["serving.api_key"].value == "(not shown)"
    lines = table(made).splitlines()
    assert lines[0].split() == ["SETTING", "VALUE", "UNIT", "SET", "BY"]
    line = next(line for line in lines if line.startswith("serving.tls.days"))
    assert line.split(maxsplit=3) == [
        "serving.tls.days",
        "5",
        "days",
        "group g (inv/groups/g.yml:1)",
    ]


scalars = st.integers(0, 9) | st.none() | st.lists(st.integers(0, 9), max_size=2)
names = st.sampled_from("abc")
inner = st.dictionaries(names, scalars | st.dictionaries(names, scalars, max_size=2), max_size=3)
trees = st.dictionaries(names, inner, max_size=3)


def merged(*trees):
    return merge(Layer(str(at), Document(Path(f"{at}.yml"), tree)) for at, tree in enumerate(trees))


def at(tree, keys):
    for key in keys:
        tree = tree[key]
    return tree


@given(st.lists(trees, max_size=4))
def test_every_value_is_that_of_the_layer_that_it_names(layers):
    before = copy.deepcopy(layers)
    values, sources = merged(*layers)
    for keys, source in sources.items():
        said = at(layers[int(source.layer)], keys)
        assert isinstance(said, dict) or said is None or at(values, keys) == said
    assert layers == before


@given(trees)
def test_the_last_layer_has_its_way_in_everything_that_it_says(top):
    values, _ = merged({"a": {"b": {"c": 1}}, "d": {"a": [1]}}, top)
    for section, settings in top.items():
        for name, value in settings.items():
            if value is None:
                assert name not in values[section]
            elif not isinstance(value, dict):
                assert values[section][name] == value


@given(trees)
def test_an_empty_layer_changes_nothing(tree):
    assert merged(tree, {}) == merged(tree)
    assert merged({}, tree)[0] == merged(tree)[0]
