"""How settings are declared."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bramble.settings import LocalPath, Section, Ssh, option


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


def test_ssh_goes_to_the_name_of_the_host_unless_told_otherwise():
    context = {"folder": Path("/inv"), "host": "pi5-a"}
    ssh = Ssh.model_validate({}, context=context)
    assert (ssh.address, ssh.port, ssh.user, ssh.key) == ("pi5-a", 22, "pi", None)
    assert ssh.known_hosts == Path("/inv/known_hosts")
    assert Ssh.model_validate({"address": "fe80::1%eth0"}, context=context).address
    with pytest.raises(ValidationError):
        Ssh.model_validate({"address": "-oProxyCommand=x"}, context=context)
