"""How settings are declared."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bramble.settings import LocalPath, Section, SshSettings, option


class Toy(Section):
    """A toy."""

    size: int = option(3, help="How big.", unit="MiB", example=4, ge=1, le=9)
    file: LocalPath = option("a/b", help="A file.")
    name: str = option(..., help="Its name.", pattern="^[a-z]+$")


def test_an_option_describes_itself():
    size = Toy.model_json_schema()["properties"]["size"]
    assert size == {
        "default": 3,
        "description": "How big.",
        "examples": [4],
        "maximum": 9,
        "minimum": 1,
        "title": "Size",
        "type": "integer",
        "unit": "MiB",
    }
    assert Toy.model_json_schema()["required"] == ["name"]


def test_settings_are_closed_frozen_and_discreet():
    toy = Toy(name="x")
    with pytest.raises(ValidationError, match="frozen"):
        toy.size = 4
    with pytest.raises(ValidationError) as caught:
        Toy(name="HUNTER2", colour="hunter2")
    assert "hunter2" not in str(caught.value).lower()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("x", "/inv/x"),
        ("/x", "/x"),
        ("~/x", "/home/me/x"),
        (Path("x"), "/inv/x"),
    ],
)
def test_a_local_path_is_taken_from_the_inventory_folder(monkeypatch, written, meant):
    monkeypatch.setenv("HOME", "/home/me")
    values = {"name": "x", "file": written}
    toy = Toy.model_validate(values, context={"folder": Path("/inv")})
    assert toy.file == Path(meant)


def test_a_default_local_path_is_too():
    assert Toy.model_validate({"name": "x"}, context={"folder": "/inv"}).file == Path("/inv/a/b")
    assert Toy(name="x").file == Path("a/b").absolute()


CONTEXT = {"folder": Path("/inv"), "host": "pi5-a"}


def test_ssh_goes_to_the_name_of_the_host_unless_told_otherwise():
    ssh = SshSettings.model_validate({}, context=CONTEXT)
    assert (ssh.address, ssh.port, ssh.user, ssh.key) == ("pi5-a", None, None, None)
    assert ssh.known_hosts == Path("/inv/known_hosts")
    assert SshSettings.model_validate({"address": "fe80::1%eth0"}, context=CONTEXT).address
    with pytest.raises(ValidationError):
        SshSettings.model_validate({"address": "-oProxyCommand=x"}, context=CONTEXT)


@pytest.mark.parametrize(
    "user", ["jane.doe", "SkyUser", "pi", "_apt", "DOMAIN\\jane", "j@corp.lan"]
)
def test_an_account_may_have_every_name_that_one_can_have(user):
    assert SshSettings(address="a", user=user).user == user


@pytest.mark.parametrize("user", ["", "-l", "a b", "a:b", "~me", "a/b", "+x"])
def test_what_no_account_is_named_is_refused(user):
    with pytest.raises(ValidationError):
        SshSettings(address="a", user=user)


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("192.168.1.41:2222", "write address: 192.168.1.41 and beside it port: 2222"),
        ("[fe80::1%eth0]:2222", "write address: fe80::1%eth0 and beside it port: 2222"),
        ("[fd00::7]", "write address: fd00::7"),
        ("jane.doe@pi.lan", "write address: pi.lan and beside it user: jane.doe"),
        ("ssh://me@pi.lan:22/", "write address: pi.lan and beside it user: me, port: 22"),
    ],
)
def test_an_address_that_holds_a_port_or_an_account_is_told_how_to_write_it(address, remedy):
    with pytest.raises(ValidationError) as caught:
        SshSettings(address=address)
    assert remedy in str(caught.value)
