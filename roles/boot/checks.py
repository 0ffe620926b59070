"""What boot proves: by the running kernel and not by the files that told it."""

from __future__ import annotations

from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.firmware import config_txt
from bramble.firmware.boot_files import CONFIG, CONFIG_STAMP
from bramble.node.container import container
from bramble.owned import WANT, as_written
from bramble.roles.boot import cmdline
from bramble.roles.boot.plan import (
    CONTROLLERS,
    PRESSURE,
    BootPlan,
    bootloader,
    no_boot_folder,
    pending,
    steps,
)
from bramble.snapshot import Boot, Snapshot, Unknown

REBOOT = "Run the deploy again, or where boot.reboot is never: sudo reboot."
DEPLOY = "Run the deploy again."


@check()
def kernel_has_its_parameters(plan: BootPlan, node: Node) -> Finding:
    """The running kernel was given the planned parameters, and none after them undoes one."""
    want, boot = " ".join(plan.kernel.tokens) or "nothing", node.snapshot.boot
    if isinstance(boot, Unknown):
        return unknown(want, boot)
    stop = _inapplicable(want, plan, boot, bool(plan.kernel.tokens))
    if stop:
        return stop
    lacking = cmdline.missing(boot.proc_cmdline, plan.kernel)
    got = f"without {' '.join(lacking)}" if lacking else "all in /proc/cmdline"
    return expect(want, got, not lacking, REBOOT)


@check()
def cmdline_txt_is_one_line(plan: BootPlan, node: Node) -> Finding:
    """cmdline.txt, where os_prefix says that it is, holds one line: the firmware reads no second."""
    want, boot = "one line", node.snapshot.boot
    if isinstance(boot, Unknown):
        return unknown(want, boot)
    stop = _inapplicable(want, plan, boot)
    if stop:
        return stop
    if boot.cmdline_txt is None:
        remedy = f"Mount the boot partition, or restore {boot.cmdline_path} from its .bak."
        return expect(want, f"no {boot.cmdline_path}", False, remedy)
    lines = [line for line in boot.cmdline_txt.split("\n") if line.strip()]
    ok = cmdline.is_one_line(boot.cmdline_txt)
    got = f"{len(lines)} lines" if len(lines) != 1 else "one line" if ok else "blank lines too"
    return expect(want, got, ok, DEPLOY)


@check()
def memory_controller_is_there(plan: BootPlan, node: Node) -> Finding:
    """The kernel offers the cgroup memory controller, so that memory limits of units are enforced."""
    want = "memory among the cgroup controllers"
    stop = _not_told(want, node.snapshot, plan, "cgroup_enable=memory" in plan.kernel.flags)
    if stop:
        return stop
    seen = node.snapshot.file(CONTROLLERS)
    if isinstance(seen, Unknown):
        return unknown(want, seen)
    got = (seen.text or "").strip() if seen else f"no {CONTROLLERS}"
    return expect(want, got or "none", "memory" in got.split() and seen is not None, REBOOT)


@check()
def pressure_is_told(plan: BootPlan, node: Node) -> Finding:
    """The kernel tells in /proc/pressure which resource tasks wait for."""
    want = PRESSURE
    stop = _not_told(want, node.snapshot, plan, "psi" in plan.kernel.values)
    if stop:
        return stop
    seen = node.snapshot.file(PRESSURE)
    if isinstance(seen, Unknown):
        return unknown(want, seen)
    return expect(want, "there" if seen else "absent", seen is not None, REBOOT)


def _not_told(want: str, look: Snapshot, plan: BootPlan, wanted: bool) -> Finding | None:
    """Return the finding where the kernel cannot prove this: none is planned, or it is the host's."""
    if isinstance(look.boot, Unknown):
        return unknown(want, look.boot)
    stop = _inapplicable(want, plan, look.boot, wanted)
    if stop:
        return stop
    kind = container(look)
    if isinstance(kind, Unknown):
        return unknown(want, kind)
    if kind is not None:
        return skip(want, f"a container ({kind}): the kernel is its host's")
    return None


def _inapplicable(want: str, plan: BootPlan, boot: Boot, planned: bool = True) -> Finding | None:
    """Return the finding where there is nothing to prove: another machine, or nothing planned."""
    if plan.strange:
        return _strange(want, plan.strange)
    why = no_boot_folder(plan, boot) or (None if planned else "nothing is planned")
    return skip(want, why) if why else None


def _strange(want: str, why: str) -> Finding:
    return Finding("unknown", want, why, "Use a version of bramble that knows this board.")


@check()
def config_txt_has_the_planned_values(plan: BootPlan, node: Node) -> Finding:
    """The last word of config.txt on each planned value is the planned one, on every board."""
    want, boot = (
        " ".join(f"{n}={v}" for n, v in plan.config.items()) or "nothing",
        node.snapshot.boot,
    )
    if isinstance(boot, Unknown):
        return unknown(want, boot)
    stop = _inapplicable(want, plan, boot, bool(plan.config))
    if stop:
        return stop
    text, included = boot.config_txt or "", boot.included
    found = {name: config_txt.last_word(text, name, included) for name in plan.config}
    ok = found == dict(plan.config)
    got = " ".join(_holding(name, value) for name, value in found.items())
    if boot.config_txt is None:
        return expect(want, f"no {CONFIG}", False, "Mount the boot partition; deploy again.")
    return expect(want, got, ok, DEPLOY)


def _holding(name: str, value: str | None) -> str:
    """Describe a name's values; an overlay without parameters has an empty one."""
    if value is None:
        return f"{name}: nothing that holds on every board"
    return f"{name}={value}" if value else name


@check(severity="warn")
def bootloader_is_current(plan: BootPlan, node: Node) -> Finding:
    """rpi-eeprom-update itself calls the bootloader up to date; its exit code says too little."""
    want, boot = "up to date", node.snapshot.boot
    if plan.strange:
        return _strange(want, plan.strange)
    if plan.elsewhere or not plan.has_eeprom:
        return skip(want, plan.elsewhere or "this board takes no update by itself")
    found = boot if isinstance(boot, Unknown) else bootloader(node.snapshot)
    if isinstance(found, Unknown):
        return unknown(want, found)
    if found.state == "not_applicable":
        return skip(want, found.said)
    if found.state == "unknown":
        remedy = "Run `sudo rpi-eeprom-update` on the node, and look at what it says."
        return Finding("unknown", want, found.said, remedy)
    if found.state == "pending_reboot":
        return expect(want, found.said, False, REBOOT)
    remedy = DEPLOY if plan.eeprom_update else "Set boot.eeprom.update: true, and deploy again."
    return expect(want, found.said, found.state == "up_to_date", remedy)


@check(severity="warn")
def no_reboot_is_pending(plan: BootPlan, node: Node) -> Finding:
    """Nothing that was changed on this node waits for a reboot."""
    want, look = "nothing waits", node.snapshot
    if isinstance(look.boot, Unknown):
        return unknown(want, look.boot)
    stop = _inapplicable(want, plan, look.boot)
    if stop:
        return stop
    stamp = look.file(CONFIG_STAMP)
    if isinstance(stamp, Unknown):
        return unknown(want, stamp)
    waiting = pending(plan, node.plan, look)
    return expect(want, "; ".join(waiting) or want, not waiting, REBOOT)


@check()
def lines_are_as_written(plan: BootPlan, node: Node) -> Finding:
    """cmdline.txt and config.txt have the planned tokens and lines, so that the next boot has them."""
    look = node.snapshot
    if isinstance(look.boot, Unknown):
        return unknown(WANT, look.boot)
    stop = _inapplicable(WANT, plan, look.boot)
    if stop:
        return stop
    return as_written(plan, steps(plan, node.plan, look), look, look.boot)
