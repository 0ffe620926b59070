"""Take a node out of a gateway for one run, and bring it back when that says so.

One node is out at a time: whoever comes meanwhile waits for the lock of this process, which ends with
the connection. Its requests are waited for. The lease that is noted outlives this process: where the run
is never heard of again, the program ask_nodes lets the node back once that is over and its answer right.
The last node that is up for a model is not taken out.
"""

import fcntl
import json
import os
import select
import sys
import time

from bramble.remote import balancer, drains

TURN = "turn"
EVERY_S = 0.3
# What the run's computer sends a byte every few seconds for: bramble/pyinfra/alone.py.
SILENT_S = 60
# A node may load its model for minutes before HAProxy finds it up; who comes next waits for that.
UP_S = 300


class GoneError(Exception):
    """The run's computer is not there any more."""


class Run:
    """The run at the other end: what it says, and that it is still there."""

    def __init__(self, connection):
        self.connection, self.heard_s, self.said = connection, time.monotonic(), b""

    def word(self, wait_s):
        """Return the next word that it says within `wait_s`, or nothing; raise GoneError at its end."""
        if select.select([self.connection], [], [], wait_s)[0]:
            piece = os.read(self.connection, 4096)
            if not piece:
                raise GoneError
            self.said, self.heard_s = self.said + piece, time.monotonic()
        elif time.monotonic() - self.heard_s > SILENT_S:
            raise GoneError
        while b"\n" in self.said:
            line, _, self.said = self.said.partition(b"\n")
            if line:
                return line.decode("utf-8", "replace")
        return ""

    def tell(self, state, **more):
        """Tell it how far this is."""
        print(json.dumps({"state": state, **more}), flush=True)


def in_turn(lock, run, node):
    """Wait until no other node is out, and say once for whom."""
    told = None
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read(256) or "another node"
            if holder != told:
                run.tell("waiting", node=holder)
                told = holder
            run.word(EVERY_S)
        else:
            lock.truncate(0)
            lock.write(node)
            lock.flush()
            return


def serving(plan, own):
    """Return which of a node's servers are up, and take requests or did until they were drained."""
    seen = balancer.servers(plan["admin"])
    return [key for key in own if key in seen and seen[key].up]


def has_another(seen, key):
    """Tell whether another node of the pool takes requests."""
    pool, node = key
    return any(
        one.pool == pool and one.node != node and one.up and not one.admin for one in seen.values()
    )


def take(plan, own, query, now_s):
    """Drain the node where another one answers; return which servers, the end, and where none does."""
    node = query["node"]
    with drains.opened(plan) as notes:
        seen, ours = balancer.servers(plan["admin"]), drains.held(notes)
        left = [key for key in own if drains.name(*key) in ours or has_another(seen, key)]
        taken = [
            key
            for key in left
            if drains.name(*key) in ours or not seen[key].admin & balancer.DRAINED
        ]
        until_s = now_s + plan["lease_s"]
        if taken:
            pools = [pool for pool, _ in taken]
            lease = {"since_s": now_s, "until_s": until_s, "pools": pools, "why": query["why"]}
            notes["leases"][node] = lease
            drains.drain(plan, notes, taken)
    return taken, until_s, sorted({pool for pool, _ in own} - {pool for pool, _ in left})


def over(plan, taken, run):
    """Wait until the requests there are over; return how many are left after the time for that."""
    ends = time.monotonic() + plan["drain_s"]
    while True:
        busy = balancer.busy(plan["admin"])
        left = sum(busy.get(key, 0) for key in taken)
        if not left or time.monotonic() > ends:
            return left
        run.word(EVERY_S)


def back(plan, node, taken, run):
    """Let the node back once HAProxy finds it up; return whether it did within its time."""
    ends = time.monotonic() + UP_S
    while not (up := len(serving(plan, taken)) == len(taken)) and time.monotonic() < ends:
        run.word(EVERY_S)
    with drains.opened(plan) as notes:
        notes["leases"].pop(node, None)
        drains.let_back(plan, notes, taken)
    return up


def kept(plan, node, why):
    """Note why the node stays out until its lease is over."""
    with drains.opened(plan) as notes:
        if node in notes["leases"]:
            notes["leases"][node]["why"] = why
            drains.keep(plan, notes)


def leased(plan, query, run):
    """Take the node out, and do with it what the run then says."""
    node = query["node"]
    own = [(one["pool"], node) for one in plan["nodes"] if one["node"] == node]
    if not serving(plan, own):
        return run.tell("none", why="it has no requests there")
    with open(drains.path(plan, TURN), "a+") as lock:
        in_turn(lock, run, node)
        own = serving(plan, own)
        taken, until_s, last = take(plan, own, query, time.time())
        run.tell("out", left=over(plan, taken, run), until_s=until_s, last=models(plan, last))
        while not (word := run.word(SILENT_S)):
            pass
        if word == "back":
            return run.tell("back", up=back(plan, node, taken, run))
        kept(plan, node, word)
        return run.tell("kept")


def models(plan, pools):
    """Return the models of pools."""
    return [model for pool in pools for model in plan["pools"][pool]]


def main(query):
    """Tell by one JSON object a line what becomes of the node; a run that goes leaves its lease."""
    run = Run(sys.stdin.fileno())
    try:
        with open(query["plan"], encoding="utf-8") as file:
            plan = json.load(file)
        drains.become(plan["user"])
        leased(plan, query, run)
    except GoneError:
        return 1
    except FileNotFoundError as error:
        run.tell("none", why=f"there is no {error.filename}: deploy the gateway")
    except balancer.BalancerError as error:
        run.tell("none", why=str(error))
    return 0
