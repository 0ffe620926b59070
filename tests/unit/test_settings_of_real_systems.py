"""Settings take what real systems take: names and addresses that people have, each in its section."""

import zoneinfo

import pytest

from bramble import registry
from bramble.documents.validation import validate
from bramble.roles.base import settings as base

BODY = "AAAAC3NzaC1lZDI1NTE5AAAAIMRsTu0eTyjs6XYFjKNEtbOmOlEdWAIMxuzt3pL22Tvm"
MODEL = {"url": "https://example.org/m.gguf", "sha256": "d" * 64}
TAKEN = [
    ("ssh.user", "jane.doe"),
    ("ssh.user", "SkyUser"),
    ("ssh.address", "my_pi"),
    ("base.hostname", "Pi5-A"),
    ("base.timezone", "Etc/GMT+3"),
    ("base.authorized_keys", [f"ssh-ed25519 {BODY} jané@büro"]),
    ("base.authorized_keys", [f'from="10.0.0.0/8",no-pty ssh-ed25519 {BODY}']),
    ("base.authorized_keys", [f'command="echo \\"a b\\"" ssh-ed25519  {BODY}\tme at home']),
    ("model.name", "gemma-3-4b-it-q4_0+abc(1)"),
    ("model.folder", "/srv/models@home"),
    ("engine.source.git.url", "git@github.com:ggml-org/llama.cpp.git"),
    ("engine.source.git.url", "file:///srv/git/llama.cpp"),
    ("storage.log2ram_repository.url", "http://[fd00::1]:3142/azlux"),
]
REFUSED = [
    ("base.hostname", "pi5-a.lan", "pi5-a.lan, is no node's name: .* and no domain; write pi5-a"),
    ("base.hostname", "-", "write another one"),
    ("base.timezone", "Europe/Viena", "did you mean 'Europe/Vienna'"),
    ("base.authorized_keys", [f"ssh-ed25519 {BODY}\nssh-rsa {BODY}"], "allowed"),
    ("model.name", "../x", "allowed"),
    ("model.name", "a b", "allowed"),
    ("engine.source.git.url", "--upload-pack=x:y", "allowed"),
]


def faults(setting, value, tmp_path, host="pi5-a"):
    """What is wrong with one setting of a host."""
    section, *keys = setting.split(".")
    for key in reversed(keys):
        value = {key: value}
    values = {**MODEL, "name": "m", **value} if section == "model" else value
    _, found = validate(section, registry.sections()[section], values, host=host, folder=tmp_path)
    return " ".join(fault.message for fault in found)


@pytest.mark.parametrize(("setting", "value"), TAKEN)
def test_what_real_systems_have_is_taken(tmp_path, setting, value):
    assert faults(setting, value, tmp_path) == ""


@pytest.mark.parametrize(("setting", "value", "said"), REFUSED)
def test_what_they_cannot_have_is_refused(tmp_path, setting, value, said):
    with pytest.raises(AssertionError, match=said):
        assert faults(setting, value, tmp_path) == ""


def test_the_inventorys_name_as_a_hostname_is_told_as_what_it_is(tmp_path):
    assert faults("base.hostname", "inventory", tmp_path) == ""
    assert faults("base.hostname", "inventory", tmp_path, host="pi5-a.lan") == (
        "base.hostname: found \"inventory\": this host's name in the inventory, pi5-a.lan, is no node's "
        "name: that has letters, digits and dashes in between, and no domain; write pi5-a"
    )


def test_a_time_zone_of_before_is_the_nodes_to_know_where_this_computer_has_none(
    tmp_path, monkeypatch
):
    """Debian 13 has such names in a package of their own; Bookworm has them all."""
    now = {zone for zone in zoneinfo.available_timezones() if not zone.startswith("US/")}
    monkeypatch.setattr(base, "_zones", lambda: now)
    assert faults("base.timezone", "US/Pacific", tmp_path) == ""
    assert "did you mean" in faults("base.timezone", "Europe/Viena", tmp_path)
