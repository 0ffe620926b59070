"""Strangers on the network: sockets that others may reach and that no role plans."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bramble.audit.seen import WAIVE, Seen
from bramble.plan import Listener, Stranger
from bramble.snapshot import Output, Unknown
from bramble.system.parse import Socket

SSHD, SSHD_SAYS, SSH_UNITS = "sshd", "sshd -T", ("ssh.service", "sshd.service")
INIT = "systemd"
LOOPBACK = ("127.", "::ffff:127.")


def listeners(seen: Seen) -> Iterable[Stranger] | Unknown:
    """Find sockets that others may reach and that no role plans."""
    sockets, holders = seen.snapshot.sockets, seen.around.holders
    if isinstance(sockets, Unknown):
        return sockets
    if isinstance(holders, Unknown):
        return holders
    planned = {one for role in seen.plan.roles.values() for one in role.listeners()}
    found: dict[str, Stranger] = {}
    for socket in sockets:
        if not _is_own(socket.address) and not _is_planned(socket, seen, planned):
            place = f"[{socket.address}]" if ":" in socket.address else socket.address
            subject = f"{place}:{socket.port}"
            who = "; ".join(_holder(pid, seen) for pid in socket.pids) or "nobody that ss shows"
            remedy = f"Stop it, have it listen on 127.0.0.1, {WAIVE}"
            found[subject] = Stranger("listener", subject, f"{subject} is held by {who}", remedy)
    return found.values()


def _is_own(address: str) -> bool:
    """Tell whether an address is for the node itself alone."""
    return address == "::1" or address.startswith(LOOPBACK)


def _is_planned(socket: Socket, seen: Seen, planned: set[Listener]) -> bool:
    """Tell whether all of a socket's processes are of a unit that is to listen there, or sshd's."""
    holders = seen.around.holders
    assert not isinstance(holders, Unknown)
    found = [holders.get(str(pid)) for pid in socket.pids]
    for one in found:
        program = one.exe.rpartition("/")[2] if one else ""
        if one and one.unit in SSH_UNITS and program == SSHD:
            continue
        if program == INIT and socket.port in _ports_of_ssh_socket(seen):
            continue
        if one is None or Listener(one.unit, socket.port) not in planned:
            return False
    return bool(found)


def _ports_of_ssh_socket(seen: Seen) -> list[int]:
    """Return the ports where systemd itself listens for sshd; none where sshd does."""
    unit, said = seen.snapshot.unit("ssh.service"), seen.snapshot.command(SSHD_SAYS)
    if isinstance(unit, Unknown) or "ssh.socket" not in unit.properties.get("TriggeredBy", ""):
        return []
    text = said.output if isinstance(said, Output) else ""
    return [int(port) for port in re.findall(r"^port (\d{1,5})$", text, re.M)] or [22]


def _holder(pid: int, seen: Seen) -> str:
    holders = seen.around.holders
    one = None if isinstance(holders, Unknown) else holders.get(str(pid))
    if one is None:
        return f"process {pid}, which has ended"
    return f"{one.exe} of {one.user} ({one.unit or 'no unit'}, process {pid})"
