"""What power proves: a supply that holds its voltage, a clock that nothing holds down, moderate heat."""

from __future__ import annotations

from fnmatch import fnmatchcase

from bramble.board import OTHER
from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.firmware.boot_files import CONFIG
from bramble.firmware.config_txt import Word
from bramble.node import container, vitals
from bramble.owned import as_written
from bramble.roles.power import overclock
from bramble.roles.power.plan import (
    COOLERS,
    TRIPS,
    UNIT,
    UNIT_FILE,
    WITH_PIN,
    PowerPlan,
    governors,
    not_set,
    steps,
    words,
)
from bramble.sanitize import number
from bramble.snapshot import FileState, Unknown
from bramble.system.devicetree import DeviceTree

NOTHING_TELLS = "neither vcgencmd nor sysfs tells"
SUPPLY = "Use the official supply (Pi 4: 5.1 V, 3 A; Pi 5: 5.1 V, 5 A) and a short, thick cable."
# A CM5 is fed by the board that carries it, which may tell nothing.
TELLS_SUPPLY = ("pi5", "pi500")
COOLING = "Cool it: a heat sink and a fan, or air around it. See power.temperature_warn_c."


def _untold(want: str, node: Node) -> Finding:
    """Return the finding where nothing is reported: unknown on a Raspberry Pi, skipped elsewhere."""
    board = node.plan.board
    if board.kind == OTHER:
        return skip(want, f"{NOTHING_TELLS}: no Raspberry Pi 4 or 5 ({board.model})")
    return Finding("unknown", want, NOTHING_TELLS, "Install vcgencmd (the package raspi-utils).")


def _unclear(want: str, found: Unknown) -> Finding:
    """Return the finding where the board's report cannot be read."""
    remedy = "Run `sudo vcgencmd get_throttled` on the node, and look at what it says."
    return Finding("unknown", want, found.why, remedy)


@check()
def voltage_is_enough(plan: PowerPlan, node: Node) -> Finding:
    """The supply holds its voltage at this moment."""
    want, found = "no undervoltage", vitals.throttled(node.snapshot)
    if isinstance(found, Unknown):
        return _unclear(want, found)
    if found is None:
        return _untold(want, node)
    ok = vitals.UNDERVOLTAGE not in found.now
    return expect(want, want if ok else "undervoltage now", ok, SUPPLY)


@check(severity="warn")
def clock_is_not_held_down(plan: PowerPlan, node: Node) -> Finding:
    """Nothing holds the processor's clock down at this moment."""
    want, found = "no cap, no throttling", vitals.throttled(node.snapshot)
    if isinstance(found, Unknown):
        return _unclear(want, found)
    if found is None:
        return _untold(want, node)
    held = [word for word in found.now if word != vitals.UNDERVOLTAGE]
    return expect(want, f"now: {', '.join(held) or 'none'}", not held, f"{COOLING} {SUPPLY}")


@check(severity="warn")
def nothing_was_throttled_since_boot(plan: PowerPlan, node: Node) -> Finding:
    """Neither undervoltage nor throttling has happened since the board was booted."""
    want, found = "nothing since boot", vitals.throttled(node.snapshot)
    if isinstance(found, Unknown):
        return _unclear(want, found)
    if found is None:
        return _untold(want, node)
    got = f"since boot: {', '.join(found.since_boot) or 'none'}"
    remedy = f"{SUPPLY} {COOLING} The mark stays until the next boot."
    return expect(want, got, not found.since_boot, remedy)


@check(severity="warn")
def temperature_is_moderate(plan: PowerPlan, node: Node) -> Finding:
    """The processor is below the temperature to warn at."""
    want, found = f"at most {plan.temperature_warn_c} °C", vitals.temperature_c(node.snapshot)
    if isinstance(found, Unknown):
        return _unclear(want, found)
    if found is None:
        return _untold(want, node)
    return expect(want, f"{found:.1f} °C", found <= plan.temperature_warn_c, COOLING)


@check()
def governor_is_in_force(plan: PowerPlan, node: Node) -> Finding:
    """The kernel scales the processor's clock with the planned governor, and will after a boot."""
    want = plan.governor or "the system's own"
    kind, found = container.container(node.snapshot), governors(node.snapshot)
    for seen in (found, node.snapshot.unit(UNIT) if plan.governor else None):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    assert not isinstance(found, Unknown)
    problem = not_set(plan, node.snapshot) if plan.governor else None
    if problem:
        return expect(want, problem, False, "Deploy again; if it stays, something else sets it.")
    if kind:
        return skip(want, f"a container ({kind}) has its host's")
    none = "this kernel scales no clock (no cpufreq)"
    if plan.governor is None:
        return skip(
            want, f"power.governor is not set; {f'it is {words(found)}' if found else none}"
        )
    if not found and node.plan.board.kind == OTHER:
        return skip(want, none)
    if not found:
        return expect(want, none, False, "Every Pi's kernel does: boot Raspberry Pi's own kernel.")
    return expect(want, words(found), True, "")


@check(severity="warn")
def supply_is_rated_for_a_pi_5(plan: PowerPlan, node: Node) -> Finding:
    """A Pi 5's supply offers the current that the board may need."""
    want, tree = f"at least {plan.psu_warn_ma} mA", node.snapshot.device_tree
    if isinstance(tree, Unknown):
        return unknown(want, tree)
    board = node.plan.board
    reported = tree.psu_ma if isinstance(tree, DeviceTree) else None
    if reported is None and board.kind not in TELLS_SUPPLY:
        return skip(want, f"only a Pi 5 tells (this is: {board.model})")
    if reported is None:
        why = "the firmware does not tell what the supply offers"
        return Finding("unknown", want, why, "Update the bootloader: boot.eeprom.")
    return expect(want, f"{reported} mA", reported >= plan.psu_warn_ma, SUPPLY)


@check(severity="warn")
def fan_has_its_temperatures(plan: PowerPlan, node: Node) -> Finding:
    """The kernel switches the fan at the planned temperatures."""
    want = ", ".join(f"{level / 1000:g} °C" for level in plan.fan_mc) or "the system's own"
    kind, files = container.container(node.snapshot), node.snapshot.files
    for seen in (kind, files):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    assert not isinstance(files, Unknown)
    if not plan.fan_mc:
        return skip(want, f"power.fan sets nothing for this board ({node.plan.board.model})")
    if kind:
        return skip(want, f"a container ({kind}) has its host's")
    texts: dict[str, list[str]] = {TRIPS: [], COOLERS: []}
    for path, file in files.items():
        for pattern in (TRIPS, COOLERS):
            if fnmatchcase(path, pattern) and file is not None:
                if not isinstance(file, FileState):
                    return unknown(want, file)
                texts[pattern].append((file.text or "").strip())
    trips = sorted(mc for mc in map(number, texts[TRIPS]) if mc is not None)
    got = ", ".join(f"{trip / 1000:g} °C" for trip in trips) or "none"
    ok = set(plan.fan_mc) <= set(trips)
    if node.plan.board.kind in WITH_PIN and "gpio-fan" not in texts[COOLERS]:
        got, ok = f"no gpio-fan among the coolers; {got}", False
    return expect(
        want, got, ok, "Deploy again; it takes hold at a boot: `sudo vclog -m` tells more."
    )


@check(severity="warn")
def nothing_is_overclocked(plan: PowerPlan, node: Node) -> Finding:
    """config.txt takes neither clock nor voltage of this board above what it is sold with."""
    want, boot, tree = (
        "the board's own clock and voltage",
        node.snapshot.boot,
        node.snapshot.device_tree,
    )
    for seen in (boot, tree):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    assert not isinstance(boot, Unknown)
    assert not isinstance(tree, Unknown)
    board = node.plan.board
    stock = overclock.stock_mhz(board, tree)
    if board.kind == OTHER or boot.config_txt is None:
        return skip(want, f"no Raspberry Pi 4 or 5 with a config.txt ({board.model})")
    if stock is None:
        return Finding(
            "unknown", want, board.strange or board.model, "Look at config.txt yourself."
        )
    found = overclock.asked(boot.config_txt, boot.included, tree, stock)
    if found.raised:
        return expect(want, _said(found.raised), False, _remedy(found, plan))
    if found.perhaps:
        got = f"whether these raise anything on this board cannot be determined: {_said(found.perhaps)}"
        return Finding("unknown", want, got, _remedy(found, plan))
    got = f"nothing above it; below it: {_said(found.lowered)}" if found.lowered else want
    return expect(want, got, True, "")


def _said(words: tuple[Word, ...]) -> str:
    return "; ".join(word.said for word in words)


def _remedy(found: overclock.Asked, plan: PowerPlan) -> str:
    """Return the remedy for raised clocks and voltages, by who set them."""
    words = (*found.raised, *found.perhaps)
    mine = [word.name for word in words if word.ours and word.name not in plan.config]
    made = ["A wrong answer or a reset may come of it."]
    if found.burns_the_warranty_bit:
        made.append("force_turbo beside an over_voltage burns the warranty bit: remove one.")
    if any(word.ours and word.name in plan.config for word in words):
        made.append("Take power.overclock out, and deploy again.")
    if mine:
        made.append(f"Take {' '.join(dict.fromkeys(mine))} out of boot.config, and deploy again.")
    if any(not word.ours for word in words):
        made.append(
            f"Lines that bramble did not write stay: take them out of {CONFIG}, and reboot."
        )
    return " ".join(made)


@check()
def files_are_as_written(plan: PowerPlan, node: Node) -> Finding:
    """Each file and line that this role writes stands as it was written: text, mode and owner."""
    look = node.snapshot
    return as_written(plan, steps(plan, node.plan, look), look, look.file(UNIT_FILE))
