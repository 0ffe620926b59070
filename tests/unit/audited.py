"""What an audit's look shows of the good node beside its plan, and looks that differ in one thing."""

from dataclasses import replace
from datetime import date

from bramble.audit.around import read
from bramble.audit.judge import Judged, judge
from bramble.checks import run_all
from bramble.pyinfra.audit import Quiet
from bramble.remote.around import fingerprint_of
from bramble.system.parse import Socket
from tests.unit.good_node import ROLES
from tests.unit.roles.base.good import KEY, KEYS
from tests.unit.spoiled import GOOD, PLAN

TODAY = date(2026, 11, 30)
WRITTEN_S = 1_795_000_000
SSHD, EDGE, GATEWAY, EXPORTER = 35, 4801, 4901, 812
SOCKETS = (
    Socket("0.0.0.0", 22, (SSHD,)),
    Socket("::", 22, (SSHD,)),
    Socket("127.0.0.1", 8080),
    Socket("*", 8443, (EDGE, 4802)),
    Socket("*", 8444, (GATEWAY, 4902)),
    Socket("127.0.0.1", 9100, (EXPORTER,)),
)


def holder(exe, unit, user="root"):
    return {"exe": exe, "user": user, "unit": unit}


def origin(**changes):
    """What is told of one file that root wrote."""
    plain = {
        "owner": "root",
        "group": "root",
        "mode": 0o644,
        "modified_s": WRITTEN_S,
        "changed_s": WRITTEN_S,
        "package": None,
        "as_packaged": None,
    }
    return plain | changes


HOLDERS = {
    str(SSHD): holder("/usr/sbin/sshd", "ssh.service"),
    str(EDGE): holder("/usr/sbin/haproxy", "bramble-edge.service", "haproxy"),
    "4802": holder("/usr/sbin/haproxy", "bramble-edge.service", "haproxy"),
    str(GATEWAY): holder("/usr/sbin/haproxy", "bramble-gateway.service", "haproxy"),
    "4902": holder("/usr/sbin/haproxy", "bramble-gateway.service", "haproxy"),
    str(EXPORTER): holder("/usr/bin/prometheus-node-exporter", "prometheus-node-exporter.service"),
}
BESIDE = {
    "failed": [],
    "held": [],
    "holders": HOLDERS,
    "roots": ["root"],
    "keys": [{"user": "pi", "path": KEYS, "fingerprints": [fingerprint_of(KEY)]}],
    "loose": {"entries": [], "more": 0, "whole": True},
    "scheduled": [],
    "origins": {file.path: origin() for role in PLAN.roles.values() for file in role.files},
    "sudo": {"lines": [], "begins_s": WRITTEN_S - 90_000},
}
LOOK = replace(GOOD, sockets=SOCKETS)


def around(**changes):
    """What is beside the plan, but for some parts; an exception is why one is not known."""
    parts = BESIDE | changes
    return read(
        {
            name: {"unknown": str(part)} if isinstance(part, Exception) else {"ok": part}
            for name, part in parts.items()
        }
    )


def judged(look=LOOK, plan=PLAN, **beside):
    """All that is judged of a node with this look, by bramble's own roles."""
    roles = [role for role in ROLES if role.name in plan.roles]
    return Judged(
        plan=plan,
        snapshot=look,
        around=around(**beside),
        steps={role.name: role.steps(plan.roles[role.name], plan, look) for role in roles},
        results=run_all(Quiet(plan, look), tuple(c for role in roles for c in role.checks)),
        refusals=plan.refusals,
        strangers=tuple(
            one for role in roles if role.beside for one in role.beside(plan.roles[role.name], look)
        ),
    )


def audit(look=LOOK, waivers=(), today=TODAY, **beside):
    """The audit of a node with this look."""
    return judge(judged(look, **beside), waivers, today)


def told(host):
    """What is told of a host without asking for all, by what a waiver names."""
    return {item.id: item for item in host.items if item.is_told}
