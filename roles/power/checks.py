"""What power proves: a supply that holds its voltage, a clock that nothing holds down, moderate heat."""

from __future__ import annotations

from bramble import container, vitals
from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.snapshot import DeviceTree, Unknown
from roles.power.plan import PowerPlan, governors, words

NOTHING_TELLS = "neither vcgencmd nor sysfs tells: no Raspberry Pi"
SUPPLY = "Use the official supply (Pi 4: 5.1 V, 3 A; Pi 5: 5.1 V, 5 A) and a short, thick cable."
COOLING = "Cool it: a heat sink and a fan, or air around it. See power.temperature_warn_c."


@check()
def voltage_is_enough(plan: PowerPlan, node: Node) -> Finding:
    """The supply holds its voltage at this moment."""
    want, found = "no undervoltage", vitals.throttled(node.snapshot)
    if isinstance(found, Unknown):
        return unknown(want, found)
    if found is None:
        return skip(want, NOTHING_TELLS)
    well = vitals.UNDERVOLTAGE not in found.now
    return expect(want, want if well else "undervoltage now", well, SUPPLY)


@check(severity="warn")
def clock_is_not_held_down(plan: PowerPlan, node: Node) -> Finding:
    """Nothing holds the processor's clock down at this moment."""
    want, found = "no cap, no throttling", vitals.throttled(node.snapshot)
    if isinstance(found, Unknown):
        return unknown(want, found)
    if found is None:
        return skip(want, NOTHING_TELLS)
    held = [word for word in found.now if word != vitals.UNDERVOLTAGE]
    return expect(want, f"now: {', '.join(held) or 'none'}", not held, f"{COOLING} {SUPPLY}")


@check(severity="warn")
def nothing_was_throttled_since_boot(plan: PowerPlan, node: Node) -> Finding:
    """Neither undervoltage nor throttling has happened since the board was booted."""
    want, found = "nothing since boot", vitals.throttled(node.snapshot)
    if isinstance(found, Unknown):
        return unknown(want, found)
    if found is None:
        return skip(want, NOTHING_TELLS)
    got = f"since boot: {', '.join(found.since_boot) or 'none'}"
    remedy = f"{SUPPLY} {COOLING} The mark stays until the next boot."
    return expect(want, got, not found.since_boot, remedy)


@check(severity="warn")
def temperature_is_moderate(plan: PowerPlan, node: Node) -> Finding:
    """The processor is below the temperature to warn at."""
    want, found = f"at most {plan.temperature_warn_c} °C", vitals.temperature_c(node.snapshot)
    if isinstance(found, Unknown):
        return unknown(want, found)
    if found is None:
        return skip(want, "neither vcgencmd nor a thermal zone tells")
    return expect(want, f"{found:.1f} °C", found <= plan.temperature_warn_c, COOLING)


@check()
def governor_is_in_force(plan: PowerPlan, node: Node) -> Finding:
    """The kernel scales the processor's clock with the planned governor."""
    want = plan.governor or "the system's own"
    kind, found = container.container(node.snapshot), governors(node.snapshot)
    if isinstance(found, Unknown):
        return unknown(want, found)
    if kind:
        return skip(want, f"a container ({kind}) has its host's")
    if not found:
        return skip(want, "this kernel scales no clock (no cpufreq)")
    if plan.governor is None:
        return skip(want, f"power.governor is not set; it is {words(found)}")
    well = set(found.values()) == {plan.governor}
    return expect(want, words(found), well, "Deploy again; something else sets another one.")


@check(severity="warn")
def supply_is_rated_for_a_pi_5(plan: PowerPlan, node: Node) -> Finding:
    """A Pi 5's supply offers the current that the board may need."""
    want, tree = f"at least {plan.psu_warn_ma} mA", node.snapshot.device_tree
    if isinstance(tree, Unknown):
        return unknown(want, tree)
    if node.plan.board.kind != "pi5":
        return skip(want, f"only a Pi 5 tells (this is: {node.plan.board.model})")
    if not isinstance(tree, DeviceTree) or tree.psu_ma is None:
        return skip(want, "the firmware does not tell what the supply offers")
    return expect(want, f"{tree.psu_ma} mA", tree.psu_ma >= plan.psu_warn_ma, SUPPLY)
