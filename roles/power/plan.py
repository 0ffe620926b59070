"""What power wants: a governor that outlasts what the system sets at boot, and a fan's temperatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bramble.board import OTHER, Board
from bramble.firmware import config_txt
from bramble.firmware.boot_files import CONFIG, CONFIG_STAMP, AtBoot, edit
from bramble.node import container, vitals
from bramble.plan import FactsNeeded, File, Inputs, NodePlan, RolePlan
from bramble.render import render
from bramble.roles.power.settings import Fan, Overclock, Settings
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step, remove_files, systemd, write_files

UNIT = "bramble-governor.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
GOVERNORS = "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor"


TRIPS = "/sys/class/thermal/thermal_zone0/trip_point_*_temp"
COOLERS = "/sys/class/thermal/cooling_device*/type"
WITH_LEVELS = ("pi5", "cm5", "pi500")
WITH_PIN = ("pi4", "pi400", "cm4")


@dataclass(frozen=True, kw_only=True)
class PowerPlan(RolePlan):
    """The governor, None for the system's own, and where to begin to warn.

    `fan_mc` are the temperatures in thousandths of a degree at which the fan changes its speed, and
    `config` is what the role boot is to write into config.txt for the fan and for overclocking.
    """

    governor: str | None
    fan_mc: tuple[int, ...]
    config: Mapping[str, str]
    temperature_warn_c: int
    psu_warn_ma: int


def facts_needed(settings: Settings, inputs: Inputs) -> FactsNeeded:
    """Ask for the governor with its unit, and what the board reports of supply and heat."""
    return FactsNeeded(
        files=(UNIT_FILE, GOVERNORS, TRIPS, COOLERS, CONFIG_STAMP, *vitals.FILES),
        units=(UNIT,),
        commands=(*vitals.COMMANDS, container.COMMAND),
    )


def plan(settings: Settings, board: Board, inputs: Inputs) -> PowerPlan:
    """Plan the governor's unit where one is set, and this board's lines of config.txt."""
    fan = _fan(settings.fan, board)
    config = fan | _overclock(settings.overclock, board)
    return PowerPlan(
        files=_files(settings.governor),
        outputs=AtBoot(config=config),
        governor=settings.governor,
        fan_mc=_fan_mc(settings.fan, board),
        config=config,
        temperature_warn_c=settings.temperature_warn_c,
        psu_warn_ma=settings.psu_warn_ma,
    )


def _fan_mc(fan: Fan, board: Board) -> tuple[int, ...]:
    """Return the fan's temperatures for this board, in thousandths of a degree."""
    if board.kind in WITH_LEVELS and fan.levels_c:
        return tuple(level * 1000 for level in fan.levels_c)
    if board.kind in WITH_PIN and fan.gpio_pin is not None:
        return (fan.on_above_c * 1000,)
    return ()


def _fan(fan: Fan, board: Board) -> dict[str, str]:
    """Return the fan's lines of config.txt."""
    levels = _fan_mc(fan, board)
    if board.kind in WITH_PIN and levels:
        return {"dtoverlay=gpio-fan": f"gpiopin={fan.gpio_pin},temp={levels[0]}"}
    return {f"dtparam=fan_temp{number}": str(level) for number, level in enumerate(levels)}


def _overclock(overclock: Overclock, board: Board) -> dict[str, str]:
    """Return the overclocking lines of config.txt, never with force_turbo beside a voltage."""
    if board.kind == OTHER or board.strange:
        return {}
    made = {}
    if overclock.arm_freq_mhz is not None:
        made["arm_freq"] = str(overclock.arm_freq_mhz)
    if overclock.over_voltage_delta_uv is not None:
        made["over_voltage_delta"] = str(overclock.over_voltage_delta_uv)
        made["force_turbo"] = "0"
    return made


def _files(governor: str | None) -> tuple[File, ...]:
    if governor is None:
        return ()
    text = render("power/bramble-governor.service.j2", governor=governor)
    return (File(path=UNIT_FILE, text=text),)


def steps(plan: PowerPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Write the governor's unit and start it where the governor is another, or remove it."""
    written = write_files("Write the governor's unit", plan.files, snapshot)
    return (written, _set(plan, snapshot, written), *_forget(snapshot, wanted=bool(plan.files)))


def revert(plan: PowerPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Remove the governor's unit and our lines in config.txt; both leave their effect until a boot."""
    return (*_forget(snapshot, wanted=False), _unset(plan, snapshot))


def _forget(snapshot: Snapshot, *, wanted: bool) -> tuple[Step, ...]:
    """Disable and remove the governor's unit, if it is there and not wanted."""
    unit, names = snapshot.unit(UNIT), ("Disable the governor's unit", "Remove the governor's unit")
    if wanted:
        return tuple(Step(name, None) for name in names)
    ours = not isinstance(unit, Unknown) and unit.enabled == "enabled"
    ended = systemd(names[0], f"{UNIT} is enabled" if ours else None, disable=(UNIT,), stop=(UNIT,))
    return (ended, remove_files(names[1], (UNIT_FILE,), snapshot))


def _unset(plan: PowerPlan, snapshot: Snapshot) -> Step:
    name, boot = "Take back the firmware's options", snapshot.boot
    if isinstance(boot, Unknown) or boot.config_txt is None:
        return Step(name, None)
    text = config_txt.without(boot.config_txt, tuple(plan.config), boot.included)
    if text == boot.config_txt:
        return Step(name, None)
    why = f"{CONFIG}: without {' '.join(plan.config)}"
    return edit(name, why, CONFIG, boot.config_txt, text, CONFIG_STAMP)


def _set(plan: PowerPlan, snapshot: Snapshot, written: Step) -> Step:
    name = "Set the governor"
    if plan.governor is None:
        return Step(name, None)
    why = not_set(plan, snapshot) or (written.why and "its unit is written again")
    if why is None:
        return Step(name, None)
    query = {"unit": UNIT, "reload": True, "enable": True, "restart": True}
    return Step(name, why, "service", query)


def not_set(plan: PowerPlan, snapshot: Snapshot) -> str | None:
    """Return why the governor is not set, now and for the next boot; None when it is."""
    unit, found = snapshot.unit(UNIT), governors(snapshot)
    if isinstance(unit, Unknown):
        return unit.why
    if unit.enabled != "enabled":
        return f"{UNIT} is {unit.enabled or 'not there'}, so the next boot would not have it"
    if unit.needs_reload:
        return "systemd has an older unit in memory"
    if isinstance(found, Unknown) or set(found.values()) <= {plan.governor}:
        return None
    return f"the governor is {words(found)}"


def governors(snapshot: Snapshot) -> dict[str, str] | Unknown:
    """Return the governor of each group of processors; none where nothing scales, or in a container."""
    kind, files = container.container(snapshot), snapshot.files
    if isinstance(kind, Unknown):
        return kind
    if isinstance(files, Unknown):
        return files
    if kind:
        return {}
    found = {path: seen for path, seen in files.items() if fnmatchcase(path, GOVERNORS)}
    for seen in found.values():
        if isinstance(seen, Unknown):
            return seen
    return {
        path.split("/")[-2]: (seen.text or "").strip()
        for path, seen in found.items()
        if isinstance(seen, FileState)
    }


def words(found: dict[str, str]) -> str:
    """Return the governors for people."""
    return ", ".join(sorted(set(found.values())))
