"""Tell what this node is doing, a line of JSON each second, for as long as somebody listens.

It writes no file and changes nothing. Its input is its lifeline: it ends where that ends, and where no
byte came from there for SILENT_S it is ended by the kernel, whatever it waits for then.

llama-server is asked every SERVER_S and no more often: it looks for clients that left only when it had
nothing to say to anybody for a second.
"""

import json
import os
import select
import signal
import sys
import threading
import time

from bramble.remote import gateway_state, server_state, speeds, talk, vitals

SILENT_S = 60
TICK_S = 1.0
SERVER_S, UNIT_S, BOARD_S = 5, 10, 10
# How long a first line waits for the looks, and what lies between two of them at a busy server.
FIRST_S, WINDOW_S = 5, 2
LATEST_S = 25
HEALTHY = "HTTP 200"
FILES = "files_are_as_written"
NICE = 10


def board():
    """Return what the board tells of its heat and its supply; None for what it does not tell."""
    return {"temperature_c": vitals.temperature(), "throttled": vitals.bits()}


def unit(query):
    """Return the service's state, and how much of it is in memory, with its children."""
    wanted = query["server"]
    state = server_state.unit(wanted["unit"]) if wanted else {}
    pid = number(state.get("MainPID"))
    memory = server_state.memory_bytes(pid) if pid else {}
    return {
        "unit": state.get("ActiveState"),
        "restarts": number(state.get("NRestarts")),
        "resident_mib": mib(memory.get("VmRSS")),
        "swapped_mib": mib(memory.get("VmSwap")),
        **own_look(query["status"]),
    }


def gateway(wanted):
    """Return the state of a gateway's service, who waits there, and how its nodes are."""
    found = gateway_state.figures(wanted["socket"], wanted["pools"]) or {}
    return {
        "gateway": server_state.unit(wanted["unit"]).get("ActiveState"),
        "queues": found.get("waiting"),
        "nodes": found.get("nodes"),
    }


def number(said):
    """Return a whole number that is written in digits; None for anything else."""
    return int(said) if said and said.isascii() and said.isdigit() else None


def mib(size):
    """Return bytes in MiB."""
    return None if size is None else round(size / 1024 / 1024, 1)


def own_look(path):
    """Return what the node found when it looked at its files last, where it does that by itself."""
    try:
        with open(path or "", encoding="utf-8") as file:
            said = json.load(file)
        row = next(row for row in said["checks"] if row["check"] == FILES)
        return {"files_ok": row["ok"], "files_said": row["said"], "files_at_s": said["at_s"]}
    except (*server_state.NONSENSE, StopIteration):
        return {"files_ok": None, "files_said": None, "files_at_s": None}


class Server:
    """llama-server, with what was seen of each of its models before."""

    def __init__(self, wanted):
        self.wanted, self.speeds = wanted, {}

    def look(self):
        """Return whether it is healthy, what it serves, how busy it is and how fast it computes."""
        wanted = self.wanted
        if wanted is None:
            return {"health": None}
        health = talk.health(wanted["url"])
        if health != HEALTHY:
            self.speeds.clear()
            return {"health": health[:200]}
        said = server_state.props(wanted["url"])
        listed = server_state.states(wanted["url"]) if said and wanted["further"] else {}
        models = listed or self.only(said)
        awake = server_state.awake_of(wanted, said, listed) if said else []
        return {
            "health": health,
            "build": server_state.build(said),
            "models": models,
            **self.figures(awake),
        }

    def only(self, said):
        """Return the state of its one model by the name that it tells."""
        name = said.get("model_alias")
        if self.wanted["further"] or not isinstance(name, str):
            return {}
        return {name: "sleeping" if said.get("is_sleeping") else "loaded"}

    def figures(self, awake):
        """Return how many conversations are under way or wait, and the speeds of all together."""
        several = bool(self.wanted["further"])
        told = {
            name: server_state.figures(self.wanted["url"], name if several else None)
            for name in awake
        }
        for name in [name for name in self.speeds if name not in told]:
            del self.speeds[name]
        for name, figures in told.items():
            one = speeds.Speeds(self.wanted["slots"], self.wanted["guesses"])
            self.speeds.setdefault(name, one).add(time.monotonic(), figures)
        busy, waiting = ([one[n] for one in told.values() if n in one] for n in server_state.BUSY)
        return {
            "busy": int(sum(busy)) if len(busy) == len(told) else None,
            "waiting": int(sum(waiting)) if len(waiting) == len(told) else None,
            "tokens_per_s": together(one.tokens_per_s for one in self.speeds.values()),
            "prompt_per_s": together(one.prompt_per_s for one in self.speeds.values()),
        }


def together(several):
    """Return the sum of what is known; None where nothing is."""
    known = [one for one in several if one is not None]
    return round(sum(known), 2) if known else None


class Looking(threading.Thread):
    """One kind of look, again and again: none waits for another one that hangs."""

    def __init__(self, look, every_s):
        super().__init__(daemon=True)
        self.look, self.every_s = look, every_s
        self.first, self.over = threading.Event(), threading.Event()
        self.found, self.at_s = {}, None

    def run(self):
        """Look until it is over."""
        while not self.over.is_set():
            self.found, self.at_s = self.look(), time.monotonic()
            self.first.set()
            self.over.wait(self.every_s)


def line(looks):
    """Return what is known now, with the seconds since each kind of look."""
    now_s = time.monotonic()
    ages = {n: round(now_s - one.at_s, 1) for n, one in looks.items() if one.at_s is not None}
    found = {key: value for one in looks.values() for key, value in one.found.items()}
    said = {"uptime_s": uptime_s(), **found, "ages": ages}
    return json.dumps(said, separators=(",", ":"))


def uptime_s():
    """Return the seconds since the boot, a container's too; None where the kernel does not say."""
    up = (vitals.read("/proc/uptime") or "").partition(" ")[0]
    # The fields after the name, which may have blanks; the 22nd is when it started, in ticks.
    first = (vitals.read("/proc/1/stat") or "").rpartition(") ")[2].split(" ")
    try:
        return int(float(up) - int(first[19]) / os.sysconf("SC_CLK_TCK"))
    except (ValueError, IndexError):
        return None


def listens(connection, until_s):
    """Wait until then, and return whether somebody still listens at the other end."""
    while (left_s := until_s - time.monotonic()) > 0:
        if select.select([connection], [], [], left_s)[0]:
            if not os.read(connection, 4096):
                return False
            signal.alarm(SILENT_S)
    return True


def main(query):
    """Look, and print a line each second; with `once` a single one, after two looks at a busy server."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SILENT_S)
    os.nice(NICE)
    server, connection = Server(query["server"]), sys.stdin.fileno()
    every_s = WINDOW_S if query["once"] else SERVER_S
    looks = {
        "board": Looking(board, BOARD_S),
        "unit": Looking(lambda: unit(query), UNIT_S),
        "server": Looking(server.look, every_s),
    }
    if query["gateway"]:
        looks["gateway"] = Looking(lambda: gateway(query["gateway"]), every_s)
    for one in looks.values():
        one.start()
    try:
        await_first(looks, LATEST_S if query["once"] else FIRST_S)
        return (once if query["once"] else stream)(looks, connection)
    finally:
        for one in looks.values():
            one.over.set()


def await_first(looks, limit_s):
    """Wait for the first look of each kind, but no longer than that."""
    until_s = time.monotonic() + limit_s
    for one in looks.values():
        one.first.wait(max(until_s - time.monotonic(), 0))


def once(looks, connection):
    """Print one line: of a busy server after a second look, which its speed takes."""
    if looks["server"].found.get("busy"):
        listens(connection, time.monotonic() + WINDOW_S + TICK_S / 2)
    print(line(looks), flush=True)
    return 0


def stream(looks, connection):
    """Print a line each second until nobody listens."""
    at_s = time.monotonic()
    try:
        while True:
            print(line(looks), flush=True)
            # After a pause of the whole computer there is nothing to catch up with.
            at_s = max(at_s + TICK_S, time.monotonic())
            if not listens(connection, at_s):
                return 0
    except BrokenPipeError:
        return 0
