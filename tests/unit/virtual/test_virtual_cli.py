"""`bramble virtual` as it is called wrongly, without a node."""

import json

import pytest
from click.testing import CliRunner

from bramble.cli.virtual import virtual
from bramble.virtual import VirtualNode, lifecycle
from bramble.virtual.errors import VirtualPiError


def call(*words):
    return CliRunner().invoke(virtual, words)


def test_names_and_count_exclude_each_other():
    assert call("up", "vpi-1", "--count", "2").exit_code == 2


def test_down_wants_names_or_all():
    assert call("down").exit_code == 2
    assert call("down", "vpi-1", "--all").exit_code == 2


def test_a_failure_is_a_sentence_and_exit_code_1(monkeypatch):
    def refuse(*_args, **_options):
        raise VirtualPiError("tinyproxy is missing: 'apt-get install -y tinyproxy'")

    monkeypatch.setattr(lifecycle, "require", refuse)
    result = call("up")
    assert result.exit_code == 1
    assert result.stderr == "Error: tinyproxy is missing: 'apt-get install -y tinyproxy'\n"


def test_an_empty_machine_says_how_to_begin(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAMBLE_STATE", str(tmp_path))
    assert "'bramble virtual up' starts one" in call("list").stdout
    assert call("list", "--json").stdout == "[]\n"
    assert "no virtual Pi vpi-9" in call("ssh", "vpi-9").stderr
    assert "virtual up --machine vpm-9' makes it" in call("ssh", "vpm-9").stderr


def test_an_unknown_release_is_refused_with_those_allowed():
    result = call("up", "--release", "bullseye")
    assert result.exit_code == 2
    assert "'bullseye' is not one of 'bookworm', 'trixie'" in result.stderr


@pytest.mark.parametrize(("words", "release"), [((), None), (("--release", "trixie"), "trixie")])
def test_the_release_asked_for_is_the_one_that_is_made(monkeypatch, words, release):
    asked = {}
    monkeypatch.setattr(lifecycle, "require", lambda kind: None)
    monkeypatch.setattr(lifecycle, "up", lambda names, **options: asked.update(options) or [])
    assert call("up", "--machine", "vpm-9", *words).exit_code == 0
    assert (asked["release"], asked["kind"]) == (release, "machine")


def test_a_name_of_the_other_kind_is_refused():
    assert "vpi-1 is the name of a container" in call("up", "--machine", "vpi-1").stderr


def test_the_list_tells_kind_port_and_release(monkeypatch):
    found = [
        VirtualNode("vpi-1", "10.77.0.11", "pi5", None, "running", 1, 1.0),
        VirtualNode(
            "vpm-1", "127.0.0.1", "pi4", None, "stopped", None, None, "machine", 2201, "trixie"
        ),
    ]
    monkeypatch.setattr(lifecycle, "nodes", lambda: found)
    rows = [line.split() for line in call("list").stdout.splitlines()]
    assert rows[0][:3] == ["NAME", "KIND", "ADDRESS"]
    assert rows[1][:5] == ["vpi-1", "container", "10.77.0.11", "pi5", "bookworm"]
    assert rows[2][:5] == ["vpm-1", "machine", "127.0.0.1:2201", "pi4", "trixie"]
    reported = json.loads(call("list", "--json").stdout)
    assert [(node["kind"], node["port"], node["release"]) for node in reported] == [
        ("container", 22, "bookworm"),
        ("machine", 2201, "trixie"),
    ]
