"""What memory wants: zram as swap, a swap file on the SSD behind it, and values of the kernel's."""

from __future__ import annotations

from collections.abc import Mapping

from bramble.board import Board
from bramble.firmware.boot_files import AtBoot
from bramble.node import container
from bramble.node.ssd import open_to_others
from bramble.plan import FactsNeeded, File, Inputs, NodePlan
from bramble.render import render
from bramble.roles.memory import rpi_swap, seen, zram_state
from bramble.roles.memory.settings import Settings
from bramble.roles.memory.wanted import (
    KERNEL_DEFAULTS,
    MIB,
    PACKAGE,
    SETUP_UNIT,
    SYSCTL_CONF,
    ZRAM,
    ZRAM_CONF,
    ZRAM_UNIT,
    MemoryPlan,
    SwapFile,
    note,
    unfinished,
    unit_file,
    unit_of,
)
from bramble.roles.storage.outputs import StorageOutputs
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step, remove_files, systemd, write_files
from bramble.system.debian import RELEASES

SEE = "See what zram the kernel has"
WRITE = "Write memory's files"
RETIRE = "Retire other owners of swap"
VALUES = "Set the kernel's values"
USE_ZRAM = "Use zram as swap"
USE_FILE = "Use a swap file on the SSD"


def facts_needed(settings: Settings, inputs: Inputs) -> FactsNeeded:
    """Ask for swap and its possible owners, the swap file's signature, and the kernel's values."""
    path = settings.swap_file.path
    return FactsNeeded(
        files=(
            *(ZRAM_CONF, SYSCTL_CONF, rpi_swap.CONF, unit_file(path), path, unfinished(path)),
            *(seen.DISKSIZES, seen.ALGORITHMS, seen.BACKINGS),
            *(seen.DPHYS_CONF, seen.DPHYS_DEFAULT, seen.LOG2RAM_CONF),
            *(note(name) for name in seen.OWNERS),
            *(seen.proc_sys(name) for name in KERNEL_DEFAULTS),
        ),
        units=(*seen.OWNERS, unit_of(path), SETUP_UNIT),
        packages=(PACKAGE, rpi_swap.PACKAGE),
        commands=(
            *(seen.signature_command(path, size) for size in seen.PAGE_SIZES),
            container.COMMAND,
        ),
    )


def plan(settings: Settings, board: Board, inputs: Inputs) -> MemoryPlan:
    """Plan from the settings; the size of zram depends on the memory when it is made."""
    storage = inputs.find(StorageOutputs)
    zram, wanted, path = settings.zram, settings.swap_file, settings.swap_file.path
    swap_file = SwapFile(
        path=path,
        unit=unit_of(path),
        mount=storage.ssd if storage else None,
        size_mib=wanted.size_mib,
        priority=wanted.priority,
        required=wanted.on_ssd == "required",
    )
    values = {
        name: str(value)
        for name, value in {
            "vm.swappiness": settings.kernel.swappiness,
            "vm.page-cluster": settings.kernel.page_cluster,
            "vm.watermark_boost_factor": settings.kernel.watermark_boost_factor,
            "vm.watermark_scale_factor": settings.kernel.watermark_scale_factor,
        }.items()
        if value is not None
    }
    never = wanted.on_ssd == "never"
    algorithm = zram.algorithm or RELEASES[board.codename].zram_algorithm
    return MemoryPlan(
        outputs=AtBoot(),
        packages=(PACKAGE,),
        files=_files(settings, algorithm, values, None if never else swap_file),
        zram_percent=zram.percent,
        rpi_swap=settings.rpi_swap,
        algorithm=algorithm,
        priority=zram.priority,
        swap_file=None if never else swap_file,
        values=values,
        path=path,
    )


def _files(
    settings: Settings, algorithm: str, values: Mapping[str, str], swap_file: SwapFile | None
) -> tuple[File, ...]:
    zram = settings.zram.model_dump() | {"algorithm": algorithm}
    texts = {
        ZRAM_CONF: render("memory/zram-generator.conf.j2", **zram),
        SYSCTL_CONF: render("memory/sysctl.conf.j2", values=values),
    }
    if swap_file and swap_file.mount:
        texts[unit_file(swap_file.path)] = render(
            "memory/swapfile.swap.j2", path=swap_file.path, priority=swap_file.priority
        )
    # A container has none, and a node without its SSD no swap file.
    return tuple(File(path=path, text=text, everywhere=False) for path, text in texts.items())


def in_container(snapshot: Snapshot) -> bool:
    """Tell whether swap and the kernel's values belong to a container's host."""
    return isinstance(container.container(snapshot), str)


def steps(plan: MemoryPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Check that zram is available, write the files, retire other owners, then activate each."""
    if in_container(snapshot):
        names = (SEE, WRITE, RETIRE, VALUES, USE_ZRAM, USE_FILE)
        return tuple(Step(name, None) for name in names)
    written = _write(plan, snapshot)
    return (
        _see(plan, snapshot, written),
        written,
        _retire(plan, snapshot),
        _set_values(plan, snapshot),
        _use_zram(plan, snapshot, written),
        _use_file(plan, snapshot, written),
    )


def _see(plan: MemoryPlan, snapshot: Snapshot, written: Step) -> Step:
    """Let the program check zram before anything is written that takes effect at the next boot."""
    new = f"{ZRAM_CONF} is to be written" if ZRAM_CONF in written.writes else None
    why = conflict(plan, snapshot) or new
    if not why:
        return Step(SEE, None)
    return Step(SEE, why, "zram", _zram_query(plan, make=False))


def _zram_query(plan: MemoryPlan, *, make: bool) -> dict[str, object]:
    ours = [*units_of(plan), *seen.OWNERS, seen.LOG2RAM, *rpi_swap.UNITS]
    own = plan.rpi_swap == "leave"
    gone = {"ends": [], "stale": []} if own else rpi_swap.GONE
    return {"algorithm": plan.algorithm, "make": make, "ours": ours, **gone}


def units_of(plan: MemoryPlan) -> tuple[str, ...]:
    """Return the units that make our swap."""
    return (ZRAM_UNIT, SETUP_UNIT, unit_of(plan.path))


def _write(plan: MemoryPlan, snapshot: Snapshot) -> Step:
    """Write all files; the swap unit only where the SSD is mounted, or required."""
    unit, wanted = unit_file(plan.path), plan.swap_file
    placed = wanted is not None and no_place(wanted, snapshot) is None and wanted.is_on_ssd
    # What refuses the swap file does so before its unit is there.
    placed = placed and not seen.is_in_the_way(snapshot, plan.path)
    files = [file for file in plan.files if file.path != unit or placed]
    own = [rpi_swap.conf(plan.rpi_swap)] if rpi_swap.is_there(snapshot) else []
    return write_files(WRITE, [*files, *own], snapshot)


def _retire(plan: MemoryPlan, snapshot: Snapshot) -> Step:
    units = seen.owners(snapshot)
    if isinstance(units, Unknown) or not units:
        return Step(RETIRE, None)
    file = seen.dphys_file(snapshot) if seen.DPHYS in units else None
    query = {
        "units": list(units),
        "files": [file] if file and file != plan.path else [],
        "notes": [note(unit) for unit in units],
    }
    # zram-tools takes any zram down with it, dphys-swapfile the file that it was told.
    return Step(RETIRE, ", ".join(units), "drop_swap", query, timeout_s=300, look_again=True)


def _set_values(plan: MemoryPlan, snapshot: Snapshot) -> Step:
    found = seen.values(snapshot, plan.values)
    if isinstance(found, Unknown):
        why: str | None = found.why
    else:
        why = ", ".join(f"{n} is {found[n]}" for n, v in plan.values.items() if found[n] != v)
    if not why:
        return Step(VALUES, None)
    return Step(VALUES, why, "kernel_values", {"values": dict(plan.values), "remove": None})


def _use_zram(plan: MemoryPlan, snapshot: Snapshot, written: Step) -> Step:
    why = zram_state.wrong(plan, snapshot) or seen.makes_too_much(plan, snapshot)
    if rpi_swap.CONF in written.writes:
        why = why or "rpi-swap is told otherwise"
    if why is None:
        return Step(USE_ZRAM, None)
    return Step(USE_ZRAM, why, "zram", _zram_query(plan, make=True), timeout_s=300)


def conflict(plan: MemoryPlan, snapshot: Snapshot) -> str | None:
    """Return who else would own zram; None for nobody."""
    makers = seen.others(snapshot, units_of(plan))
    for maker in () if isinstance(makers, Unknown) else makers:
        if "zram" in maker.line:
            return f"{maker.name} makes zram ({maker.path})"
    if seen.log2ram_has_zram(snapshot):
        return "log2ram has a zram device (ZL2R=true)"
    return None


def _use_file(plan: MemoryPlan, snapshot: Snapshot, written: Step) -> Step:
    wanted = plan.swap_file
    if wanted is None:
        return Step(USE_FILE, None)
    absent = no_place(wanted, snapshot)
    if absent and not wanted.required:
        return Step(USE_FILE, None)
    changed = "its unit is written again" if unit_file(wanted.path) in written.writes else None
    why = absent or not_used(wanted, snapshot) or changed
    if not why:
        return Step(USE_FILE, None)
    query = {
        "path": wanted.path,
        "unit": wanted.unit,
        "mount": wanted.mount,
        "required": wanted.required,
        "size_bytes": wanted.size_mib * MIB,
        "priority": wanted.priority,
    }
    return Step(USE_FILE, why, "swap_file", query, timeout_s=600)


def no_place(wanted: SwapFile, snapshot: Snapshot) -> str | None:
    """Return why the node has no SSD for the file; None when it has one, or did not say.

    Anyone who may write its folder could replace the file that the kernel swaps to.
    """
    if wanted.mount is None:
        return "storage.ssd.device is off"
    found = seen.mounted(snapshot, wanted.mount)
    if found is None:
        return f"nothing is mounted at {wanted.mount}"
    root = snapshot.file(wanted.mount)
    return open_to_others(wanted.mount, root) if isinstance(root, FileState) else None


def not_used(wanted: SwapFile, snapshot: Snapshot) -> str | None:
    """Return why the swap file is not in use, now and at the next boot; None when it is."""
    swap, unit = seen.swap_at(snapshot, wanted.path), snapshot.unit(wanted.unit)
    if isinstance(swap, Unknown):
        return swap.why
    if isinstance(unit, Unknown):
        return unit.why
    if swap is None:
        return f"{wanted.path} is no swap in use"
    if not whole(wanted, swap.size_kib):
        return f"{wanted.path} has {round(swap.size_kib / 1024)} MiB, not {wanted.size_mib}"
    if swap.priority != wanted.priority:
        return f"{wanted.path} has priority {swap.priority}, not {wanted.priority}"
    if unit.enabled != "enabled" or unit.needs_reload:
        return f"{wanted.unit} is {unit.enabled or 'not there'}, or older in systemd's memory"
    return None


def whole(wanted: SwapFile, size_kib: int) -> bool:
    """Tell whether a swap has the file's planned size, less its header's page."""
    return wanted.size_mib * 1024 - 64 <= size_kib < wanted.size_mib * 1024


def revert(plan: MemoryPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Stop the swap that is ours, remove what made it, and restore what was retired for it."""
    units = [name for name in seen.OWNERS if isinstance(snapshot.file(note(name)), FileState)]
    ours = remove_files(
        "Remove memory's files",
        (ZRAM_CONF, rpi_swap.CONF, unit_file(plan.path), unfinished(plan.path)),
        snapshot,
    )
    reasons = (
        *(["systemd knows units that are gone"] if ours.why else []),
        *(f"{name} was retired by us" for name in units),
    )
    return (
        _end_file(plan, snapshot),
        _end_zram(snapshot),
        _remove_generator(snapshot),
        _take_values_back(plan, snapshot),
        ours,
        systemd(
            "Bring back what was retired",
            "; ".join(reasons) or None,
            reload=True,
            enable=[name for name in units if _there(name, snapshot)],
            start=[
                *(name for name in units if _there(name, snapshot)),
                *([ZRAM_UNIT] if ours.why and rpi_swap.is_there(snapshot) else []),
            ],
        ),
        remove_files("Forget what was retired", [note(name) for name in seen.OWNERS], snapshot),
    )


def _there(unit: str, snapshot: Snapshot) -> bool:
    state = snapshot.unit(unit)
    return isinstance(state, Unknown) or state.load != "not-found"


def _end_file(plan: MemoryPlan, snapshot: Snapshot) -> Step:
    """Remove the swap file where its unit is ours; one that others made stays."""
    name = "Take the swap file out of use"
    if not isinstance(snapshot.file(unit_file(plan.path)), FileState):
        return Step(name, None)
    query = {"units": [unit_of(plan.path)], "files": [plan.path], "notes": []}
    return Step(name, f"{plan.path} is ours", "drop_swap", query, timeout_s=300)


def _end_zram(snapshot: Snapshot) -> Step:
    swap = seen.swap_at(snapshot, ZRAM)
    made = seen.is_made_by(snapshot, SETUP_UNIT)
    used = (
        swap is not None and made is not False and isinstance(snapshot.file(ZRAM_CONF), FileState)
    )
    why = f"{ZRAM} is swap by our configuration" if used else None
    return systemd("Take zram out of use", why, stop=(ZRAM_UNIT, SETUP_UNIT))


def _remove_generator(snapshot: Snapshot) -> Step:
    """Remove zram-generator where it has our configuration, without which it makes its own device.

    rpi-swap depends on it, and keeps it from that.
    """
    name = "Remove zram-generator"
    packages = {} if isinstance(snapshot.packages, Unknown) else snapshot.packages
    own = packages.get(PACKAGE) and not rpi_swap.is_there(snapshot)
    if not own or not isinstance(snapshot.file(ZRAM_CONF), FileState):
        return Step(name, None)
    # Not detached: run as a unit, it was followed by zram in use again, on an emulated machine.
    return Step(name, PACKAGE, "apt_remove", {"packages": [PACKAGE]}, timeout_s=3600)


def _take_values_back(plan: MemoryPlan, snapshot: Snapshot) -> Step:
    name = "Take the kernel's values back"
    if not isinstance(snapshot.file(SYSCTL_CONF), FileState):
        return Step(name, None)
    defaults = {key: KERNEL_DEFAULTS[key] for key in plan.values}
    return Step(name, SYSCTL_CONF, "kernel_values", {"values": defaults, "remove": SYSCTL_CONF})
