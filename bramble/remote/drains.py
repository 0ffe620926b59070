"""Which nodes a gateway's host has drained itself, why, and until when.

Each is noted before it is drained, and forgotten after it is let back: so what a person drained stays
drained, whoever else comes and goes. A node may be out twice, by a wrong answer and by a lease; it is
back once neither is left.
"""

import contextlib
import fcntl
import json
import os
import pwd

from bramble.remote import atomic, balancer

NOTES, KEPT, LOCK = "drained.json", "servers.state", "lock"


def become(user):
    """Be the service's user, as whom all of this is kept, where this is root."""
    if os.geteuid() == 0:
        one = pwd.getpwnam(user)
        os.initgroups(user, one.pw_gid)
        os.setgid(one.pw_gid)
        os.setuid(one.pw_uid)


def path(plan, name):
    """Return where a file of the notes is."""
    return os.path.join(plan["folder"], name)


@contextlib.contextmanager
def opened(plan):
    """Yield the notes, which nobody else changes meanwhile."""
    with open(path(plan, LOCK), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield noted(plan)


def noted(plan):
    """Return the notes: wrong answers by pool and node, leases by node; none where damaged."""
    try:
        with open(path(plan, NOTES), encoding="utf-8") as file:
            found = json.load(file)
        return {
            "wrong": {key: {**one} for key, one in found["wrong"].items()},
            "leases": {node: {**one} for node, one in found["leases"].items()},
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {"wrong": {}, "leases": {}}


def name(pool, node):
    """Return a server as HAProxy's commands have it."""
    return f"{pool}/{node}"


def held(notes):
    """Return the servers that are drained by these notes."""
    leased = {name(p, node) for node, one in notes["leases"].items() for p in one["pools"]}
    return {*notes["wrong"], *leased}


def leased(notes, now_s):
    """Return the nodes whose lease is not over."""
    return {node for node, one in notes["leases"].items() if one["until_s"] > now_s}


def end_lease(notes, pool, node):
    """Forget that a server is leased; a node's lease is over with its last one."""
    lease = notes["leases"].get(node)
    if lease and pool in lease["pools"]:
        lease["pools"].remove(pool)
        if not lease["pools"]:
            del notes["leases"][node]


def drain(plan, notes, servers):
    """Keep the notes, then drain what they newly hold."""
    keep(plan, notes)
    for one in servers:
        balancer.drain(plan["admin"], *one)
    remember(plan)


def let_back(plan, notes, servers):
    """Let those back that no note holds any more, then keep the notes."""
    left = held(notes)
    for one in servers:
        if name(*one) not in left:
            balancer.ready(plan["admin"], *one)
    keep(plan, notes)
    remember(plan)


def keep(plan, notes):
    """Write the notes."""
    atomic.write(path(plan, NOTES), json.dumps(notes, indent=1), 0o644)


def remember(plan):
    """Write down for HAProxy's next start who is drained now."""
    with open(plan["config"], encoding="utf-8") as file:
        config = file.read()
    text = balancer.kept(balancer.servers(plan["admin"]), config)
    atomic.write(path(plan, KEPT), text, 0o644)


def drained(plan, notes, now_s):
    """Return who is drained now, since when and why, as whoever reads the state is told."""
    several = balancer.servers(plan["admin"]).values()
    return [told(one, notes, now_s) for one in several if one.admin & balancer.DRAINED]


def told(server, notes, now_s):
    """Return one of them: by a lease, by a wrong answer, or by somebody else."""
    found = {"pool": server.pool, "node": server.node, "until_s": None}
    lease, key = notes["leases"].get(server.node), name(server.pool, server.node)
    if lease and server.pool in lease["pools"]:
        return {**found, **{part: lease[part] for part in ("since_s", "until_s", "why")}}
    if key in notes["wrong"]:
        return {**found, **notes["wrong"][key]}
    since_s = now_s - server.changed_s
    return {**found, "since_s": since_s, "why": "somebody drained it by the gateway's admin socket"}
