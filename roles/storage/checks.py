"""What storage proves of the SSD and of fstab: by what is mounted, and not by what is written down."""

from __future__ import annotations

from fnmatch import fnmatchcase

from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.node import container
from bramble.owned import as_written
from bramble.roles.storage import kernel_log, log2ram, naming, usb
from bramble.roles.storage.disks import Choice, fstab_text, must
from bramble.roles.storage.log_checks import (
    journal_is_where_planned,
    journal_keeps_to_its_cap,
    logs_are_in_memory,
    logs_have_room,
    logs_take_no_zram,
    repository_gives_log2ram_only,
)
from bramble.roles.storage.plan import (
    EXT4_ERRORS,
    VERIFY,
    StoragePlan,
    chosen,
    mounted,
    steps,
)
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.system import fstab
from bramble.system.parse import Disk, Mount

# Found by `checks_of` in this module, like those below.
ABOUT_LOGS = (
    journal_is_where_planned,
    journal_keeps_to_its_cap,
    logs_are_in_memory,
    logs_have_room,
    logs_take_no_zram,
    repository_gives_log2ram_only,
)
DEPLOY = "Run the deploy again."


@check()
def ssd_is_there(plan: StoragePlan, node: Node) -> Finding:
    """The disk that is the SSD is there, found by a name that stays with it, and may be used."""
    want, choice = "a disk that can be the SSD", chosen(plan.ssd, node.snapshot)
    if isinstance(choice, Unknown):
        return unknown(want, choice)
    if choice.state in ("ready", "format"):
        return expect(want, f"{choice.name}: {choice.why}", choice.state == "ready", DEPLOY)
    text = fstab_text(node.snapshot)
    expected = isinstance(text, str) and fstab.at(text, plan.ssd.mount) is not None
    if choice.state == "refused":
        remedy = "Do that, or set storage.ssd.device to off."
        return Finding("fail" if must(plan.ssd) else "warn", want, choice.why, remedy)
    if choice.state == "absent" and (must(plan.ssd) or expected):
        remedy = "Plug it in; `bramble revert storage` forgets a disk that will not come back."
        return expect(want, choice.why, False, remedy)
    return skip(want, choice.why)


@check()
def ssd_is_mounted_by_its_uuid(plan: StoragePlan, node: Node) -> Finding:
    """The SSD's file system is mounted at its folder, and fstab names it by its UUID."""
    want = f"at {plan.ssd.mount}, by its UUID"
    volume = _volume(plan, node.snapshot, want)
    if isinstance(volume, Finding):
        return volume
    text = fstab_text(node.snapshot)
    entry = fstab.at(text, plan.ssd.mount) if isinstance(text, str) else None
    source = entry.source if entry else None
    places = ", ".join(volume.mountpoints)
    ok = plan.ssd.mount in volume.mountpoints and source == f"UUID={volume.uuid}"
    mounted = f"mounted at {places}" if places else "not mounted"
    line = f"{fstab.PATH} says {source}" if source else f"{fstab.PATH} has no line for it"
    return expect(want, f"{mounted}; {line}", ok, DEPLOY)


@check()
def ssd_options_are_in_force(plan: StoragePlan, node: Node) -> Finding:
    """The SSD is mounted without access times, boots continue without it, and systemd knows its line."""
    want = "noatime; local-fs.target does not require it"
    seen = _mount(plan, node.snapshot, want)
    if isinstance(seen, Finding):
        return seen
    unit = node.snapshot.unit(fstab.unit_of(plan.ssd.mount))
    if isinstance(unit, Unknown):
        return unknown(want, unit)
    if "RequiredBy" not in unit.properties:
        return unknown(want, Unknown("systemd did not say what requires it"))
    required = "local-fs.target" in unit.properties["RequiredBy"].split()
    got = f"{','.join(seen.options)}; {'required' if required else 'not required'}"
    if unit.needs_reload:
        got += f"; systemd has read an older {fstab.PATH}"
    ok = "noatime" in seen.options and not required and not unit.needs_reload
    return expect(want, got, ok, DEPLOY)


@check()
def ssd_is_writable(plan: StoragePlan, node: Node) -> Finding:
    """The SSD is mounted for writing, and no error is noted in its file system."""
    want, look = "rw, no errors noted", node.snapshot
    seen, volume = _mount(plan, look, want), _volume(plan, look, want)
    if isinstance(seen, Finding):
        return seen
    assert isinstance(volume, Disk)
    count = look.file(f"/sys/fs/ext4/{volume.path.rpartition('/')[2]}/errors_count")
    if isinstance(look.files, Unknown):
        return unknown(want, look.files)
    found = [] if "rw" in seen.options else ["it is mounted read-only"]
    kind = container.container(look)
    if volume.fstype == "ext4" and not isinstance(count, FileState) and not isinstance(kind, str):
        return unknown(want, count or Unknown(f"the kernel counts no errors of {volume.path}"))
    counted = (count.text or "0").strip() if isinstance(count, FileState) else "0"
    if counted != "0":
        found.append(f"ext4 counts {counted} errors since it was checked last")
    remedy = (
        f"Save what is on it. Then `sudo umount {plan.ssd.mount}`, `sudo e2fsck -f {volume.path}`, and "
        "deploy again; look at the cable and the supply, and replace a disk that fails again."
    )
    return expect(want, "; ".join(found) or want, not found, remedy)


@check(severity="warn")
def ssd_had_no_errors(plan: StoragePlan, node: Node) -> Finding:
    """The kernel has seen no error of the SSD since the boot, nor reset, lost or remounted it."""
    want, look = "no error since the boot", node.snapshot
    volume = _volume(plan, look, want)
    if isinstance(volume, Finding):
        return volume
    log = _log(look, want)
    if isinstance(log, Finding):
        return log
    choice = chosen(plan.ssd, look)
    assert isinstance(choice, Choice)
    assert choice.disk
    bridge = usb.bridge(look, choice.disk)
    of_usb = () if isinstance(bridge, Unknown) else usb.resets(log.lines, choice.disk, bridge)
    lines = kernel_log.errors(log, look).get(choice.disk.path, ())
    found = [line for line in lines if line not in of_usb]
    remedy = (
        "Look at the cable and the supply; back up what is on it. A reboot forgets these lines."
    )
    return _judged(log, want, f"{len(found)}, the last: {found[-1]}" if found else "", remedy)


@check(severity="warn")
def other_disks_had_no_errors(plan: StoragePlan, node: Node) -> Finding:
    """The kernel has seen no error of any other disk, such as the card, since the boot."""
    want, look = "no error since the boot", node.snapshot
    log, choice = _log(look, want), chosen(plan.ssd, look)
    if isinstance(log, Finding):
        return log
    for part in (look.disks, look.files, choice):
        if isinstance(part, Unknown):
            return unknown(want, part)
    assert isinstance(choice, Choice)
    own = () if choice.disk is None else naming.paths(choice.disk)
    found = [
        f"{path.removeprefix('/dev/')}: {len(lines)}, the last: {lines[-1]}"
        for path, lines in kernel_log.errors(log, look).items()
        if path not in own
    ]
    found += [f"{name}: ext4 counts {count} errors" for name, count in _counted(look, own)]
    remedy = (
        "Back up what is on it, look at its supply, and replace a disk or card that fails again."
    )
    return _judged(log, want, "; ".join(found), remedy)


def _counted(look: Snapshot, own: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the other file systems in which ext4 has noted errors, and how many."""
    files = {} if isinstance(look.files, Unknown) else look.files
    texts = {
        path.split("/")[4]: (seen.text or "0").strip()
        for path, seen in files.items()
        if fnmatchcase(path, EXT4_ERRORS) and isinstance(seen, FileState)
    }
    return [
        (name, text) for name, text in texts.items() if text != "0" and f"/dev/{name}" not in own
    ]


def _log(look: Snapshot, want: str) -> kernel_log.Log | Finding:
    """Return the kernel's log, or the finding where it is not the node's, or cannot be read."""
    kind = container.container(look)
    if isinstance(kind, Unknown):
        return unknown(want, kind)
    if kind:
        return skip(want, f"a container ({kind}) does not see the kernel's log")
    log = kernel_log.read(look)
    return unknown(want, log) if isinstance(log, Unknown) else log


def _judged(log: kernel_log.Log, want: str, found: str, remedy: str) -> Finding:
    """Return the finding on a log's lines; an incomplete log proves nothing, as after a long uptime."""
    if not found and not log.whole:
        got = "none known, but the journal no longer has the beginning of this boot"
        return expect(
            want, got, False, "A reboot begins it again; storage.journal keeps more of it."
        )
    return expect(want, found or want, not found, remedy)


@check()
def ssd_has_free_space(plan: StoragePlan, node: Node) -> Finding:
    """The SSD has the free space that models and swap need."""
    want = f"at least {plan.ssd.free_gib} GiB free"
    seen, free = _mount(plan, node.snapshot, want), node.snapshot.free_bytes
    if isinstance(seen, Finding):
        return seen
    if isinstance(free, Unknown):
        return unknown(want, free)
    if plan.ssd.mount not in free:
        return unknown(want, Unknown(f"the free space of {plan.ssd.mount} was not looked at"))
    found = free[plan.ssd.mount] / (1 << 30)
    remedy = f"Remove what is not needed (`sudo du -xh -d2 {plan.ssd.mount} | sort -h`)."
    return expect(want, f"{found:.1f} GiB free", found >= plan.ssd.free_gib, remedy)


@check()
def fstab_is_sound(plan: StoragePlan, node: Node) -> Finding:
    """findmnt can read every line of fstab, and a boot that needs a file system can find it."""
    want, text = "no error", fstab_text(node.snapshot)
    kind = container.container(node.snapshot)
    if isinstance(text, Unknown):
        return unknown(want, text)
    if isinstance(kind, Unknown):
        return unknown(want, kind)
    said = node.snapshot.command(VERIFY)
    if isinstance(said, Unknown):
        return unknown(want, said)
    if text is None or said is None:
        return expect(want, f"no {fstab.PATH}" if said else "no findmnt", False, "Restore it.")
    left_out = {"/", "/boot", "/boot/firmware"} if kind else set()
    found = [f"line {line.line + 1}: {line.why}: {line.text}" for line in fstab.broken(text)]
    found += map(_repeated, fstab.repeated(text))
    found += problems(said.output, text, left_out)
    remedy = f"Mend the line in {fstab.PATH} by hand: bramble leaves what others wrote."
    return expect(want, "; ".join(found) or want, not found, remedy)


def _repeated(same: tuple[fstab.Entry, ...]) -> str:
    lines = " and ".join(str(entry.line + 1) for entry in same)
    where = (
        "one swap"
        if same[0].fstype == "swap"
        else f"for {same[0].target}, and a boot takes the first"
    )
    return f"lines {lines} are {where}"


def problems(said: str, text: str, left_out: set[str]) -> list[str]:
    """Return findmnt's problems with the table, except those of disks that a boot does not need."""
    optional = {e.target for e in fstab.entries(text) if {"nofail", "noauto"} & set(e.options)}
    found, target = [], ""
    for line in said.splitlines():
        if line.startswith("/") or line in ("none", "swap"):
            target = line.strip()
        elif "[E]" in line and target not in left_out | optional:
            found.append(f"{target}: {line.split('[E]')[1].strip()}")
    return found


@check()
def root_has_no_access_times(plan: StoragePlan, node: Node) -> Finding:
    """The root is mounted without access times: reading a file does not write to the card."""
    want, seen = "noatime", mounted(node.snapshot, "/")
    kind = container.container(node.snapshot)
    if isinstance(seen, Unknown):
        return unknown(want, seen)
    if isinstance(kind, Unknown):
        return unknown(want, kind)
    if kind:
        return skip(want, f"a container ({kind}): the root is its host's")
    if seen is None:
        return unknown(want, Unknown("no mount at / is known"))
    remedy = f"Run the deploy again; without a line for / in {fstab.PATH}, add one."
    return expect(want, ",".join(seen.options), "noatime" in seen.options, remedy)


@check(severity="warn")
def usb_disk_is_not_reset(plan: StoragePlan, node: Node) -> Finding:
    """The kernel has not reset the SSD's USB bridge since the boot, nor aborted a command."""
    want, look = "no reset since the boot", node.snapshot
    log, choice = _log(look, want), chosen(plan.ssd, look)
    if isinstance(choice, Unknown):
        return unknown(want, choice)
    if isinstance(log, Finding):
        return log
    if choice.disk is None:
        return skip(want, f"there is no SSD: {choice.why}")
    if choice.disk.transport != "usb":
        return skip(want, f"{choice.name} does not hang on USB")
    bridge = usb.bridge(look, choice.disk)
    if isinstance(bridge, Unknown):
        return unknown(want, bridge)
    found = usb.resets(log.lines, choice.disk, bridge)
    remedy = "Try another cable and port, and a supply that is strong enough (a hub of its own)."
    if bridge.uas:
        remedy += (
            f" If it stays: put usb-storage.quirks={bridge.product}:u at the beginning of "
            "/boot/firmware/cmdline.txt and reboot. The bridge is slower then, but not by UAS."
        )
    return _judged(log, want, f"{len(found)}, the last: {found[-1]}" if found else "", remedy)


@check()
def files_are_as_written(plan: StoragePlan, node: Node) -> Finding:
    """Each file and line that this role writes stands as it was written: text, mode and owner."""
    look = node.snapshot
    judged_by = (fstab_text(look), chosen(plan.ssd, look), log2ram.verdict(plan.logs.log2ram, look))
    return as_written(plan, steps(plan, node.plan, look), look, *judged_by)


def _volume(plan: StoragePlan, look: Snapshot, want: str) -> Disk | Finding:
    """Return the SSD's file system, or the finding where there is none."""
    choice: Choice | Unknown = chosen(plan.ssd, look)
    if isinstance(choice, Unknown):
        return unknown(want, choice)
    if choice.state == "ready" and choice.volume:
        return choice.volume
    return skip(want, f"there is no SSD: {choice.why}")


def _mount(plan: StoragePlan, look: Snapshot, want: str) -> Mount | Finding:
    """Return the SSD's mount, or the finding where it is not mounted."""
    volume, seen = _volume(plan, look, want), mounted(look, plan.ssd.mount)
    if isinstance(volume, Finding):
        return volume
    if isinstance(seen, Unknown):
        return unknown(want, seen)
    if seen is None or plan.ssd.mount not in volume.mountpoints:
        return expect(want, f"nothing of it is mounted at {plan.ssd.mount}", False, DEPLOY)
    return seen
