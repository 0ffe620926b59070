"""A pytest run on hosts of the inventory: how testinfra reaches them, and the checks among its tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

import pytest
from testinfra.host import Host as Connection

from bramble import project, registry
from bramble.checks import Check
from bramble.documents.problems import InventoryError, unknown
from bramble.fleet import load
from bramble.inventory import presence
from bramble.inventory.load import Host, Inventory
from bramble.settings import SshSettings
from bramble.testing import RUN, preflight
from bramble.testing.testinfra_node import NodeError, TestinfraNode, ssh_config

ALL = "all"


class HostsRun:
    """The hosts of one run, each looked at once."""

    def __init__(self, inventory: Inventory, names: Sequence[str]) -> None:
        self._inventory = inventory
        self._names = names
        self._nodes: dict[str, TestinfraNode] = {}

    def checks(self) -> list[Check]:
        """Return the checks of every role that any of the hosts gets."""
        settings = [self._inventory.hosts[name].settings for name in self._names]
        roles = [role for role in registry.roles() if any(role.name in one for one in settings)]
        return [check for role in roles for check in role.checks]

    def node(self, connection: Connection) -> TestinfraNode:
        """Return the host that testinfra is connected to; skip the test where it is another's."""
        name = connection.backend.get_hostname()
        if name not in self._inventory.hosts:
            pytest.skip(f"{name} is not in {self._inventory.folder}")
        if name not in self._nodes:
            self._nodes[name] = self._look(connection, self._inventory.hosts[name])
        return self._nodes[name]

    def _look(self, connection: Connection, host: Host) -> TestinfraNode:
        try:
            return TestinfraNode(connection, host)
        except NodeError as error:
            pytest.fail(f"{host.name} cannot be looked at: {error}", pytrace=False)
        except RuntimeError as error:  # of testinfra, with what ssh said
            said = getattr(error.args[0], "stderr", error) if error.args else error
            pytest.fail(f"{host.name} cannot be reached: {str(said).strip()}", pytrace=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Put the checks before the tests that were collected."""
        module = pytest.Module.from_parent(
            session, path=Path(preflight.__file__), nodeid="preflight", name="preflight"
        )
        items[:0] = session.genitems(module)


def begin(config: pytest.Config) -> None:
    """Begin a run on hosts; leave names alone where there is no inventory to look them up in."""
    chosen = config.getoption("inventory")
    # Whatever asks for the project in this run, in a worker of pytest-xdist too, finds this one.
    if chosen:
        _set_for_the_run(config, project.VARIABLE, str(Path(chosen).expanduser().absolute()))
    folder = project.folder()
    if not ((folder / project.FLEET).is_file() or os.environ.get(project.VARIABLE)):
        return
    try:
        inventory = load(folder)
    except InventoryError as error:
        raise pytest.UsageError(str(error)) from error
    # A worker of pytest-xdist gets the options as its controller left them.
    if not hasattr(config.option, "bramble_hosts"):
        specs = config.option.hosts.split(",")
        config.option.bramble_hosts = names = chosen_of(specs, inventory)
        others = [spec for spec in specs if "://" in spec]
        config.option.hosts = ",".join([*others, *_specs(config, inventory, names)])
    if config.option.bramble_hosts:
        config.addinivalue_line("markers", "preflight: the checks of bramble, on hosts")
        config.pluginmanager.register(HostsRun(inventory, config.option.bramble_hosts), RUN)


def chosen_of(specs: Iterable[str], inventory: Inventory) -> list[str]:
    """Return the hosts that are named; raise UsageError with every name that is none.

    What has a scheme, such as docker://NAME, is testinfra's own affair.
    """
    names = [spec for spec in specs if spec and "://" not in spec]
    known = inventory.hosts
    wrong = [name for name in names if name not in known and name != ALL]
    if wrong:
        said = "\n".join(
            f"--hosts: there is no host '{name}'; {unknown(name, known)}" for name in wrong
        )
        raise pytest.UsageError(
            f"{said}\nInventory {inventory.folder}; testinfra's own: ssh://NAME"
        )
    every = ALL in names and ALL not in known
    asked = {name: known[name] for name in (known if every else names)}
    absent = presence.absent(asked)
    if absent and (not every or len(absent) == len(asked)):
        raise pytest.UsageError(f"--hosts: {presence.sentence(absent)}")
    return [name for name in asked if name not in absent]


def _specs(config: pytest.Config, inventory: Inventory, names: Sequence[str]) -> list[str]:
    """Return the hosts as testinfra takes them, with a configuration of OpenSSH for this run."""
    if not names:
        return []
    folder = tempfile.mkdtemp(prefix="bramble-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    file = Path(folder, "ssh_config")
    file.write_text(ssh_config(inventory), encoding="utf-8")
    return [f"ssh://{name}?{_query(inventory.hosts, name, file)}" for name in names]


def _query(hosts: Mapping[str, Host], name: str, file: Path) -> str:
    ssh = hosts[name].settings["ssh"]
    assert isinstance(ssh, SshSettings)
    return urlencode({"ssh_config": file, "timeout": ssh.connect_timeout_s}, safe="/")


def _set_for_the_run(config: pytest.Config, variable: str, value: str) -> None:
    before = os.environ.get(variable)
    os.environ[variable] = value

    def restore() -> None:
        if before is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = before

    config.add_cleanup(restore)
