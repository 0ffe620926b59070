"""What base wants: a correct clock, all roles' packages in one apt run, the hostname, and SSH."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from bramble.board import Board
from bramble.difference import Difference
from bramble.node import container
from bramble.plan import FactsNeeded, File, Inputs, NodePlan, RolePlan
from bramble.render import render
from bramble.roles.base import access, cloud, hosts, sudo
from bramble.roles.base import clock as clocks
from bramble.roles.base.outputs import BaseOutputs
from bramble.roles.base.settings import Settings, Sshd
from bramble.snapshot import FileState, Snapshot, System, Unknown
from bramble.steps import Step, install_packages, remove_files, systemd, write_files

PACKAGES = ("ca-certificates", "curl")
UPGRADES = "unattended-upgrades"
UPGRADES_FILE = "/etc/apt/apt.conf.d/99-bramble-unattended-upgrades"
UPGRADES_TIMER = "apt-daily-upgrade.timer"
TIMERS = ("apt-daily.timer", UPGRADES_TIMER)
PERIODIC = "apt-config dump APT::Periodic"
HOSTS = "/etc/hosts"
AUDIT = "dpkg --audit"
# dpkg's journal: something is in it only while it works, or where it was killed.
JOURNAL = "/var/lib/dpkg/updates/*"


@dataclass(frozen=True, kw_only=True)
class BasePlan(RolePlan):
    """The settings; None is "as the system has it". `sshd` is what sshd must say that it does."""

    ntp: bool
    clock_tolerance_s: int
    clock_wait_s: int
    unattended_upgrades: bool | None
    hostname: str | None
    timezone: str | None
    keys: tuple[str, ...]
    exclusive_keys: bool
    sshd: Mapping[str, str]
    sshd_text: str | None
    keys_needed: bool
    passwordless_sudo: bool | None

    def known_keys(self) -> tuple[str, ...]:
        """Return the keys that the inventory names."""
        return self.keys


def facts_needed(settings: Settings, inputs: Inputs) -> FactsNeeded:
    """Ask for the packages, dpkg's state, the clock, the names, and sshd's own configuration."""
    return FactsNeeded(
        packages=(*_packages(settings), UPGRADES),
        files=(
            UPGRADES_FILE,
            HOSTS,
            JOURNAL,
            access.DROP_IN,
            access.TRIAL,
            access.DEFAULTS,
            sudo.RULE,
            *cloud.FACTS_NEEDED.files,
        ),
        units=(*TIMERS, access.SERVICE, *cloud.FACTS_NEEDED.units),
        commands=(
            *cloud.FACTS_NEEDED.commands,
            AUDIT,
            PERIODIC,
            access.EFFECTIVE,
            container.COMMAND,
            *((sudo.ASKS,) if settings.passwordless_sudo is not None else ()),
        ),
    )


def plan(settings: Settings, board: Board, inputs: Inputs) -> BasePlan:
    """Plan from the settings, which do not depend on the board."""
    return BasePlan(
        outputs=BaseOutputs(),
        packages=_packages(settings),
        files=_files(settings),
        ntp=settings.clock.ntp,
        clock_tolerance_s=settings.clock.tolerance_s,
        clock_wait_s=settings.clock.wait_s,
        unattended_upgrades=settings.unattended_upgrades,
        hostname=settings.hostname,
        timezone=settings.timezone,
        keys=settings.authorized_keys,
        exclusive_keys=settings.exclusive_keys,
        sshd={name.lower(): value for name, value in _options(settings.ssh)},
        sshd_text=_sshd_text(settings.ssh),
        keys_needed=settings.ssh.password_authentication is False,
        passwordless_sudo=settings.passwordless_sudo,
    )


def _packages(settings: Settings) -> tuple[str, ...]:
    more = (UPGRADES,) if settings.unattended_upgrades else ()
    return (*PACKAGES, *settings.packages, *more)


def _files(settings: Settings) -> tuple[File, ...]:
    if settings.unattended_upgrades is None:
        return ()
    text = render("base/unattended-upgrades.conf.j2", on=int(settings.unattended_upgrades))
    return (File(path=UPGRADES_FILE, text=text),)


def _options(ssh: Sshd) -> tuple[tuple[str, str], ...]:
    """Return the lines of our drop-in, with values spelt as `sshd -T` prints them."""
    made = []
    if ssh.password_authentication is not None:
        made.append(("PasswordAuthentication", "yes" if ssh.password_authentication else "no"))
    if ssh.password_authentication is False:
        # PAM asks for the password through this too.
        made.append(("KbdInteractiveAuthentication", "no"))
    if ssh.root_login is not None:
        made.append(("PermitRootLogin", "without-password" if ssh.root_login else "no"))
    return tuple(made)


def _sshd_text(ssh: Sshd) -> str | None:
    options = _options(ssh)
    return render("base/sshd.conf.j2", options=options) if options else None


def steps(plan: BasePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Wait for cloud-init, set the clock, which apt needs; SSH and sudo come last."""
    unwanted = () if plan.files else (UPGRADES_FILE,)
    return (
        cloud.wait(snapshot),
        _set_clock(plan, snapshot),
        _repair(snapshot),
        install_packages("Install packages", node.packages, snapshot),
        write_files("Write apt's settings", plan.files, snapshot),
        remove_files("Remove apt's settings", unwanted, snapshot),
        _start_timers(plan, snapshot),
        *cloud.keep_name(plan.hostname, snapshot),
        _set_hostname(plan, snapshot),
        _set_timezone(plan, snapshot),
        access.end_trial(snapshot),
        access.set_keys(plan.keys, exclusive=plan.exclusive_keys, snapshot=snapshot),
        access.set_sshd(plan.sshd_text, snapshot, keys_needed=plan.keys_needed),
        sudo.set_rule(plan.passwordless_sudo, snapshot),
    )


def revert(plan: BasePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Remove our files; packages, name, time zone and keys stay, as what was before is not known."""
    return (
        remove_files("Remove apt's settings", (UPGRADES_FILE,), snapshot),
        cloud.give_back(snapshot),
        access.end_trial(snapshot),
        access.set_sshd(None, snapshot, keys_needed=False),
        sudo.remove_rule(snapshot),
    )


def _set_clock(plan: BasePlan, snapshot: Snapshot) -> Step:
    name = "Set the clock"
    off, ntp = (
        clocks.wrong(snapshot, plan.clock_tolerance_s),
        plan.ntp and clocks.ntp_is_off(snapshot),
    )
    reasons = [off.why if isinstance(off, Unknown) else off] if off else []
    reasons += ["NTP is off"] if ntp else []
    if not reasons:
        return Step(name, None)
    query = {
        "ntp": ntp,
        "wait_s": plan.clock_wait_s if off else None,
        "tolerance_s": plan.clock_tolerance_s,
    }
    return Step(
        name,
        "; ".join(reasons),
        "set_clock",
        query,
        timeout_s=plan.clock_wait_s + 60,
        # The program adds the time that has passed since it began.
        sent_at="right_at_s",
    )


def half_installed(snapshot: Snapshot) -> str | Unknown | None:
    """Return what dpkg left half installed; None when nothing is."""
    said, files = snapshot.command(AUDIT), snapshot.files
    if isinstance(said, Unknown):
        return said
    if isinstance(files, Unknown):
        return files
    if said is None:
        return Unknown("there is no dpkg")
    if any(seen and path.startswith(JOURNAL.rstrip("*")) for path, seen in files.items()):
        return "dpkg was killed at its work"
    lines = (line.split() for line in said.output.splitlines() if line.startswith(" "))
    names = [words[0] for words in lines if words]
    if names:
        return f"half installed: {' '.join(names)}"
    return said.output.strip() or f"`{AUDIT}` ended with {said.code}" if said.code else None


def _repair(snapshot: Snapshot) -> Step:
    name, why = "Repair what dpkg left half done", half_installed(snapshot)
    # Of what could not be seen the step that installs packages takes care: it repairs first.
    if why is None or isinstance(why, Unknown):
        return Step(name, None)
    return Step(name, why, "apt_install", {"packages": []}, detached=True, timeout_s=3600)


def _start_timers(plan: BasePlan, snapshot: Snapshot) -> Step:
    """Enable apt's timers where upgrades are on; where they are off, the timers find nothing to do."""
    name, why = "Start apt's timers", not_started(plan, snapshot)
    why = why.why if isinstance(why, Unknown) else why
    return systemd(name, why, unmask=TIMERS, enable=TIMERS, start=TIMERS)


def not_started(plan: BasePlan, snapshot: Snapshot) -> str | Unknown | None:
    """Return which of apt's timers is needed and not active; None for none."""
    for timer in TIMERS if plan.unattended_upgrades else ():
        unit = snapshot.unit(timer)
        if isinstance(unit, Unknown):
            return unit
        if unit.enabled != "enabled" or unit.active != "active":
            return f"{timer} is {unit.enabled or 'not there'} and {unit.active}"
    return None


def misnamed(plan: BasePlan, snapshot: Snapshot) -> str | Unknown | None:
    """Return why the hostname is not set or does not resolve; None when it does, or none is planned."""
    if plan.hostname is None:
        return None
    system, seen = snapshot.system, snapshot.file(HOSTS)
    if not isinstance(system, System):
        return system
    if isinstance(seen, Unknown):
        return seen
    if system.hostname != plan.hostname:
        return f"it is {system.hostname}"
    text = (seen.text or "") if seen else ""
    return None if hosts.resolves(text, plan.hostname) else f"{HOSTS} does not have it"


def _set_hostname(plan: BasePlan, snapshot: Snapshot) -> Step:
    name, why = "Set the hostname", misnamed(plan, snapshot)
    if plan.hostname is None or why is None:
        return Step(name, None)
    seen = snapshot.file(HOSTS)
    before = (seen.text or "") if isinstance(seen, FileState) else ""
    after = hosts.edited(before, plan.hostname)
    query = {
        "name": plan.hostname,
        "path": HOSTS,
        "was_sha256": hashlib.sha256(before.encode()).hexdigest(),
        "hosts": after,
    }
    reason = why.why if isinstance(why, Unknown) else why
    return Step(name, reason, "set_hostname", query, diffs=(Difference(HOSTS, before, after),))


def _set_timezone(plan: BasePlan, snapshot: Snapshot) -> Step:
    name, found = "Set the time zone", clocks.clock(snapshot)
    if plan.timezone is None:
        return Step(name, None)
    if isinstance(found, Unknown):
        why = found.why
    elif found.timezone != plan.timezone:
        why = f"it is {found.timezone}"
    else:
        return Step(name, None)
    return Step(name, why, "command", {"argv": ["timedatectl", "set-timezone", plan.timezone]})
