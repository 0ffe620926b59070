"""The pytest plugin: `pytest --hosts=HOST,HOST` runs the checks on hosts of the inventory.

pytest loads this module in every run, so everything else is imported once hosts are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bramble.testing import RUN

if TYPE_CHECKING:
    from testinfra.host import Host as Connection

    from bramble.plan import NodePlan
    from bramble.testing.testinfra_node import TestinfraNode

_ASK_FOR_HOSTS = "needs hosts of the inventory: pytest --hosts=NAME,NAME or --hosts=all"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what testinfra, whose `--hosts` names the hosts, does not have."""
    parser.getgroup("bramble").addoption(
        "--inventory",
        metavar="DIR",
        help="The inventory of the hosts in --hosts, in place of the one of this folder's project.",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Turn the names in `--hosts` into hosts of the inventory, before testinfra reads them."""
    named = config.getoption("hosts", None)
    if config.getoption("inventory") and not named:
        raise pytest.UsageError(f"--inventory {_ASK_FOR_HOSTS}")
    if named and not config.getoption("connection", None):
        from bramble.testing.run import begin

        begin(config)


@pytest.fixture(scope="module")
def node(host: Connection, request: pytest.FixtureRequest) -> TestinfraNode:
    """Return a host of the inventory: its `plan`, and its `snapshot`, which one look saw."""
    run = request.config.pluginmanager.get_plugin(RUN)
    if run is None:
        pytest.skip(_ASK_FOR_HOSTS)
    found: TestinfraNode = run.node(host)
    return found


@pytest.fixture(scope="module")
def plan(node: TestinfraNode) -> NodePlan:
    """Return what the inventory wants of the host: each role's part is in `plan.roles`."""
    return node.plan
