"""The preflight checklist on real nodes: `pytest tests/preflight`.

Without --hosts every host of the inventory (BRAMBLE_INVENTORY) is checked; with --hosts=NAME,NAME
those named. How they are reached is the inventory's word too. The checks are those of
`bramble checks`.
"""

import pytest

from bramble import registry
from bramble.checks import run_all
from bramble.fleet import load
from bramble.inventory import folder
from bramble.testing.over_testinfra import TestinfraNode

CHECKS = [c for role in registry.roles() for c in role.checks]


@pytest.fixture(scope="module")
def node(host):
    inventory, name = load(folder()), host.backend.get_hostname()
    assert name in inventory.hosts, f"{name} is not in {folder()}"
    return TestinfraNode(host, inventory.hosts[name])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.role}.{check.name}")
def test_preflight(node, check):
    if check.role not in node.plan.roles:
        pytest.skip(f"the host does not get the role {check.role}")
    (result,) = run_all(node, (check,))
    if result.status == "skip":
        pytest.skip(result.got)
    if result.status == "warn":
        pytest.xfail(f"warning only: wanted {result.want}, got {result.got}. {result.remedy}")
    assert result.status == "pass", f"wanted {result.want}, got {result.got}. {result.remedy}"
