"""What firewall wants: one table of nftables, on trial until a new connection has come through it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from bramble.board import Board
from bramble.outputs import GatewayOutputs, ServingOutputs
from bramble.plan import FactsNeeded, File, Inputs, NodePlan, RolePlan
from bramble.render import render
from bramble.roles.firewall.settings import Settings
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step, remove_files, systemd, write_files

UNIT = "bramble-firewall.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
RULES = "/etc/bramble/firewall.nft"
LISTED = "/etc/bramble/firewall.listed"
"""The table as nft listed it when it was confirmed: what the kernel is compared with."""

TRIAL = "/run/bramble/firewall/undo.nft"
"""The file that is there while a table is on trial."""

LIST = "nft -s list table inet bramble"
PACKAGE = "nftables"
SSHD = "sshd"
# Longer than a new connection may take: bramble/pyinfra/trial.py.
UNDO_AFTER_S = 60


@dataclass(frozen=True)
class Way:
    """A port, and the networks that it is for; `called` is what the table's sets of them begin with."""

    called: str
    port: int
    allow: tuple[str, ...]

    @property
    def networks(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """Its networks of each family that it has any of."""
        every = [ipaddress.ip_network(text) for text in self.allow]
        found = ((n, tuple(str(one) for one in every if one.version == n)) for n in (4, 6))
        return tuple((n, several) for n, several in found if several)


@dataclass(frozen=True, kw_only=True)
class FirewallPlan(RolePlan):
    """The table's text is in `files`; without files there is to be no table of ours."""

    denies: bool
    ssh_ports: tuple[int, ...]

    @property
    def there(self) -> bool:
        """Whether there is to be a table."""
        return bool(self.files)


def facts_needed(settings: Settings, inputs: Inputs) -> FactsNeeded:
    """Ask for the files, the unit, the table in the kernel, and where sshd listens."""
    return FactsNeeded(
        files=(RULES, UNIT_FILE, LISTED, TRIAL),
        units=(UNIT,),
        packages=(PACKAGE,),
        commands=(LIST,),
        programs=(SSHD,),
    )


def plan(settings: Settings, board: Board, inputs: Inputs) -> FirewallPlan:
    """Plan a table where something is exposed, or where the rest is to be dropped."""
    ways, denies = tuple(_ways(inputs)), settings.mode == "deny"
    if settings.mode == "off" or not (ways or denies):
        return FirewallPlan(denies=False, ssh_ports=settings.ssh_ports)
    rules = render(
        "firewall/firewall.nft.j2",
        deny=denies,
        ways=ways,
        ssh_ports=settings.ssh_ports,
        ports=settings.ports,
    )
    return FirewallPlan(
        packages=(PACKAGE,),
        files=(
            File(path=RULES, text=rules),
            File(path=UNIT_FILE, text=render("firewall/bramble-firewall.service.j2", rules=RULES)),
        ),
        denies=denies,
        ssh_ports=settings.ssh_ports,
    )


def _ways(inputs: Inputs) -> Iterator[Way]:
    """Yield what lets clients of the network in, where something does."""
    served, gateway = inputs.find(ServingOutputs), inputs.find(GatewayOutputs)
    if served and served.exposed_port:
        yield Way("clients", served.exposed_port, served.allow)
    if gateway:
        yield Way("gateway", gateway.exposed_port, gateway.allow)


def steps(plan: FirewallPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Load the table, on trial; where there is to be none, end it and remove its files."""
    ended = _end(plan.there, snapshot)
    return (_end_trial(snapshot), _load(plan, snapshot), *ended)


def revert(plan: FirewallPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Take the table away, with its unit and its files."""
    return (_end_trial(snapshot), *_end(False, snapshot))


def _end_trial(snapshot: Snapshot) -> Step:
    """Take back what an earlier run left on trial."""
    name = "Take back an unconfirmed firewall"
    if not isinstance(snapshot.file(TRIAL), FileState):
        return Step(name, None)
    why = "a run that was cut off left it on trial"
    return Step(name, why, "try_firewall", {"take_back": True}, look_again=True)


def _end(there: bool, snapshot: Snapshot) -> tuple[Step, ...]:
    """End the unit, which takes its table along, and remove the files."""
    unit = snapshot.unit(UNIT)
    gone = remove_files(
        "Remove the firewall's files", () if there else (RULES, UNIT_FILE, LISTED), snapshot
    )
    left = isinstance(unit, Unknown) or unit.load != "not-found" or table(snapshot) is not None
    why = None if there or not left else "there is to be no table of bramble's"
    return (
        systemd("End the firewall", why, stop=(UNIT,), disable=(UNIT,)),
        gone,
        systemd("Forget the firewall", gone.why, reload=True),
    )


def _load(plan: FirewallPlan, snapshot: Snapshot) -> Step:
    """Load the planned table, and keep it once a new connection has come through it."""
    name = "Load the firewall, on trial"
    if not plan.there:
        return Step(name, None)
    if refused := locks_out(plan, snapshot):
        return Step(name, refused, "refuse", {"why": refused})
    written = write_files(name, plan.files, snapshot)
    why = written.why or not_in_force(snapshot)
    if why is None:
        return Step(name, None)
    texts = {file.path: file.text for file in plan.files}
    query = {
        "rules": RULES,
        "rules_text": texts[RULES],
        "unit": UNIT,
        "unit_file": UNIT_FILE,
        "unit_text": texts[UNIT_FILE],
        "listed": LISTED,
        "undo_after_s": UNDO_AFTER_S,
    }
    return Step(
        name,
        why,
        "try_firewall",
        query,
        writes=(*written.writes, LISTED),
        diffs=written.diffs,
        confirm={**query, "confirm": True},
    )


def locks_out(plan: FirewallPlan, snapshot: Snapshot) -> str | None:
    """Return why the table would keep us out: sshd listens on a port that it does not let through."""
    if not plan.denies:
        return None
    if isinstance(snapshot.sockets, Unknown) or isinstance(snapshot.programs, Unknown):
        return "it is not known where sshd listens, so the rest cannot be dropped; run again"
    sshd = {one.pid for one in snapshot.programs.get(SSHD, ())}
    ports = {one.port for one in snapshot.sockets if sshd & {*one.pids}}
    # A socket of systemd's own starts sshd where somebody set it so.
    others = sorted(ports - {*plan.ssh_ports})
    if not others:
        return None
    several = ", ".join(map(str, others))
    return (
        f"sshd listens on port {several}, which firewall.ssh_ports does not name: with firewall.mode "
        "deny nobody would come in by it; name it there"
    )


def table(snapshot: Snapshot) -> str | Unknown | None:
    """Return the table as the kernel has it; None where there is none, or no nft."""
    said = snapshot.command(LIST)
    if said is None or isinstance(said, Unknown):
        return said
    if said.code == 0:
        return said.output
    return None if "No such file or directory" in said.output else Unknown(said.output.strip())


def not_in_force(snapshot: Snapshot) -> str | None:
    """Return how the kernel's table or the unit is not as it was confirmed; None when both are."""
    unit, found, confirmed = snapshot.unit(UNIT), table(snapshot), snapshot.file(LISTED)
    for seen in (unit, found, confirmed):
        if isinstance(seen, Unknown):
            return seen.why
    assert not isinstance(unit, Unknown)
    if found is None:
        return "the kernel has no table of bramble's"
    if not isinstance(confirmed, FileState) or confirmed.text != found:
        return "the kernel's table is not the one that was confirmed"
    if (unit.active, unit.enabled) != ("active", "enabled"):
        return f"{UNIT} is {unit.active} and {unit.enabled or unit.load}"
    return None
