"""What memory proves: by /proc/swaps, /sys and /proc/sys, and not by the files that asked for it."""

from __future__ import annotations

from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.node import container
from bramble.owned import WANT, as_written
from bramble.roles.memory import plan as steps
from bramble.roles.memory import seen, zram_state
from bramble.roles.memory.wanted import SETUP_UNIT, ZRAM, MemoryPlan, SwapFile
from bramble.snapshot import Snapshot, Unknown

DEPLOY = "Deploy again; if it stays, see `journalctl -b -u {}`."
ZRAM_REMEDY = DEPLOY.format(SETUP_UNIT)
TWO_GB_KIB = 2 * 1000**3 // 1024


@check()
def zram_is_swap(plan: MemoryPlan, node: Node) -> Finding:
    """zram is in use as swap, with the planned size and priority."""
    wanted = zram_state.wanted_kib(plan, node.snapshot)
    size = f"{plan.zram_percent} %" if isinstance(wanted, Unknown) else f"{wanted // 1024} MiB"
    want = f"{size}, priority {plan.priority}"
    stop, found = _elsewhere(want, node.snapshot), seen.swap_at(node.snapshot, ZRAM)
    if stop:
        return stop
    if isinstance(wanted, Unknown):
        return unknown(want, wanted)
    if isinstance(found, Unknown):
        return unknown(want, found)
    if found is None:
        return expect(want, f"{ZRAM} is no swap", False, ZRAM_REMEDY)
    ok = zram_state.is_right_size(plan, wanted, found.size_kib) and found.priority == plan.priority
    got = f"{round(found.size_kib / 1024)} MiB, priority {found.priority}"
    return expect(want, got, ok, ZRAM_REMEDY)


@check()
def zram_has_its_algorithm(plan: MemoryPlan, node: Node) -> Finding:
    """The kernel compresses what is in zram by the planned algorithm."""
    want = plan.algorithm
    stop, found = _elsewhere(want, node.snapshot), seen.zrams(node.snapshot)
    if stop:
        return stop
    if isinstance(found, Unknown):
        return unknown(want, found)
    device = found.get("zram0")
    got = device.algorithm if device else f"{ZRAM} has no size"
    return expect(want, got, got == want, ZRAM_REMEDY)


@check()
def zram_comes_first(plan: MemoryPlan, node: Node) -> Finding:
    """No other swap is used before zram, or beside it with the same priority."""
    want, swaps = f"{ZRAM} alone has the highest priority", node.snapshot.swaps
    stop = _elsewhere(want, node.snapshot)
    if stop:
        return stop
    if isinstance(swaps, Unknown):
        return unknown(want, swaps)
    others = [swap for swap in swaps if swap.path != ZRAM]
    before = [f"{swap.path} ({swap.priority})" for swap in others if swap.priority >= plan.priority]
    there = len(others) < len(swaps)
    got = ", ".join(before) or (want if there else f"{ZRAM} is no swap")
    remedy = "Give that swap a lower priority (pri= in fstab), or take it away; then deploy again."
    return expect(want, got, there and not before, remedy)


@check()
def zram_is_alone(plan: MemoryPlan, node: Node) -> Finding:
    """There is one zram device, and it writes nothing back to a disk, unless rpi-swap's is left so."""
    left = plan.rpi_swap == "leave"
    want = "zram0 alone" if left else "zram0 alone, without writeback"
    stop, found = _elsewhere(want, node.snapshot), seen.zrams(node.snapshot)
    if stop:
        return stop
    if isinstance(found, Unknown):
        return unknown(want, found)
    odd = [name for name in found if name != "zram0"]
    backed = [
        f"{zram.name} writes back to {zram.backing}" for zram in found.values() if zram.backing
    ]
    odd += [] if left else backed
    got = ", ".join(odd or backed) or (want if found else "no zram device")
    remedy = (
        "See `zramctl`, and who makes the device: log2ram's ZL2R=true, another section of "
        "zram-generator's configuration, a drop-in of rpi-swap's after ours. Take it away there, and "
        "reboot."
    )
    return expect(want, got, not odd and bool(found), remedy)


@check()
def swap_has_no_other_owner(plan: MemoryPlan, node: Node) -> Finding:
    """Nothing else that a boot runs would make zram or swap: no unit, script, cron line or udev rule."""
    want, look = "none", node.snapshot
    stop, retired = _elsewhere(want, look), seen.owners(look)
    others, made = seen.others(look, steps.units_of(plan)), seen.is_made_by(look, SETUP_UNIT)
    if stop:
        return stop
    if isinstance(retired, Unknown):
        return unknown(want, retired)
    if isinstance(look.packages, Unknown):
        return unknown(want, look.packages)
    if isinstance(others, Unknown):
        return unknown(want, others)
    if isinstance(made, Unknown):
        return unknown(want, made)
    too_much = seen.makes_too_much(plan, look)
    left = [*retired, *([too_much] if too_much else [])]
    left += [f"{maker.name} ({maker.path}: {maker.line})" for maker in others]
    if not made and seen.swap_at(look, ZRAM) is not None:
        left.append(f"{ZRAM}, which zram-generator did not make")
    remedy = (
        "Deploy again, which retires dphys-swapfile and zram-tools and says to rpi-swap what it is to "
        "make; take anything else away there (`sudo systemctl disable --now ...`; a drop-in of "
        "/etc/rpi/swap.conf.d after ours), and reboot."
    )
    paths = (ZRAM, plan.swap_file.path if plan.swap_file else "")
    kept = ", ".join(seen.left_alone(look, paths))
    got = ", ".join(left) or (f"none; left alone: {kept}" if kept else want)
    return expect(want, got, not left, remedy)


@check()
def swap_file_is_in_use(plan: MemoryPlan, node: Node) -> Finding:
    """The swap file is in use with the planned size and priority, on the SSD, and so after a boot."""
    wanted, look = plan.swap_file, node.snapshot
    want = f"{wanted.size_mib} MiB, priority {wanted.priority}" if wanted else "a swap file"
    stop = _no_file(want, wanted, look)
    if stop:
        return stop
    assert wanted is not None
    found = seen.swap_at(look, wanted.path)
    if isinstance(found, Unknown):
        return unknown(want, found)
    remedy = DEPLOY.format(f"'{wanted.unit}'")
    why = steps.no_place(wanted, look)
    if why or found is None:
        return expect(want, why or f"{wanted.path} is no swap in use", False, remedy)
    ok = (
        steps.whole(wanted, found.size_kib)
        and found.priority == wanted.priority
        and wanted.is_on_ssd
    )
    got = f"{round(found.size_kib / 1024)} MiB, priority {found.priority}"
    unit = look.unit(wanted.unit)
    if ok and isinstance(unit, Unknown):
        return unknown(want, unit)
    if ok and (problem := steps.not_used(wanted, look)):
        ok, got = False, f"{got}; {problem}"
    return expect(want, got if wanted.is_on_ssd else f"{wanted.path} is not on the SSD", ok, remedy)


@check(severity="warn")
def ssd_has_two_gb_of_swap(plan: MemoryPlan, node: Node) -> Finding:
    """Swap on the SSD is 2 GB or more; zram and the file that a zram writes back to do not count."""
    want, look, wanted = "at least 2.0 GB on the SSD", node.snapshot, plan.swap_file
    stop = _no_file(want, wanted, look)
    if stop:
        return stop
    assert wanted is not None
    if isinstance(look.swaps, Unknown):
        return unknown(want, look.swaps)
    # A loop device, which is what a writeback file becomes, has no path below the mount point.
    on_ssd = [swap for swap in look.swaps if swap.path.startswith(f"{wanted.mount}/")]
    # Of a file, the page with its header is no room for what is swapped out.
    kib = sum(swap.size_kib for swap in on_ssd)
    remedy = "Set memory.swap_file.size_mib to 2048 or more, and deploy again."
    return expect(want, f"{kib * 1024 / 1000**3:.1f} GB", kib >= TWO_GB_KIB, remedy)


@check()
def swap_file_fits_the_page_size(plan: MemoryPlan, node: Node) -> Finding:
    """The swap file was made for this kernel's page size: one for another cannot be used."""
    wanted, look, system = plan.swap_file, node.snapshot, node.snapshot.system
    # Not the board that was planned for: a reboot may have brought a kernel with another page size.
    want = "this kernel's page size" if isinstance(system, Unknown) else f"{system.page_size} bytes"
    stop = _no_file(want, wanted, look)
    if stop:
        return stop
    if isinstance(system, Unknown):
        return unknown(want, system)
    assert wanted is not None
    found = seen.made_for(look, wanted.path)
    if isinstance(found, Unknown):
        return unknown(want, found)
    got = f"{found} bytes" if found else f"{wanted.path} is no swap file"
    remedy = "Deploy again: it is made again, as it holds no data."
    return expect(want, got, found == system.page_size, remedy)


@check()
def kernel_values_are_in_force(plan: MemoryPlan, node: Node) -> Finding:
    """The kernel swaps as planned, whatever other files in sysctl.d say."""
    want = _words(plan.values)
    stop, found = _elsewhere(want, node.snapshot), seen.values(node.snapshot, plan.values)
    if stop:
        return stop
    if isinstance(found, Unknown):
        return unknown(want, found)
    remedy = "Deploy again; `/lib/systemd/systemd-sysctl --cat-config` shows what else sets it."
    return expect(want, _words(found), found == dict(plan.values), remedy)


@check()
def files_are_as_written(plan: MemoryPlan, node: Node) -> Finding:
    """Each file and line that this role writes stands as it was written: text, mode and owner."""
    look = node.snapshot
    stop = _elsewhere(WANT, look)
    if stop:
        return stop
    return as_written(plan, steps.steps(plan, node.plan, look), look, look.mounts)


def _words(values: object) -> str:
    assert isinstance(values, dict)
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _elsewhere(want: str, look: Snapshot) -> Finding | None:
    """Return the finding where swap and the kernel are not the node's own, or that is not known."""
    kind = container.container(look)
    if isinstance(kind, Unknown):
        return unknown(want, kind)
    return skip(want, f"a container ({kind}): swap and kernel are its host's") if kind else None


def _no_file(want: str, wanted: SwapFile | None, look: Snapshot) -> Finding | None:
    """Return the finding where no swap file is wanted, or where the node has no place for one."""
    stop = _elsewhere(want, look)
    if stop or wanted is None:
        return stop or skip(want, "memory.swap_file.on_ssd is never")
    if isinstance(look.mounts, Unknown):
        return unknown(want, look.mounts)
    why = steps.no_place(wanted, look)
    return skip(want, why) if why and not wanted.required else None
