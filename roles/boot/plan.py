"""What boot wants: tokens for the kernel, values for the firmware, a bootloader that is current."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bramble.board import OTHER, Board
from bramble.firmware import config_txt
from bramble.firmware.boot_files import CONFIG, CONFIG_STAMP, FIRMWARE, AtBoot, edit
from bramble.node import container
from bramble.plan import FactsNeeded, Inputs, NodePlan, RolePlan
from bramble.roles.boot import cmdline, eeprom
from bramble.roles.boot.outputs import BootOutputs
from bramble.roles.boot.settings import Settings
from bramble.snapshot import Boot, FileState, Output, Snapshot, Unknown
from bramble.steps import Step

STAGED = f"{FIRMWARE}/pieeprom.upd"
RECOVERY = f"{FIRMWARE}/recovery.bin"
EEPROM_DEFAULTS = "/etc/default/rpi-eeprom-update"
EEPROM_COMMAND = "rpi-eeprom-update"
# In memory, as what was staged in this boot is taken by the next one.
EEPROM_STAMP = "/run/bramble/reboot/eeprom"
CONTROLLERS = "/sys/fs/cgroup/cgroup.controllers"
PRESSURE = "/proc/pressure/memory"

MEMORY_FLAG = {"cgroup_enable=memory": "cgroup_disable=memory"}
# A CM4's bootrom cannot take an update from its eMMC (rpi-eeprom-update says so).
WITH_EEPROM = ("pi4", "pi400", "pi5", "pi500", "cm5")


@dataclass(frozen=True, kw_only=True)
class BootPlan(RolePlan):
    """What is told at boot. `elsewhere` says why there is nothing to tell, None on a Raspberry Pi.

    `strange` says that it is one that nothing is known of: what it should be told is not known either.
    """

    elsewhere: str | None
    strange: str | None
    kernel: cmdline.Desired
    config: Mapping[str, str]
    has_eeprom: bool
    eeprom_update: bool
    eeprom_channel: str
    reboot: Literal["when_needed", "never"]
    reboot_deadline_s: int


def facts_needed(settings: Settings, inputs: Inputs) -> FactsNeeded:
    """Ask for what proves effects, what waits for a reboot, and the bootloader's state."""
    return FactsNeeded(
        files=(
            *(CONTROLLERS, PRESSURE),
            *(STAGED, RECOVERY, EEPROM_DEFAULTS, CONFIG_STAMP, EEPROM_STAMP),
        ),
        commands=(EEPROM_COMMAND, container.COMMAND),
    )


def plan(settings: Settings, board: Board, inputs: Inputs) -> BootPlan:
    """Plan from the settings on a Raspberry Pi; nothing on another machine."""
    if board.kind == OTHER or board.strange:
        return BootPlan(
            outputs=BootOutputs(),
            elsewhere=board.strange
            or f"{board.model}: boot files are edited on a Raspberry Pi 4 or 5 only",
            strange=board.strange,
            kernel=cmdline.Desired(),
            config={},
            has_eeprom=False,
            eeprom_update=False,
            eeprom_channel=settings.eeprom.channel,
            reboot="never",
            reboot_deadline_s=settings.reboot_deadline_s,
        )
    return BootPlan(
        outputs=BootOutputs(),
        elsewhere=None,
        strange=None,
        kernel=cmdline.Desired(
            flags=MEMORY_FLAG if settings.memory_cgroup else {},
            values={"psi": "1"} if settings.psi else {},
        ),
        # What the person sets has precedence over what another role derives.
        config=_wanted_config(inputs) | settings.config,
        has_eeprom=board.kind in WITH_EEPROM,
        eeprom_update=settings.eeprom.update and board.kind in WITH_EEPROM,
        eeprom_channel=settings.eeprom.channel,
        reboot=settings.reboot,
        reboot_deadline_s=settings.reboot_deadline_s,
    )


def _wanted_config(inputs: Inputs) -> dict[str, str]:
    """Return the lines of config.txt that earlier roles want."""
    return {name: value for part in inputs.every(AtBoot) for name, value in part.config.items()}


def no_boot_folder(plan: BootPlan, boot: Boot) -> str | None:
    """Return why this node has no boot files to edit; None when it has."""
    if plan.elsewhere:
        return plan.elsewhere
    if boot.cmdline_txt is None and boot.config_txt is None:
        return f"there is neither {boot.cmdline_path} nor {CONFIG}"
    return None


def steps(plan: BootPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Edit the two files, stage the bootloader's update, then reboot once where any of it needs it."""
    written = (_set_kernel(plan, snapshot), _set_firmware(plan, snapshot), _stage(plan, snapshot))
    return (*written, _reboot(plan, node, snapshot, written))


def revert(plan: BootPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Take out our tokens and our block, and reboot where the running kernel has them still.

    A token is removed whoever wrote it first. The bootloader stays: its update cannot be reverted.
    """
    edits = (_unset_kernel(plan, snapshot), _unset_firmware(plan, snapshot))
    return (*edits, _reboot_without(plan, snapshot, edits))


def _unset_kernel(plan: BootPlan, snapshot: Snapshot) -> Step:
    name, boot = "Take back the kernel's parameters", snapshot.boot
    if isinstance(boot, Unknown):
        return _blind(name, boot, Boot("", None, None).cmdline_path, plan.kernel.tokens)
    if no_boot_folder(plan, boot) or boot.cmdline_txt is None:
        return Step(name, None)
    text = cmdline.without(boot.cmdline_txt, plan.kernel)
    if text == boot.cmdline_txt:
        return Step(name, None)
    why = f"{boot.cmdline_path}: without {' '.join(plan.kernel.tokens)}"
    return edit(name, why, boot.cmdline_path, boot.cmdline_txt, text)


def _unset_firmware(plan: BootPlan, snapshot: Snapshot) -> Step:
    name, boot = "Take back the firmware's options", snapshot.boot
    if isinstance(boot, Unknown):
        return _blind(name, boot, CONFIG, tuple(plan.config))
    if no_boot_folder(plan, boot) or boot.config_txt is None:
        return Step(name, None)
    text = config_txt.edited(boot.config_txt, {}, boot.included)
    if text == boot.config_txt:
        return Step(name, None)
    why = f"{CONFIG}: without the block of boot.config"
    return edit(name, why, CONFIG, boot.config_txt, text, CONFIG_STAMP)


def _reboot_without(plan: BootPlan, snapshot: Snapshot, edits: tuple[Step, ...]) -> Step:
    name, boot = "Reboot", snapshot.boot
    reasons = [step.name.lower() for step in edits if step.why]
    if not isinstance(boot, Unknown) and no_boot_folder(plan, boot) is None:
        given = set(cmdline.tokens(boot.proc_cmdline)) & set(plan.kernel.tokens)
        if given and boot.cmdline_txt is not None:
            reasons.append(f"the kernel runs with {' '.join(sorted(given))}")
    if isinstance(snapshot.file(CONFIG_STAMP), FileState):
        reasons.append("config.txt was changed in this boot")
    if plan.reboot == "never" or not reasons:
        return Step(name, None)
    return _ask_for_reboot(plan, reasons, {"always": True, "when": []})


def _set_kernel(plan: BootPlan, snapshot: Snapshot) -> Step:
    name, boot = "Set the kernel's parameters", snapshot.boot
    if isinstance(boot, Unknown):
        return _blind(name, boot, Boot("", None, None).cmdline_path, plan.kernel.tokens)
    if no_boot_folder(plan, boot) or boot.cmdline_txt is None:
        return Step(name, None, note=plan.strange)
    text = cmdline.edited(boot.cmdline_txt, plan.kernel)
    if text == boot.cmdline_txt:
        return Step(name, None)
    lacking = cmdline.missing(boot.cmdline_txt.split("\n")[0], plan.kernel)
    why = f"{boot.cmdline_path}: {' '.join(lacking) or 'it must be one line'}"
    return edit(name, why, boot.cmdline_path, boot.cmdline_txt, text)


def _set_firmware(plan: BootPlan, snapshot: Snapshot) -> Step:
    name, boot = "Set the firmware's options", snapshot.boot
    if isinstance(boot, Unknown):
        return _blind(name, boot, CONFIG, tuple(plan.config))
    if no_boot_folder(plan, boot) or boot.config_txt is None:
        return Step(name, None, note=plan.strange)
    text = config_txt.edited(boot.config_txt, plan.config, boot.included)
    if text == boot.config_txt:
        return Step(name, None)
    last = {
        name: config_txt.last_word(boot.config_txt, name, boot.included) for name in plan.config
    }
    differing = (f"{n}={value}" for n, value in plan.config.items() if last[n] != value)
    why = f"{CONFIG}: {' '.join(differing) or 'the block of boot.config'}"
    return edit(name, why, CONFIG, boot.config_txt, text, CONFIG_STAMP)


def _blind(name: str, boot: Unknown, path: str, wanted: tuple[str, ...]) -> Step:
    """Return a step for a file that could not be read, which the program refuses."""
    return edit(name, boot.why, path, "", "") if wanted else Step(name, None)


def bootloader(snapshot: Snapshot) -> eeprom.Eeprom | Unknown:
    """Return the bootloader's state; Unknown when the node did not show it."""
    said = snapshot.command(EEPROM_COMMAND)
    if isinstance(said, Unknown):
        return said
    there = {}
    for path in (STAGED, RECOVERY, EEPROM_STAMP):
        seen = snapshot.file(path)
        if isinstance(seen, Unknown):
            return seen
        there[path] = seen is not None
    if there[EEPROM_STAMP] and isinstance(said, Output):
        return eeprom.Eeprom("pending_reboot", "an update was made in this boot")
    return eeprom.read(said, staged=there[STAGED], recovery=there[RECOVERY])


def _stage(plan: BootPlan, snapshot: Snapshot) -> Step:
    name = "Stage the bootloader's update"
    found = bootloader(snapshot)
    if not plan.eeprom_update or isinstance(found, Unknown):
        return Step(name, None)
    channel = _channel(snapshot)
    if found.state == "update_available":
        why = found.said
    elif found.state == "up_to_date" and channel != plan.eeprom_channel:
        why = f"its channel is {channel}, not {plan.eeprom_channel}"
    else:
        return Step(name, None)
    query = {
        "defaults": EEPROM_DEFAULTS,
        "channel": plan.eeprom_channel,
        "stamp": EEPROM_STAMP,
        "staged": STAGED,
    }
    return Step(name, why, "stage_eeprom", query, timeout_s=300)


def _channel(snapshot: Snapshot) -> str:
    seen = snapshot.file(EEPROM_DEFAULTS)
    return eeprom.channel(seen.text if isinstance(seen, FileState) else None)


def _reboot(plan: BootPlan, node: NodePlan, snapshot: Snapshot, written: tuple[Step, ...]) -> Step:
    name = "Reboot"
    waiting = pending(plan, node, snapshot)
    # Of cmdline.txt only what the running kernel lacks counts, which is among what waits.
    reasons = (*waiting, *(step.name.lower() for step in written[1:] if step.why))
    if plan.reboot == "never" or not reasons:
        return Step(name, None)
    query = {
        # What the steps before this one left is seen by the program: a channel that has no newer
        # release is nothing to reboot for.
        "always": bool(waiting),
        "when": [CONFIG_STAMP, EEPROM_STAMP],
    }
    return _ask_for_reboot(plan, reasons, query)


def _ask_for_reboot(plan: BootPlan, reasons: Sequence[str], query: Mapping[str, object]) -> Step:
    return Step(
        "Reboot",
        "; ".join(reasons),
        "reboot",
        query,
        timeout_s=60,
        reboot_deadline_s=plan.reboot_deadline_s,
    )


def pending(plan: BootPlan, node: NodePlan, snapshot: Snapshot) -> tuple[str, ...]:
    """Return what waits for a reboot on this node, by effects and not by a file's time."""
    boot = snapshot.boot
    found = []
    if not isinstance(boot, Unknown) and no_boot_folder(plan, boot) is None:
        lacking = cmdline.missing(boot.proc_cmdline, plan.kernel)
        if boot.cmdline_txt is not None and lacking:
            found.append(f"the kernel runs without {' '.join(lacking)}")
    if isinstance(snapshot.file(CONFIG_STAMP), FileState):
        found.append("config.txt was changed in this boot")
    seen = bootloader(snapshot)
    if plan.eeprom_update and isinstance(seen, eeprom.Eeprom) and seen.state == "pending_reboot":
        found.append("an update of the bootloader is staged")
    for role in node.roles.values():
        found += role.waits_for_reboot(snapshot)
    return tuple(found)
