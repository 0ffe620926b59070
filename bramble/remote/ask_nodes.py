"""Ask each node of a gateway a question whose answer is known, through the gateway itself.

A question takes a slot like everybody's, but goes first. Who answers wrongly is drained, and let back
once right. Who is slow is told and not drained: it may have much to do. Who is away is the matter of
HAProxy's own checks. A node that a run took out and never brought back comes back here, once its lease
is over and its answer right. The plan of this is a file that a deploy leaves (`plan` of the query).
"""

import contextlib
import fcntl
import json
import sys
import threading
import time

from bramble.remote import atomic, balancer, drains, local_http, talk

STATE, RUNNING = "state.json", "running"
RIGHT, WRONG, SLOW, AWAY, NOT_ASKED = "right", "wrong", "slow", "away", "not asked"
# Statuses by which HAProxy, or a node's own way in, says that the model was not reached: too much to do,
# or not there.
TOO_BUSY, NOT_THERE = {408, 429, 503, 504}, {401, 403, 421, 502}
URL = "http://gateway:80"


def alone(plan):
    """Return the lock of the one that asks; None where another one asks already."""
    lock = open(drains.path(plan, RUNNING), "a")
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    lock.close()
    return None


def answered(plan, one, question, left_s):
    """Ask a node one question; return how it answered, and in words."""
    heads = {"x-bramble-pool": one["pool"], "x-bramble-node": one["node"]}
    asked = question | {"way": {"socket": plan["socket"], "heads": heads}}
    try:
        return RIGHT, talk.known(question["task"], URL, asked, left_s)
    except talk.AnswerError as error:
        return WRONG, str(error)
    except local_http.StatusError as error:
        by_status = AWAY if error.status in NOT_THERE else WRONG
        return SLOW if error.status in TOO_BUSY else by_status, str(error)
    except TimeoutError:
        return SLOW, f"no answer within {plan['deadline_s']} s"
    except (OSError, local_http.HttpError) as error:
        return AWAY, str(error)
    except talk.NONSENSE as error:
        return WRONG, f"its answer cannot be read: {type(error).__name__}: {error}"


def ask(plan, one, ends):
    """Ask a node for all models of a pool; return the worst of its answers."""
    found = NOT_ASKED, "; ".join(one["skipped"])
    for question in one["questions"]:
        left_s = ends - time.monotonic()
        if left_s <= 0:
            return SLOW, f"no answer within {plan['deadline_s']} s"
        found = answered(plan, one, question, left_s)
        if found[0] != RIGHT:
            break
    return found


def answers(plan, several):
    """Ask all at once, each node one question at a time; return how each answered by the deadline."""
    ends = time.monotonic() + plan["deadline_s"]
    found = {}

    def in_turn(node):
        for one in several:
            if one["node"] == node:
                found[of(one)] = ask(plan, one, ends)

    nodes = {one["node"] for one in several}
    threads = [threading.Thread(target=in_turn, args=(node,), daemon=True) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()) + 1)
    late = SLOW, f"no answer within {plan['deadline_s']} s"
    return {key: found.get(key, late) for key in map(of, several)}


def of(one):
    """Return how notes and HAProxy name a node of the plan: by its pool and itself."""
    return one["pool"], one["node"]


def unasked(one, seen, leased):
    """Return why a node is not to be asked now; None where it is."""
    if seen is None:
        return AWAY, "the gateway does not have it"
    if one["node"] in leased:
        return NOT_ASKED, "it is taken out"
    if not seen.up or seen.admin & balancer.MAINTENANCE:
        return AWAY, "it is down"
    return None


def look(plan, seen, leased):
    """Return how each node answers now, or why it is not asked."""
    found = {of(one): unasked(one, seen.get(of(one)), leased) for one in plan["nodes"]}
    asked = answers(plan, [one for one in plan["nodes"] if found[of(one)] is None])
    return {**found, **asked}


def again(plan, notes, seen):
    """Drain what is noted and takes requests all the same: HAProxy was started anew."""
    planned = {of(one) for one in plan["nodes"]}
    for key in planned & seen.keys():
        if drains.name(*key) in drains.held(notes) and not seen[key].admin & balancer.DRAINED:
            balancer.drain(plan["admin"], *key)


def judge(plan, notes, found, now_s):
    """Drain who answered wrongly, and let those back who are right again."""
    seen, leased = balancer.servers(plan["admin"]), drains.leased(notes, now_s)
    known = {drains.name(*key) for key in found}
    for gone in notes["wrong"].keys() - known:
        del notes["wrong"][gone]
    for (pool, node), (answer, said) in found.items():
        if node not in leased and (pool, node) in seen:
            settle(plan, notes, seen[pool, node], answer, said, now_s)


def settle(plan, notes, server, answer, said, now_s):
    """Do what a node's answer asks for: one that somebody else drained is left to them."""
    key, own = drains.name(server.pool, server.node), server[:2]
    ours = key in drains.held(notes)
    if answer == WRONG and (ours or not server.admin & balancer.DRAINED):
        since_s = notes["wrong"].get(key, {}).get("since_s", now_s)
        notes["wrong"][key] = {"since_s": since_s, "why": said}
        drains.drain(plan, notes, [own])
    elif ours and (answer == RIGHT or (answer == NOT_ASKED and server.up)):
        notes["wrong"].pop(key, None)
        drains.end_lease(notes, *own)
        drains.let_back(plan, notes, [own])


def told(plan, notes, found, now_s):
    """Return what was found, for whoever checks the gateway."""
    nodes = [
        {"pool": pool, "node": node, "answer": answer, "said": said}
        for (pool, node), (answer, said) in found.items()
    ]
    drained = drains.drained(plan, notes, now_s)
    return {"at_s": now_s, "interval_s": plan["interval_s"], "nodes": nodes, "drained": drained}


def asked(plan):
    """Ask all nodes once, draw the consequences, and write down what was found."""
    with drains.opened(plan) as notes:
        seen = balancer.servers(plan["admin"])
        balancer.align(plan["admin"], seen)
        again(plan, notes, seen)
        leased = drains.leased(notes, time.time())
    found = look(plan, seen, leased)
    now_s = time.time()
    with drains.opened(plan) as notes:
        judge(plan, notes, found, now_s)
        drains.remember(plan)
        state = told(plan, notes, found, now_s)
    atomic.write(drains.path(plan, STATE), json.dumps(state, indent=1), 0o644)


def main(query):
    """Ask once; another one that asks already does it for this one too."""
    with open(query["plan"], encoding="utf-8") as file:
        plan = json.load(file)
    lock = alone(plan)
    if lock is None:
        print("another run is asking")
        return 0
    with lock:
        try:
            asked(plan)
        except balancer.BalancerError as error:
            print(error, file=sys.stderr)
            return 1
    return 0
