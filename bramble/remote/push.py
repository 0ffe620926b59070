"""Tell people when a node's own checks change, and tell dead man's switches that it is alive.

A change is told once it has held for two runs, to each channel until that one took it: what could not
be delivered is tried again in the next run. The state of this is one file, written when it changes.
"""

import json
import os
import sys
import time

from bramble.remote import atomic, push_channels

# A question to the model may take minutes of a run.
STALE_RUNS, PATIENCE_S = 5, 300
STATE = "state.json"
WATCHING = "node_watches_itself"


def failing(status, now_s):
    """Return the sentences of what is not well, by the checks' names; a look too old is one thing."""
    age_s = now_s - status["at_s"]
    if age_s > STALE_RUNS * status["interval_s"] + PATIENCE_S:
        return {WATCHING: f"the node last watched itself {age_s / 60:.0f} minutes ago"}
    return {row["check"]: row["said"] for row in status["checks"] if row["ok"] is False}


def message(host, found, at_s):
    """Return what people are told."""
    text = "\n".join(f"{name}: {said}" for name, said in found.items()) or "every check passes"
    title = f"{host}: {len(found)} of its checks fail" if found else f"{host}: well again"
    problems = [{"check": name, "said": said} for name, said in found.items()]
    return {
        "host": host,
        "well": not found,
        "title": title,
        "text": text,
        "problems": problems,
        "at": int(at_s),
    }


def read(path):
    """Return the JSON object in a file; nothing where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def due(channel, found, state):
    """Return whether a channel is to be told now; a heartbeat only where the node watches itself."""
    if channel["kind"] == "heartbeat":
        return WATCHING not in found
    if channel["kind"] in push_channels.EVERY_TIME:
        return True
    now = sorted(found)
    return now == state.get("seen", []) and now != state.get("told", {}).get(channel["kind"], [])


def tell(channels, secrets, status, state, now_s, pause=time.sleep):
    """Tell each channel what it is due; return the new state and why some were not told."""
    found = failing(status, now_s)
    said, told, problems = message(status["host"], found, now_s), dict(state.get("told", {})), []
    for channel in channels:
        kind = channel["kind"]
        if not due(channel, found, state):
            continue
        try:
            secret = secret_of(secrets, kind)
            push_channels.send(channel, secret, said, pause)
        except push_channels.PushError as error:
            problems.append(f"{kind}: {error}")
            continue
        if kind not in push_channels.EVERY_TIME:
            told[kind] = sorted(found)
    return {"seen": sorted(found), "told": told}, problems


def secret_of(folder, kind):
    """Return the secret that systemd handed over; raise PushError where it did not."""
    try:
        with open(os.path.join(folder, kind), encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, ValueError):
        raise push_channels.PushError("there is no readable secret of it") from None


def main(query):
    """Tell who is to be told; the folders of secrets and of the state are systemd's."""
    plan, status = read(query["plan"]), read(query["status"])
    if not status:
        print(f"{query['status']} tells nothing: the node has not watched itself", file=sys.stderr)
        return 1
    path = os.path.join(os.environ["STATE_DIRECTORY"], STATE)
    state = read(path)
    secrets = os.environ["CREDENTIALS_DIRECTORY"]
    new, problems = tell(plan["channels"], secrets, status, state, time.time())
    if new != state:
        atomic.write(path, json.dumps(new), 0o600)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0
