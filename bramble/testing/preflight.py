"""The checks of `bramble checks` as tests, one for each check and host."""

from __future__ import annotations

import pytest

from bramble.checks import Check, run_all
from bramble.testing import RUN
from bramble.testing.testinfra_node import TestinfraNode

pytestmark = pytest.mark.preflight


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each check of the roles that any of the hosts gets."""
    run = metafunc.config.pluginmanager.get_plugin(RUN)
    assert run is not None, f"{__name__} is for runs with --hosts"
    checks = run.checks()
    metafunc.parametrize("check", checks, ids=[f"{check.role}.{check.name}" for check in checks])


def test_preflight(node: TestinfraNode, check: Check) -> None:
    """Compare what the host shows with what the check wants."""
    if check.role not in node.plan.roles:
        pytest.skip(f"the host does not get the role {check.role}")
    (result,) = run_all(node, (check,))
    if result.status == "skip":
        pytest.skip(result.got)
    said = f"wanted {result.want}, got {result.got}. {result.remedy}"
    if result.status == "warn":
        pytest.xfail(f"warning only: {said}")
    if result.status != "pass":
        pytest.fail(said, pytrace=False)
