"""`bramble virtual` as it is called wrongly, without a node."""

from click.testing import CliRunner

from bramble.cli.virtual import virtual
from bramble.virtual import lifecycle
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
