"""What base proves: a system that may be provisioned, a right clock, whole packages, and a way in."""

from __future__ import annotations

import re

from bramble.board import refusals
from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.owned import as_written
from bramble.roles.base import access, cloud, sudo
from bramble.roles.base import clock as clocks
from bramble.roles.base.plan import (
    HOSTS,
    PERIODIC,
    UPGRADES,
    UPGRADES_FILE,
    UPGRADES_TIMER,
    BasePlan,
    half_installed,
    misnamed,
    not_started,
    steps,
)
from bramble.snapshot import Login, Unknown
from bramble.steps import lacking
from bramble.system.debian import RELEASES

DEPLOY = "Run the deploy again."
_PERIODIC_LINE = re.compile(r'^APT::Periodic::Unattended-Upgrade "([^"]*)";$', re.M)


@check()
def system_is_supported(plan: BasePlan, node: Node) -> Finding:
    """The node runs a whole 64-bit Bookworm or Trixie that keeps its changes."""
    found = refusals(node.snapshot)
    names = " or ".join(release.name for release in RELEASES.values())
    want = f"64-bit userland, {names}, no overlay in memory as root"
    if isinstance(node.snapshot.system, Unknown):
        return unknown(want, node.snapshot.system)
    return expect(
        want, "; ".join(found) or "as wanted", not found, "Mend that, or flash the card again."
    )


@check()
def packages_are_installed(plan: BasePlan, node: Node) -> Finding:
    """The Debian packages of all roles are installed."""
    want, packages = " ".join(node.plan.packages), node.snapshot.packages
    if isinstance(packages, Unknown):
        return unknown(want, packages)
    missing = lacking(node.plan.packages, node.snapshot)
    got = f"missing: {' '.join(missing)}" if missing else "all installed"
    return expect(want, got, not missing, DEPLOY)


@check()
def clock_is_right(plan: BasePlan, node: Node) -> Finding:
    """The clock follows an NTP server, or is near that of the computer that looked and is to follow."""
    want = f"synchronised, or at most {plan.clock_tolerance_s} s off this computer's clock"
    found = clocks.wrong(node.snapshot, plan.clock_tolerance_s)
    if isinstance(found, Unknown):
        return unknown(want, found)
    own = clocks.clock(node.snapshot)
    follows = not isinstance(own, Unknown) and own.synchronised
    ok = "synchronised" if follows else "not synchronised, and near this computer's"
    if plan.ntp and found is None and clocks.ntp_is_off(node.snapshot):
        found = f"{ok}; but NTP is off"
    remedy = "Give the node a way to an NTP server (see `timedatectl timesync-status`), or deploy."
    return expect(want, found or ok, found is None, remedy)


@check()
def dpkg_is_consistent(plan: BasePlan, node: Node) -> Finding:
    """No package is half installed, and dpkg was not killed at its work."""
    want, found = "nothing half installed", half_installed(node.snapshot)
    if isinstance(found, Unknown):
        return unknown(want, found)
    return expect(want, found or want, found is None, "Deploy again, which repairs it.")


@check()
def upgrades_are_as_planned(plan: BasePlan, node: Node) -> Finding:
    """The node installs security updates by itself, or does not, as the person set it."""
    words = {True: "on", False: "off", None: "the system's own"}
    want = words[plan.unattended_upgrades]
    said, packages = node.snapshot.command(PERIODIC), node.snapshot.packages
    timer, sleeping = node.snapshot.unit(UPGRADES_TIMER), not_started(plan, node.snapshot)
    for seen in (said, packages, timer, sleeping):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    assert not isinstance(said, Unknown | None)
    assert not isinstance(packages, Unknown)
    assert not isinstance(timer, Unknown)
    line = _PERIODIC_LINE.search(said.output)
    reported = line is not None and line[1] not in ("", "0")
    runs = bool(packages.get(UPGRADES)) and timer.enabled == "enabled"
    got = "on" if reported and runs else "off"
    if plan.unattended_upgrades is None:
        return skip(want, f"base.unattended_upgrades is not set; they are {got}")
    if reported and not runs:
        got = (
            f"off: {UPGRADES} is not installed, or {UPGRADES_TIMER} is {timer.enabled or 'absent'}"
        )
    if sleeping and got == "on" == want:
        got = f"off: {sleeping}"
    remedy = f"Deploy again; if it stays, a later file of apt.conf.d says otherwise ({PERIODIC})."
    return expect(want, got, got == want or (want == "off" and not (reported and runs)), remedy)


@check()
def hostname_is_as_planned(plan: BasePlan, node: Node) -> Finding:
    """The node has its name, and resolves it itself."""
    want, found = plan.hostname or "the system's own", misnamed(plan, node.snapshot)
    if isinstance(found, Unknown):
        return unknown(want, found)
    if plan.hostname is None:
        return skip(want, "base.hostname is not set")
    return expect(want, found or want, found is None, DEPLOY)


@check(severity="warn")
def cloud_init_keeps_the_name(plan: BasePlan, node: Node) -> Finding:
    """cloud-init does not take the node's name out of /etc/hosts at the next boot."""
    want, on = plan.hostname or "the system's own", cloud.runs(node.snapshot)
    if plan.hostname is None:
        return skip(want, "base.hostname is not set")
    if isinstance(on, Unknown):
        return unknown(want, on)
    if not on:
        return skip(want, "there is no cloud-init, or it is off")
    name = cloud.own_name(node.snapshot)
    if isinstance(name, Unknown):
        return unknown(want, name)
    got = f"at each boot /etc/hosts is written for {name}" if name else "it leaves /etc/hosts alone"
    remedy = (
        f"Set `manage_etc_hosts: false` in {cloud.OVERRIDE} (in user-data if that says otherwise), or "
        "give base.hostname the name of its metadata."
    )
    return expect(want, got, name in (None, plan.hostname), remedy)


@check()
def timezone_is_as_planned(plan: BasePlan, node: Node) -> Finding:
    """The node's time zone is the planned one."""
    want, found = plan.timezone or "the system's own", clocks.clock(node.snapshot)
    if isinstance(found, Unknown):
        return unknown(want, found)
    if plan.timezone is None:
        return skip(want, f"base.timezone is not set; it is {found.timezone}")
    return expect(want, found.timezone, found.timezone == plan.timezone, DEPLOY)


@check()
def keys_are_there(plan: BasePlan, node: Node) -> Finding:
    """The planned keys open the account that bramble logs in to, and with exclusive_keys no others."""
    others = " and no other" if plan.exclusive_keys else ""
    want, login = f"{len(plan.keys)} keys{others}", node.snapshot.login
    if not plan.keys:
        return skip("the system's own", "base.authorized_keys is empty")
    if isinstance(login, Unknown):
        return unknown(want, login)
    problem = access.problem_with_keys(login, plan.keys, exclusive=plan.exclusive_keys)
    return expect(want, problem or f"all in {login.path}", problem is None, DEPLOY)


@check()
def sshd_configuration_is_valid(plan: BasePlan, node: Node) -> Finding:
    """sshd itself finds its configuration valid, so that it starts at the next boot."""
    want, said = "sshd finds no fault in it", node.snapshot.command(access.EFFECTIVE)
    if isinstance(said, Unknown):
        return unknown(want, said)
    if said is None:
        return skip(want, "there is no sshd")
    remedy = "Mend what it names before this connection ends and before the next reboot."
    if said.code == 0:
        return expect(want, "no fault", True, remedy)
    return expect(want, said.output.strip() or f"exit code {said.code}", False, remedy)


@check()
def sshd_has_its_options(plan: BasePlan, node: Node) -> Finding:
    """sshd's configuration as a whole comes to the planned values, whatever other files say."""
    want = " ".join(f"{name}={value}" for name, value in plan.sshd.items()) or "the system's own"
    if not plan.sshd:
        return skip(want, "base.ssh sets nothing")
    said = node.snapshot.command(access.EFFECTIVE)
    if isinstance(said, Unknown):
        return unknown(want, said)
    if said is None or said.code:
        return unknown(want, Unknown(said.output.strip() if said else "there is no sshd"))
    given = access.command_line(node.snapshot)
    if isinstance(given, Unknown):
        return unknown(want, given)
    if "-f" in given:
        why = f"sshd is started with -f {given['-f']}, which `{access.EFFECTIVE}` does not read"
        return Finding("unknown", want, why, f"Take it out of {access.DEFAULTS}, and restart ssh.")
    found = dict(line.split(" ", 1) for line in said.output.splitlines() if " " in line)
    found |= given
    got = " ".join(f"{name}={found.get(name, 'none')}" for name in plan.sshd)
    remedy = (
        f"Deploy again; if it stays, something before {access.DROP_IN} sets it, sshd_config lacks the "
        "line `Include /etc/ssh/sshd_config.d/*.conf` at its top, or sshd is started with other "
        f"options: SSHD_OPTS in {access.DEFAULTS}."
    )
    return expect(want, got, got == want, remedy)


@check()
def sudo_asks_as_planned(plan: BasePlan, node: Node) -> Finding:
    """sudo asks bramble's account for a password, or does not, as the person set it."""
    words = {True: "it asks for none", False: "it asks for one", None: "the system's own"}
    want, login = words[plan.passwordless_sudo], node.snapshot.login
    if plan.passwordless_sudo is None:
        return skip(want, "base.passwordless_sudo is not set")
    if isinstance(login, Login) and login.user == sudo.ROOT:
        return skip(want, "bramble logs in as root")
    found = sudo.asks(node.snapshot)
    if isinstance(found, Unknown):
        return unknown(want, found)
    remedy = (
        f"Deploy again; if it stays, another rule comes after {sudo.RULE} or allows it: `sudo grep -r "
        "PASSWD /etc/sudoers /etc/sudoers.d`."
    )
    return expect(want, words[not found], found is not plan.passwordless_sudo, remedy)


@check()
def files_are_as_written(plan: BasePlan, node: Node) -> Finding:
    """Each file and line that this role writes stands as it was written: text, mode and owner."""
    look = node.snapshot
    judged_by: list[object] = [look.file(access.DROP_IN), look.file(UPGRADES_FILE)]
    judged_by += [look.login] if plan.keys or plan.sshd_text else []
    if plan.passwordless_sudo is not None:
        judged_by += [look.login, look.file(sudo.RULE)]
    judged_by += [look.file(HOSTS), look.system] if plan.hostname else []
    return as_written(plan, steps(plan, node.plan, look), look, *judged_by)
