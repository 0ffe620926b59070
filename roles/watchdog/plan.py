"""What watchdog wants: systemd's two times in a drop-in that wins, and the device armed with them."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.board import Board
from bramble.node import container
from bramble.plan import FactsNeeded, File, Inputs, NodePlan, RolePlan
from bramble.render import render
from bramble.roles.watchdog.settings import Settings
from bramble.sanitize import number
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step, remove_files, write_files
from bramble.system import parse

DROP_IN = "/etc/systemd/system.conf.d/99-bramble-watchdog.conf"
DEVICE = "/sys/class/watchdog/watchdog0"
STATE, TIMEOUT, IDENTITY = (f"{DEVICE}/{name}" for name in ("state", "timeout", "identity"))
SHOW = "systemctl show -p RuntimeWatchdogUSec -p RebootWatchdogUSec"


@dataclass(frozen=True, kw_only=True)
class WatchdogPlan(RolePlan):
    """The two times; 0 is a watchdog that is off."""

    runtime_s: int
    reboot_s: int


@dataclass(frozen=True)
class Device:
    """The first watchdog device, as sysfs tells it."""

    state: str
    timeout_s: int
    identity: str


def facts_needed(settings: Settings, inputs: Inputs) -> FactsNeeded:
    """Ask for the drop-in, systemd's own times, the device, and whether it is this node's."""
    return FactsNeeded(
        files=(DROP_IN, STATE, TIMEOUT, IDENTITY), commands=(SHOW, container.COMMAND)
    )


def plan(settings: Settings, board: Board, inputs: Inputs) -> WatchdogPlan:
    """Plan the drop-in, which does not depend on the board."""
    runtime_s = settings.runtime_s if settings.enabled else 0
    reboot_s = settings.reboot_s if settings.enabled else 0
    text = render("watchdog/watchdog.conf.j2", runtime_s=runtime_s, reboot_s=reboot_s)
    return WatchdogPlan(
        files=(File(path=DROP_IN, text=text),), runtime_s=runtime_s, reboot_s=reboot_s
    )


def steps(plan: WatchdogPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Write the drop-in, and have systemd read it where it or the device has other times."""
    written = write_files("Write the watchdog's drop-in", plan.files, snapshot)
    return (written, _arm(plan, snapshot, written))


def revert(plan: WatchdogPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Remove the drop-in, and have systemd take up what other configuration says, or nothing."""
    removed = remove_files("Remove the watchdog's drop-in", (DROP_IN,), snapshot)
    return (removed, _disarm(plan, snapshot, removed))


def _disarm(plan: WatchdogPlan, snapshot: Snapshot, removed: Step) -> Step:
    name, times = "Have systemd forget the watchdog's times", manager_times(snapshot)
    if removed.why:
        why: str | None = "its drop-in goes"
    elif isinstance(times, Unknown):
        why = times.why
    else:
        # A run that was killed in between has removed the file and not told systemd.
        ours = plan.runtime_s > 0 and times == (plan.runtime_s, plan.reboot_s)
        why = f"systemd has {_words(*times)} still" if ours else None
    if why is None:
        return Step(name, None)
    return Step(name, why, "reexec", {"deadline_s": 60})


def _arm(plan: WatchdogPlan, snapshot: Snapshot, written: Step) -> Step:
    """Re-execute systemd, also where only the file differed: an earlier reload may have read it."""
    name = "Arm the watchdog"
    why = not_in_force(plan, snapshot) or not_armed(plan, snapshot)
    why = why or (written.why and "its drop-in is written again")
    if why is None:
        return Step(name, None)
    return Step(name, why, "reexec", {"deadline_s": 60})


def not_in_force(plan: WatchdogPlan, snapshot: Snapshot) -> str | None:
    """Return why systemd does not have the planned times; None when it has them."""
    times = manager_times(snapshot)
    if isinstance(times, Unknown):
        return times.why
    if times == (plan.runtime_s, plan.reboot_s):
        return None
    return f"systemd has {_words(*times)}, not {_words(plan.runtime_s, plan.reboot_s)}"


def not_armed(plan: WatchdogPlan, snapshot: Snapshot) -> str | None:
    """Return why the device is not as planned; None when it is, or when none can be seen."""
    found = device(snapshot)
    if found is None or isinstance(found, Unknown) or as_planned(plan, found):
        return None
    return f"the device is {found.state} with {found.timeout_s} s"


def as_planned(plan: WatchdogPlan, found: Device) -> bool:
    """Tell whether the device is armed with the planned time, or not armed where none is planned."""
    if plan.runtime_s == 0:
        return found.state == "inactive"
    return (found.state, found.timeout_s) == ("active", plan.runtime_s)


def manager_times(snapshot: Snapshot) -> tuple[float, float] | Unknown:
    """Return systemd's runtime and reboot times, in seconds."""
    said = snapshot.command(SHOW)
    if isinstance(said, Unknown):
        return said
    if said is None or said.code:
        return Unknown(said.output.strip() if said else "there is no systemctl")
    try:
        found = parse.properties(said.output)
        return (
            parse.timespan_s(found["RuntimeWatchdogUSec"]),
            parse.timespan_s(found["RebootWatchdogUSec"]),
        )
    except (ValueError, KeyError) as error:
        return Unknown(f"systemctl show did not tell the watchdog's times: {error}")


def device(snapshot: Snapshot) -> Device | Unknown | None:
    """Return the node's own watchdog device, None where there is none; a container sees its host's."""
    kind = container.container(snapshot)
    if isinstance(kind, Unknown):
        return kind
    state, timeout, identity = (snapshot.file(path) for path in (STATE, TIMEOUT, IDENTITY))
    if kind or state is None:
        return None
    for seen in (state, timeout, identity):
        if isinstance(seen, Unknown):
            return seen
    texts = [_text(seen) for seen in (state, timeout, identity)]
    timeout_s = number(texts[1])
    if timeout_s is None or timeout_s < 0:
        return Unknown(f"{TIMEOUT} holds {texts[1]!r}")
    return Device(texts[0], timeout_s, texts[2])


def _text(seen: FileState | Unknown | None) -> str:
    return (seen.text or "").strip() if isinstance(seen, FileState) else ""


def _words(runtime_s: float, reboot_s: float) -> str:
    return f"{runtime_s:g} s and {reboot_s:g} s at a reboot"
