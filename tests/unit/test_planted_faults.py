"""Every planted fault is found, with what to do about it; a healthy node shows none of them."""

from dataclasses import replace

import pytest

from bramble.audit.judge import judge
from bramble.audit.strangers import KINDS
from bramble.checks import run_all
from bramble.snapshot import Output
from tests.unit import several
from tests.unit.audited import TODAY, judged, told
from tests.unit.checklist import CHECKLIST, seen_by_checklist
from tests.unit.good_node import ROLES, good_look
from tests.unit.looks import WHY, with_command, with_disks
from tests.unit.planted import CHECKS, Planted, table
from tests.unit.spoiled import GOOD, PLAN, Node

TABLE = table()
FEWEST = 80


def healthy(planted: Planted) -> Planted:
    """The same, of a node on which nothing is planted."""
    is_one_of_several = bool(planted.node.plan.roles["model"].further)
    return replace(planted, node=several.node() if is_one_of_several else Node(GOOD), beside={})


@pytest.mark.parametrize("planted", TABLE, ids=lambda one: f"{one.by}-{one.file}{one.what}")
def test_a_planted_fault_is_found_with_what_to_do_and_not_on_a_healthy_node(planted):
    found = planted.told()
    assert found is not None
    assert found.remedy
    assert healthy(planted).told() is None


def test_there_are_at_least_eighty_of_all_roles_and_of_every_check_and_kind():
    looks = {
        repr((one.node.snapshot, one.node.answer, one.node.on_disk, one.beside)) for one in TABLE
    }
    assert len(looks) >= FEWEST
    assert {one.role for one in TABLE} == {role.name for role in ROLES} | {"audit"}
    assert {one.by for one in TABLE} == {*CHECKS, *(kind.name for kind in KINDS), "step"}
    assert {one.file for one in TABLE} >= {f.path for r in PLAN.roles.values() for f in r.files}


@pytest.mark.parametrize("plan", [PLAN, several.SEVERAL], ids=["one model", "several"])
def test_a_healthy_node_is_told_of_nothing_by_any_way(plan):
    look = good_look(plan)
    assert told(judge(judged(look, plan), (), TODAY)) == {}
    results = run_all(Node(look, plan=plan), tuple(CHECKS.values()))
    assert {result.status for result in results} <= {"pass", "skip"}
    assert seen_by_checklist(look) == ()


@pytest.mark.parametrize("by", ["serving.unit_is_active", "step", "held-package"])
def test_an_audit_tells_what_the_table_says_that_it_tells(by):
    planted = next(one for one in TABLE if one.by == by)
    found = planted.told()
    items = told(judge(judged(planted.node.snapshot, **planted.beside), (), TODAY))
    (item,) = [item for item in items.values() if item.id.startswith(found.by)]
    assert (item.status, item.remedy) == ("fail", found.remedy)


SPOILED = {
    "Memory": replace(GOOD, memory_kib={"MemAvailable": 1_400_000}),
    "Storage": replace(GOOD, free_bytes={"/mnt/ssd": 4 * 10**9}),
    "Swap": replace(GOOD, swaps=GOOD.swaps[:1]),
    "Firmware": with_command(GOOD, "rpi-eeprom-update", Output(1, "BOOTLOADER: update available")),
    "Thermals": with_command(GOOD, "vcgencmd measure_temp", Output(0, "temp=50.0'C\n")),
}
HIDDEN = {
    "Memory": replace(GOOD, memory_kib=WHY),
    "Storage": with_disks(GOOD),
    "Swap": replace(GOOD, swaps=WHY),
    "Firmware": with_command(GOOD, "rpi-eeprom-update", None),
    "Thermals": with_command(GOOD, "vcgencmd measure_temp", None),
}


@pytest.mark.parametrize("item", [item.name for item in CHECKLIST])
def test_the_checklist_sees_what_its_item_asks_for_and_what_hides_it(item):
    assert seen_by_checklist(SPOILED[item]) == (item,)
    assert seen_by_checklist(HIDDEN[item]) == (item,)


def test_most_of_what_is_found_is_beyond_the_checklist():
    seen = [one for one in TABLE if seen_by_checklist(one.node.snapshot)]
    assert {name for one in seen for name in seen_by_checklist(one.node.snapshot)} == {*SPOILED}
    assert len(seen) < len(TABLE) / 2
