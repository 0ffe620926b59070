"""Hosts are named by names, groups and patterns alike wherever a command takes them."""

from textwrap import dedent
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from bramble.cli import driver, main
from bramble.cli.driver import Outcome
from bramble.fleet import load
from bramble.inventory.selection import Criteria, SelectionError, chosen

FLEET = """
    settings:
      model: {name: toy, url: "http://models.example.org/toy.gguf", sha256: SHA}
    hosts:
      pi5-b: {groups: [pi5, kitchen]}
      pi4-a: {groups: [pi4]}
      pi5-a: {groups: [pi5], node: {roles: [base]}}
      pi4-b: {groups: [pi4, kitchen]}
"""
GROUPS = ("pi4", "pi5", "kitchen", "empty")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Four Pis in three groups, in another order than that of their names."""
    place = tmp_path / "inventory"
    (place / "groups").mkdir(parents=True)
    (place / "fleet.yml").write_text(dedent(FLEET).replace("SHA", "d" * 64))
    (place / "known_hosts").write_text("")
    for name in GROUPS:
        (place / "groups" / f"{name}.yml").write_text("{}\n")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(place))
    monkeypatch.chdir(tmp_path)
    return place


@pytest.fixture
def runs(monkeypatch):
    """What deploys were asked for, and of which hosts."""
    made = SimpleNamespace(calls=[])

    def run(deploy, hosts, *options, show):
        made.calls.append((deploy, list(hosts)))
        return Outcome(0, (), None, None)

    monkeypatch.setattr(driver, "run", run)
    return made


def bramble(*words):
    return CliRunner().invoke(main, words)


WISHES = [
    (Criteria(), []),
    (Criteria(words=("pi4-a",)), ["pi4-a"]),
    (Criteria(words=("pi4-b", "pi4-a", "pi4-b")), ["pi4-a", "pi4-b"]),
    (Criteria(words=("all",)), ["pi5-b", "pi4-a", "pi5-a", "pi4-b"]),
    (Criteria(words=("pi5",)), ["pi5-b", "pi5-a"]),
    (Criteria(words=("kitchen", "pi4-a")), ["pi5-b", "pi4-a", "pi4-b"]),
    (Criteria(words=("pi?-a",)), ["pi4-a", "pi5-a"]),
    (Criteria(words=("pi[45]-b",)), ["pi5-b", "pi4-b"]),
    (Criteria(groups=("pi4",)), ["pi4-a", "pi4-b"]),
    (Criteria(words=("pi5-a",), groups=("pi4",)), ["pi4-a", "pi5-a", "pi4-b"]),
    (Criteria(exclude=("pi5",)), ["pi4-a", "pi4-b"]),
    (Criteria(words=("pi5",), exclude=("*-b",)), ["pi5-a"]),
    (Criteria(words=("kitchen",), limit=("pi4",)), ["pi4-b"]),
    (Criteria(roles=("serving",)), ["pi5-b", "pi4-a", "pi4-b"]),
    (Criteria(groups=("pi5",), roles=("serving", "engine")), ["pi5-b"]),
]


@pytest.mark.parametrize(("criteria", "names"), WISHES)
def test_hosts_are_chosen_in_the_order_of_the_fleet_each_once(folder, criteria, names):
    assert list(chosen(load(folder), criteria, ("serving", "engine")).names) == names


def test_those_that_were_written_out_are_known_in_the_order_of_the_line(folder):
    found = chosen(load(folder), Criteria(words=("pi4", "pi5-a", "pi4-b"), exclude=("pi4-a",)))
    assert found.named == ("pi5-a", "pi4-b")


WRONG = [
    (
        Criteria(words=("pi5-c",)),
        "no host or group 'pi5-c' in inventory/fleet.yml; did you mean 'pi5-b'? "
        "(hosts, groups, patterns such as 'pi4-*', or all)",
    ),
    (
        Criteria(exclude=("kitchne",)),
        "no host or group 'kitchne' in inventory/fleet.yml; did you mean 'kitchen'? "
        "(hosts, groups, patterns such as 'pi4-*', or all)",
    ),
    (
        Criteria(words=("pi6-*",)),
        "no host of inventory/fleet.yml matches 'pi6-*'; hosts: pi5-b, pi4-a, pi5-a, pi4-b",
    ),
    (
        Criteria(exclude=("vpi*",)),
        "no host of inventory/fleet.yml matches 'vpi*'; hosts: pi5-b, pi4-a, pi5-a, pi4-b",
    ),
    (Criteria(groups=("pi3",)), "no group 'pi3' in inventory/fleet.yml; did you mean 'pi5'?"),
    (Criteria(words=("empty",)), "no host of inventory/fleet.yml is in the group 'empty'"),
    (Criteria(roles=("servng",)), "no role 'servng'; did you mean 'serving'?"),
    (
        Criteria(words=("pi5-a",), roles=("serving",)),
        "no host is left of those that are named; take out a --limit, --role or --exclude",
    ),
]


@pytest.mark.parametrize(("criteria", "said"), WRONG)
def test_what_matches_nothing_is_an_error_that_says_what_is_allowed(folder, criteria, said):
    with pytest.raises(SelectionError) as error:
        chosen(load(folder), criteria, ("serving", "engine"))
    assert str(error.value) == said


EVERYWHERE = [
    ("up", "node"),
    ("plan", "plan"),
    ("verify", "verify"),
    ("revert watchdog", "revert"),
    ("upgrade", "upgrade"),
    ("bench", "bench"),
    ("model verify", "models"),
    ("model prune", "prune"),
]


@pytest.mark.parametrize(("words", "deploy"), EVERYWHERE)
def test_every_command_that_takes_hosts_takes_groups_and_patterns(runs, words, deploy):
    bramble(*words.split(), "kitchen", "--exclude", "pi5-*")
    assert runs.calls == [(deploy, ["pi4-b"])]


@pytest.mark.parametrize(
    "words", [*(words for words, _ in EVERYWHERE), "engine build", "monitoring scrape"]
)
def test_a_name_that_is_unknown_ends_every_such_command_with_code_2_and_the_same_words(runs, words):
    done = bramble(*words.split(), "pi5-c")
    assert (done.exit_code, runs.calls) == (2, [])
    assert done.stderr == f"{WRONG[0][1]}\n"


def test_a_command_that_needs_hosts_takes_a_group_instead(runs):
    assert bramble("bench").exit_code == 2
    assert "'all' is the whole fleet" in bramble("model", "prune").output
    assert runs.calls == []
    bramble("model", "prune", "--group", "pi4")
    assert runs.calls == [("prune", ["pi4-a", "pi4-b"])]


def test_a_command_for_one_host_names_those_of_a_group(folder):
    done = bramble("config", "kitchen")
    assert (done.exit_code, done.stderr) == (
        2,
        "'kitchen' is a group, and this takes one host; the group's hosts: pi5-b, pi4-b\n",
    )


def test_a_rollout_leaves_out_hosts_of_a_group_that_do_not_serve_but_refuses_one_that_is_named(
    runs,
):
    bramble("upgrade", "pi5")
    assert runs.calls == [("upgrade", ["pi5-b"])]
    done = bramble("upgrade", "pi5-a")
    assert done.exit_code == 2
    assert "pi5-a does not get the roles" in done.stderr


def test_the_host_that_is_written_first_goes_first_in_a_rollout(runs):
    bramble("upgrade", "pi4-b", "pi4-a")
    assert runs.calls[0] == ("upgrade", ["pi4-b"])


def test_a_host_with_the_name_of_a_group_that_no_other_is_in_is_meant_alone(folder, runs):
    file = folder / "fleet.yml"
    file.write_text(file.read_text() + "  empty: {groups: [empty]}\n")
    bramble("up", "empty")
    assert runs.calls == [("node", ["empty"])]


@pytest.mark.parametrize("name", ["pi5", "all", "fleet", "inventory"])
def test_a_host_with_a_name_that_means_several_is_refused_where_it_stands(folder, runs, name):
    file = folder / "fleet.yml"
    file.write_text(file.read_text() + f"  {name}: {{}}\n")
    done = bramble("up", "pi4-a")
    assert (done.exit_code, runs.calls) == (2, [])
    assert f"inventory/fleet.yml:9: hosts: the name '{name}' is " in done.stderr
    assert "rename it" in done.stderr


def test_results_are_in_the_order_of_the_hosts_and_not_of_their_answers():
    events = [
        {"event": "run", "hosts": ["b", "a"]},
        {"event": "result", "host": "a", "check": "one"},
        {"event": "result", "host": "b", "check": "one"},
        {"event": "result", "host": "a", "check": "two"},
    ]
    found = Outcome(0, tuple(events), None, None).by_host("result")
    assert [(entry["host"], entry["check"]) for entry in found] == [
        ("b", "one"),
        ("a", "one"),
        ("a", "two"),
    ]
