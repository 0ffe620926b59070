"""Which roles a host gets, and which hosts are there."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from toy_sections import SECTIONS, Needy

from bramble import virtual
from bramble.documents.problems import InventoryError
from bramble.fleet import prepare
from bramble.for_pyinfra import groups_or_exit, hosts_for_pyinfra
from bramble.inventory import presence
from bramble.inventory.load import load
from bramble.settings import NodeSettings


class Answering(Needy):
    """A role that needs another one, and a setting that has no default."""

    needs: ClassVar[tuple[str, ...]] = ("model",)


ALL = SECTIONS | {"node": NodeSettings, "answering": Answering}
FLEET = """\
    hosts:
      a: {node: {roles: [serving]}}
      b: {answering: {url: "http://10.0.0.1/"}}
    """


@pytest.fixture
def inventory(write: Callable[..., Path]):
    return lambda **files: load(write(**files), ALL, prepare)


@pytest.fixture
def problems(inventory):
    def problems(**files):
        with pytest.raises(InventoryError) as caught:
            inventory(**files)
        return str(caught.value).splitlines()

    return problems


def test_a_host_without_a_choice_gets_every_role(inventory):
    assert set(inventory(fleet=FLEET).hosts["b"].settings) == set(ALL)


def test_settings_of_roles_that_a_host_does_not_get_are_not_needed(inventory):
    """The url that the role answering cannot do without is not asked of host a."""
    assert set(inventory(fleet=FLEET).hosts["a"].settings) == {"ssh", "node", "serving"}


def test_a_role_that_there_is_not_is_told_with_the_one_that_was_meant(problems):
    (line,) = problems(fleet="hosts: {a: {node: {roles: [servin]}}}")
    assert line == "inv/fleet.yml:1: a: node.roles: found \"servin\": did you mean 'serving'?"


def test_a_role_without_one_that_it_needs_is_told(problems):
    (line,) = problems(
        fleet="hosts: {a: {node: {roles: [answering]}, answering: {url: 'http://10.0.0.1/'}}}"
    )
    assert line.endswith("a: node.roles: answering needs model too")


def test_a_choice_that_is_no_list_is_told_once(problems):
    (line,) = problems(fleet="hosts: {a: {node: {roles: serving}, answering: {url: u}}}")
    assert 'node.roles: found "serving", allowed: a list' in line


# Virtual Pis that are not up


VIRTUAL = """\
    settings: {node: {roles: [serving]}}
    hosts:
      pi5-a: {ssh: {address: 192.168.1.41}}
      vpi-1: {node: {virtual: true}, ssh: {address: 10.77.0.11}}
      vpm-1: {node: {virtual: true}, ssh: {address: 127.0.0.1, port: 2201}}
    """


@pytest.fixture
def up(monkeypatch):
    """Have these virtual Pis there: (address, port, state) of each."""

    def up(*seen):
        found = [SimpleNamespace(address=a, port=p, state=state) for a, p, state in seen]
        monkeypatch.setattr(virtual, "nodes", lambda: found)

    return up


def test_virtual_pis_that_are_not_up_are_left_out(inventory, up):
    up(("10.77.0.11", 22, "running"), ("127.0.0.1", 2201, "stopped"))
    fleet = inventory(fleet=VIRTUAL)
    absent = presence.absent(fleet.hosts)
    assert absent == ("vpm-1",)
    assert [name for name, *_ in hosts_for_pyinfra(fleet, absent)] == ["pi5-a", "vpi-1"]


def test_a_real_pi_is_never_left_out(inventory, up):
    up()
    assert presence.absent(inventory(fleet=VIRTUAL).hosts) == ("vpi-1", "vpm-1")


def test_a_fleet_of_which_nothing_is_up_ends_with_how_to_have_it(write, up, monkeypatch, capsys):
    up()
    folder = write(
        fleet="hosts: {vpi-1: {node: {virtual: true, roles: [base]}, ssh: {address: 10.77.0.11}}}"
    )
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(folder))
    with pytest.raises(SystemExit) as ended:
        groups_or_exit("inventory.py")
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "No host is there: vpi-1 is a virtual Pi that is not up: "
        "'bramble virtual up vpi-1' starts it.\n"
    )


def test_pyinfra_says_first_which_inventory_it_goes_by(write, up, monkeypatch, capsys):
    up(("10.77.0.11", 22, "running"))
    folder = write(fleet=VIRTUAL.replace("[serving]", "[base]"))
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(folder))
    groups_or_exit("inventory.py")
    assert capsys.readouterr().err == f"Inventory {folder}: pi5-a, vpi-1 (2 of 3 hosts)\n"


def test_several_that_are_not_up_are_told_together():
    assert presence.sentence(("vpi-1", "vpm-1")) == (
        "vpi-1, vpm-1 are virtual Pis that are not up: "
        "'bramble virtual up vpi-1' or 'bramble virtual up --machine vpm-1' starts one"
    )
