"""What storage wants: the SSD mounted by its UUID, no access times, and logs that wear no card."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from bramble.board import Board
from bramble.difference import Difference
from bramble.node import container
from bramble.plan import FactsNeeded, Inputs, NodePlan, RolePlan, together
from bramble.roles.storage import kernel_log, logs, naming, usb
from bramble.roles.storage.disks import LABEL, STAGED, Choice, Desired, choose, fstab_text, must
from bramble.roles.storage.outputs import StorageOutputs
from bramble.roles.storage.settings import Settings
from bramble.snapshot import Snapshot, Unit, Unknown
from bramble.steps import Step
from bramble.system import fstab
from bramble.system.parse import Mount

COMMENT = "# bramble: storage.ssd; change the inventory, not the next line"
VERIFY = f"findmnt --verify --tab-file {fstab.PATH}"
NOTES = "/var/lib/bramble/storage"
EXT4_ERRORS = "/sys/fs/ext4/*/errors_count"


@dataclass(frozen=True, kw_only=True)
class StoragePlan(RolePlan):
    """The SSD's settings, and where the logs go."""

    ssd: Desired
    logs: logs.Desired

    def waits_for_reboot(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Name log2ram where it needs a boot: it starts before all that logs."""
        return logs.waits_for_reboot(self.logs, snapshot)


def facts_needed(settings: Settings, inputs: Inputs) -> FactsNeeded:
    """Ask for the disks' names, what is mounted at boot, and the kernel's messages on the disks."""
    mount = settings.ssd.mount
    disks = FactsNeeded(
        files=(fstab.PATH, *naming.LINKS, EXT4_ERRORS, mount, *kernel_log.FILES, *usb.FILES),
        units=(fstab.unit_of(mount),),
        properties=("RequiredBy",),
        commands=(VERIFY, kernel_log.COMMAND, container.COMMAND),
        free=(mount,),
    )
    return together((disks, *logs.facts_needed(settings)))


def plan(settings: Settings, board: Board, inputs: Inputs) -> StoragePlan:
    """Plan from the settings; only log2ram's repository depends on the board's system."""
    ssd = Desired(**settings.ssd.model_dump())
    about_logs = logs.desired(settings, board)
    return StoragePlan(
        files=about_logs.files,
        outputs=StorageOutputs(ssd=None if ssd.device == "off" else ssd.mount),
        ssd=ssd,
        logs=about_logs,
    )


def steps(plan: StoragePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Refuse, or format the disk where it is blank, name it in fstab, mount it; the root; the logs."""
    choice = chosen(plan.ssd, snapshot)
    edited = _edit(plan.ssd, choice, snapshot)
    return (
        _refuse(plan.ssd, choice),
        _format(plan.ssd, choice),
        edited,
        _mount(plan.ssd, choice, snapshot, edited),
        _remount_root(snapshot),
        *logs.steps(plan.logs, snapshot),
    )


def chosen(desired: Desired, look: Snapshot) -> Choice | Unknown:
    """Return the SSD; refuse it where fstab has another file system at its folder, or cannot be read."""
    choice, text = choose(desired, look), fstab_text(look)
    if isinstance(choice, Unknown) or choice.state not in ("format", "ready"):
        return choice
    if isinstance(text, Unknown):
        return text
    why = _against(text, desired, choice, look)
    return choice if why is None else Choice("refused", why, choice.name, choice.disk)


def _against(text: str | None, desired: Desired, choice: Choice, look: Snapshot) -> str | None:
    """Return why fstab conflicts with the SSD at its folder; None when it does not."""
    if text is None:
        return f"there is no {fstab.PATH}"
    for line in fstab.broken(text):
        if line.names(desired.mount):
            return (
                f"line {line.line + 1} of {fstab.PATH} is about {desired.mount} and is broken: "
                f"{line.why}. Mend or remove it: {line.text}"
            )
    found = fstab.all_at(text, desired.mount)
    if len(found) > 1:
        lines = " and ".join(str(entry.line + 1) for entry in found)
        return (
            f"{fstab.PATH} has {desired.mount} in lines {lines}, and a boot takes the first; remove all "
            "but one"
        )
    entry = fstab.at(text, desired.mount)
    if entry is None or fstab.is_ours(text, COMMENT, desired.mount):
        return None
    if not naming.is_of_a_disk(entry) or not _stands_for(entry, choice, look):
        return (
            f"{fstab.PATH} has {entry.source} at {desired.mount}, and the SSD is {choice.name}; remove "
            "that line, or set another folder in storage.ssd.mount"
        )
    return None


def _stands_for(entry: fstab.Entry, choice: Choice, look: Snapshot) -> bool:
    """Tell whether an entry of fstab names the SSD's file system, or the disk to format."""
    assert choice.volume is not None
    there = naming.There.of(look)
    return there.is_named(choice.volume, entry.source)


def _refuse(desired: Desired, choice: Choice | Unknown) -> Step:
    name = "Find the SSD"
    if not must(desired):
        return Step(name, None)
    if isinstance(choice, Unknown):
        why = f"The node does not tell which disks it has: {choice.why}."
    elif choice.state in ("absent", "refused"):
        why = f"The SSD cannot be used: {choice.why}."
    else:
        return Step(name, None)
    return Step(name, why, "refuse", {"why": why})


def note_of(choice: Choice) -> str:
    """Return the path of the node's note that the disk is being formatted."""
    return f"{NOTES}/formatting-{choice.name.removeprefix('/dev/')}"


def _format(desired: Desired, choice: Choice | Unknown) -> Step:
    name = "Format the SSD"
    if isinstance(choice, Unknown) or choice.state != "format" or choice.disk is None:
        return Step(name, None)
    query = {
        "name": choice.name,
        "note": note_of(choice),
        "size_bytes": choice.disk.size_bytes,
        "uuid": choice.uuid,
        "label": LABEL,
        "staged": STAGED,
        "erase": desired.erase,
        "folder": desired.mount,
    }
    return Step(name, f"{choice.name}: {choice.why}", "format_disk", query, timeout_s=600)


def _edit(desired: Desired, choice: Choice | Unknown, look: Snapshot) -> Step:
    name, text = f"Edit {fstab.PATH}", fstab_text(look)
    if not isinstance(text, str):
        return Step(name, None)
    after = fstab.with_options(text, "/", ("noatime",))
    folder, uuid = None, None
    if isinstance(choice, Choice) and choice.state in ("format", "ready"):
        after, folder, uuid = with_ssd(after, desired, choice), desired.mount, choice.uuid
    return _replace(name, text, after, folder, uuid)


def _replace(
    name: str, before: str, after: str, folder: str | None = None, uuid: str | None = None
) -> Step:
    if after == before:
        return Step(name, None)
    was = hashlib.sha256(before.encode()).hexdigest()
    query = {
        "path": fstab.PATH,
        "was_sha256": was,
        "text": after,
        "folder": folder,
        "uuid": uuid,
    }
    change = Difference(fstab.PATH, before, after)
    why = "; ".join(line for line in change.added if line[:1] != "#") or "a line is removed"
    return Step(name, why, "edit_fstab", query, diffs=(change,))


def with_ssd(text: str, desired: Desired, choice: Choice) -> str:
    """Add the SSD to the table: our own line as planned, or what a person's line lacks."""
    source = f"UUID={choice.uuid}"
    needed = ("noatime", "nofail", f"x-systemd.device-timeout={desired.device_timeout_s}s")
    kind = choice.volume.fstype if choice.state == "ready" and choice.volume else "ext4"
    check = 2 if kind == "ext4" else 0
    line = f"{source} {desired.mount} {kind} defaults,{','.join(needed)} 0 {check}"
    entry = fstab.at(text, desired.mount)
    if entry is None:
        return fstab.added(text, COMMENT, line)
    if fstab.is_ours(text, COMMENT, desired.mount):
        return fstab.with_line(text, entry.line, line)
    text = fstab.with_type(
        fstab.with_source(text, desired.mount, source), desired.mount, kind or "ext4"
    )
    return fstab.with_options(text, desired.mount, needed, unwanted=("noauto",))


def _mount(desired: Desired, choice: Choice | Unknown, look: Snapshot, edited: Step) -> Step:
    name = "Mount the SSD"
    if isinstance(choice, Unknown) or choice.state not in ("format", "ready"):
        return Step(name, None)
    why = _not_mounted(desired, choice, look) or (edited.why and f"{fstab.PATH} is changed")
    if why is None:
        return Step(name, None)
    query = {
        "mounted": True,
        "folder": desired.mount,
        "uuid": choice.uuid,
        "options": ["noatime"],
        "note": note_of(choice),
    }
    # The content of the disk is seen only now: the roles after this one depend on it.
    return Step(name, why, "mount_disk", query, timeout_s=300, look_again=True)


def _not_mounted(desired: Desired, choice: Choice, look: Snapshot) -> str | None:
    """Return why the SSD is not mounted as planned; None when it is."""
    volume, seen = choice.volume, mounted(look, desired.mount)
    if choice.state == "format" or volume is None or desired.mount not in volume.mountpoints:
        return f"{choice.name} is not mounted at {desired.mount}"
    if isinstance(seen, Mount) and "noatime" not in seen.options:
        return f"{desired.mount} is mounted with {','.join(seen.options)}"
    unit = look.unit(fstab.unit_of(desired.mount))
    if isinstance(unit, Unit) and unit.needs_reload:
        return f"systemd has read an older {fstab.PATH}"
    return None


def mounted(look: Snapshot, folder: str) -> Mount | Unknown | None:
    """Return what is mounted at a folder; None for nothing."""
    if isinstance(look.mounts, Unknown):
        return look.mounts
    found = [mount for mount in look.mounts if mount.target == folder]
    return found[-1] if found else None


def _remount_root(look: Snapshot) -> Step:
    name, seen = "Mount the root without access times", mounted(look, "/")
    # A container's root is its host's.
    if not isinstance(seen, Mount) or "noatime" in seen.options or container.container(look):
        return Step(name, None)
    query = {"argv": ["mount", "-o", "remount,noatime", "/"]}
    return Step(name, f"/ is mounted with {','.join(seen.options)}", "command", query)


def revert(plan: StoragePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Move logs to the disk, unmount the SSD, remove our line of fstab; keep data and others' lines.

    The root stays without access times: Raspberry Pi OS has it so itself.
    """
    text, mount = fstab_text(snapshot), plan.ssd.mount
    edit, unmount = Step(f"Edit {fstab.PATH}", None), Step("Unmount the SSD", None)
    entry = fstab.ours(text, COMMENT, mount) if isinstance(text, str) else None
    if isinstance(text, str) and entry:
        edit = _replace(edit.name, text, fstab.without(text, COMMENT, mount))
        query = {"mounted": False, "folder": mount, "uuid": entry.source.removeprefix("UUID=")}
        if mounted(snapshot, mount) and fstab.is_ours(text, COMMENT, mount):
            unmount = Step(unmount.name, f"{mount} is mounted", "mount_disk", query)
    return (*logs.revert(snapshot), unmount, edit)
