"""Which roles there are, in which order, and that what they take is what earlier ones give."""

import inspect
import re
from dataclasses import dataclass, replace

import pytest

from bramble import deploys, project, registry
from bramble.documents.problems import InventoryError
from bramble.outputs import EngineOutputs, ServingOutputs
from bramble.plan import Inputs, Outputs, make
from bramble.registry import in_order
from bramble.roles.storage.outputs import StorageOutputs
from tests.unit.good_node import PI5, ROLES, node_plan, settings


@dataclass(frozen=True, kw_only=True)
class Toys(Outputs):
    """What no role of ours gives."""


WATCHDOG = registry.role("watchdog")
NODE = (project.SHIPPED / "deploys/node.py").read_text()
CALLED = re.findall(r"^(\w+)\(", NODE, re.MULTILINE)
"""What the deploy of a node calls, in its order."""


def toy(name, **changes):
    """A role like the watchdog, under another name."""
    return replace(WATCHDOG, **{"name": name, "takes": (), **changes})


def test_the_order_is_that_in_which_a_node_gains_them():
    names = ["base", "storage", "memory", "power", "boot", "engine", "model", "serving", "watchdog"]
    assert [role.name for role in registry.roles() if role.name in names] == names


def test_a_role_comes_after_those_that_give_what_it_takes_whatever_their_names():
    first, second = toy("zebra", gives=Toys), toy("ant", takes=(Toys,))
    assert [role.name for role in in_order((second, first))] == ["zebra", "ant"]


def test_a_role_comes_after_those_that_it_needs_or_uses_by_name():
    class Needs(WATCHDOG.settings):
        needs = ("zebra",)

    class Uses(WATCHDOG.settings):
        uses = ("yak",)

    found = (toy("ant", settings=Needs), toy("bee", settings=Uses), toy("yak"), toy("zebra"))
    assert [role.name for role in in_order(found)] == ["zebra", "ant", "yak", "bee"]


def test_a_role_that_is_to_be_last_comes_after_all_others_whatever_their_names():
    found = (toy("ant", last=True), toy("bee", last=False), toy("zebra", last=False))
    assert [role.name for role in in_order(found)] == ["bee", "zebra", "ant"]


def test_the_watchdog_is_armed_after_the_roles_of_a_person_too():
    assert WATCHDOG.last
    assert CALLED.index("watchdog") > len(CALLED) - 1 - CALLED[::-1].index("own")


def test_roles_that_take_of_each_other_are_refused_by_their_names():
    one, other = toy("ant", gives=Toys, takes=(EngineOutputs,)), toy("bee", takes=(Toys,))
    with pytest.raises(InventoryError, match="in a circle: ant -> bee -> ant"):
        in_order((one, replace(other, gives=EngineOutputs)))


def test_what_a_plan_gives_is_of_the_kind_that_its_role_says():
    for name, part in node_plan().roles.items():
        gives = registry.role(name).gives
        assert part.outputs is None if gives is None else isinstance(part.outputs, gives), name


def test_a_role_cannot_read_what_it_does_not_take():
    inputs = Inputs("a", (StorageOutputs(ssd="/mnt/ssd"),), (EngineOutputs,))
    with pytest.raises(TypeError, match="reads StorageOutputs names it in its `takes`"):
        inputs.find(StorageOutputs)
    assert inputs.find(EngineOutputs) is None


def test_what_a_role_needs_and_nobody_gives_is_named():
    roles = [role for role in ROLES if role.name != "engine"]
    with pytest.raises(LookupError, match="no role of pi5-a gives EngineOutputs"):
        make("pi5-a", settings(), PI5, roles)


def test_who_gives_something_is_found_by_its_kind():
    assert registry.giving(ServingOutputs).name == "serving"
    with pytest.raises(LookupError, match="no role gives Toys"):
        registry.giving(Toys)


def test_each_check_takes_the_plan_of_its_own_role():
    plan = node_plan()
    for role in ROLES:
        for check in role.checks:
            annotation = next(iter(inspect.get_annotations(check.run, eval_str=True).values()))
            assert isinstance(plan.roles[role.name], annotation), f"{role.name}.{check.name}"


def test_an_action_that_a_role_has_not_is_refused():
    plan = node_plan()
    with pytest.raises(LookupError, match="role watchdog has no action prune"):
        WATCHDOG.carry("prune", plan.roles["watchdog"], plan, None)


@pytest.mark.parametrize("name", [role.name for role in registry.roles()])
def test_every_role_of_ours_has_a_deploy_and_a_line_in_deploys_node_py(name):
    assert inspect.isfunction(getattr(deploys, name)), "bramble/deploys.py"
    assert name in CALLED


def test_the_deploy_of_a_node_calls_the_roles_in_their_order():
    assert [name for name in CALLED if name not in ("own", "verify")] == [
        role.name for role in registry.roles() if role.name in CALLED
    ]
