"""What storage proves of logs: where the journal really is, and that log2ram really holds /var/log."""

from __future__ import annotations

from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.roles.storage import journal, log2ram
from bramble.roles.storage.plan import StoragePlan
from bramble.snapshot import Unknown

DEPLOY = "Run the deploy again."
WINS = (
    "Deploy again; if it stays, `systemd-analyze cat-config systemd/journald.conf` says what wins."
)
MIB = 1 << 20


@check()
def journal_is_where_planned(plan: StoragePlan, node: Node) -> Finding:
    """journald writes where it is to write, and what its files come to says so for the next boot."""
    desired = plan.logs.journal
    want = desired.storage
    place, has = journal.storage(node.snapshot), journal.configuration(node.snapshot)
    if isinstance(place, Unknown):
        return unknown(want, place)
    if isinstance(has, Unknown):
        return unknown(want, has)
    reported = has.get("Storage", "auto")
    got = place if place == reported else f"{place} now, configured: {reported}"
    return expect(want, got, place == reported == want, WINS)


@check()
def journal_keeps_to_its_cap(plan: StoragePlan, node: Node) -> Finding:
    """journald has the planned cap, and its journal takes no more than that."""
    desired, look = plan.logs.journal, node.snapshot
    want = f"at most {desired.cap_mib} MiB"
    has, cap = journal.configuration(look), journal.cap_bytes(look)
    used = journal.used_bytes(desired, look)
    if isinstance(has, Unknown):
        return unknown(want, has)
    if isinstance(cap, Unknown):
        return unknown(want, cap)
    if isinstance(used, Unknown):
        return unknown(want, used)
    name = "SystemMaxUse" if desired.storage == "persistent" else "RuntimeMaxUse"
    reported = has.get(name, "none")
    got = f"{used / MIB:.0f} MiB, {name}={reported}"
    if cap is not None:
        got += f", journald keeps to {cap / MIB:.0f} MiB"
    ok = (
        used <= desired.cap_mib * MIB
        and reported == desired.values[name]
        and cap in (None, desired.cap_mib * MIB)
    )
    remedy = f"{WINS} `sudo journalctl --vacuum-size={desired.cap_mib // 2}M` makes room."
    return expect(want, got, ok, remedy)


def _not_wanted(want: str, plan: StoragePlan, node: Node) -> Finding | None:
    """Return the finding where log2ram is not wanted on this node, with the reason."""
    found = log2ram.verdict(plan.logs.log2ram, node.snapshot)
    if isinstance(found, Unknown):
        return unknown(want, found)
    return None if found.wanted else skip(want, found.why)


@check()
def logs_are_in_memory(plan: StoragePlan, node: Node) -> Finding:
    """The kernel has log2ram's memory mounted where logs are written, as planned, and will again."""
    desired = plan.logs.log2ram
    want = f"{' and '.join(desired.targets)} in {desired.size_mib} MiB of log2ram's"
    stop = _not_wanted(want, plan, node)
    if stop:
        return stop
    lacking = log2ram.not_held(desired, node.snapshot) or log2ram.not_ready(node.snapshot)
    if isinstance(lacking, Unknown):
        return unknown(want, lacking)
    remedy = (
        "It begins at boot: deploy again, or where boot.reboot is never: sudo reboot. If it stays, "
        "`journalctl -b -u log2ram` says why."
    )
    return expect(want, lacking or "as planned", lacking is None, remedy)


@check(severity="warn")
def logs_have_room(plan: StoragePlan, node: Node) -> Finding:
    """log2ram's memory has a fifth left: a full one loses what is logged next."""
    look = node.snapshot
    want = "a fifth free"
    stop = _not_wanted(want, plan, node)
    if stop:
        return stop
    mount = log2ram.mounted(log2ram.LOGS, look)
    if isinstance(mount, Unknown):
        return unknown(want, mount)
    if isinstance(look.free_bytes, Unknown):
        return unknown(want, look.free_bytes)
    size = log2ram.size_mib(mount) if mount else None
    if size is None:
        return skip(want, "/var/log is not in log2ram's memory")
    free = look.free_bytes[log2ram.LOGS] / MIB
    remedy = "Set storage.log2ram_size_mib higher, or remove old logs below /var/log."
    return expect(want, f"{free:.0f} of {size} MiB free", free * 5 >= size, remedy)


@check()
def logs_take_no_zram(plan: StoragePlan, node: Node) -> Finding:
    """No log folder is on a zram device: log2ram's own one would take zram0 from the swap."""
    want = "no zram below the logs"
    stop = _not_wanted(want, plan, node)
    if stop:
        return stop
    if isinstance(node.snapshot.mounts, Unknown):
        return unknown(want, node.snapshot.mounts)
    on_zram = [
        f"{mount.target} on {mount.source}"
        for mount in node.snapshot.mounts
        if mount.target in plan.logs.log2ram.targets and mount.source.startswith("/dev/zram")
    ]
    remedy = f"{DEPLOY} It writes ZL2R=false to {log2ram.CONF}; the next boot follows it."
    return expect(want, ", ".join(on_zram) or "none", not on_zram, remedy)


@check()
def repository_gives_log2ram_only(plan: StoragePlan, node: Node) -> Finding:
    """apt takes log2ram from its repository and, by the pin in force, nothing else."""
    desired = plan.logs.log2ram
    want = "log2ram, nothing else"
    stop = _not_wanted(want, plan, node)
    if stop:
        return stop
    if desired.repository is None:
        return skip(want, "Debian's own log2ram is used")
    found = log2ram.pinned(desired.repository, node.snapshot)
    if isinstance(found, Unknown):
        return unknown(want, found)
    return expect(want, found or "as planned", found is None, DEPLOY)
