"""Sum up what this host's journal has of requests: by day, client, node and model, and no word of them.

HAProxy's lines have requests, bytes and times, those of llama-server tokens. The journal is read once,
line by line; what is kept is one row for each sum.
"""

import datetime
import json
import os
import signal
import subprocess
import sys

from bramble.remote import timings

GATEWAY, EDGE = "bramble-gateway.service", "bramble-edge.service"
UNITS = {GATEWAY: "gateway", EDGE: "edge", "llama-server.service": "model"}
FIELDS = "MESSAGE,MESSAGE_ID,N_DROPPED,_SYSTEMD_UNIT"
DROPPED = "a596d6fe7bfa4994828e72309e95d61e"  # SD_MESSAGE_JOURNAL_DROPPED
NO_NODE = "<NOSRV>"
COUNTS = (
    *("requests", "refused", "failed", "bytes_in", "bytes_out", "work_ms", "queue_ms"),
    *("tokens_in", "tokens_out"),
)
LONGEST, MOST_ROWS, MOST_S = 120, 2000, 300
LARGEST = 2**53
NICE = 10
UNSEEN = ("not seeing messages", "insufficient permissions")


def counted(row):
    """Return what a line of HAProxy says of a request; raise what a line of another form raises.

    The second letter of its end says where it was: before a node had it (R, Q, C, T), or later.
    """
    end, total_ms, queue_ms = row["end"], number(row["total_ms"]), number(row["queue_ms"])
    refused = end[1] in "RQCT" or row.get("node") == NO_NODE
    whole = end[:2] == "--" and 200 <= row["status"] < 400
    bytes_in = row["bytes_in"]
    return {
        "requests": 1,
        "refused": int(refused),
        "failed": int(not refused and not whole),
        "bytes_in": number(int(bytes_in)) if bytes_in.isascii() and bytes_in.isdigit() else 0,
        "bytes_out": number(row["bytes_out"]),
        "work_ms": 0 if refused else max(total_ms - queue_ms, 0),
        "queue_ms": queue_ms,
    }


def number(value):
    """Return a whole number of HAProxy's, which has -1 for what there was not."""
    if type(value) is not int or value > LARGEST:
        raise ValueError(value)
    return max(value, 0)


def text(value):
    """Return a text, as long as a name may be; a dash stands for what is not known."""
    if not isinstance(value, str):
        raise TypeError(value)
    return "" if value == "-" else value[:LONGEST]


class Sums:
    """Rows by day, kind, client, node and model, of which there are so many at most."""

    def __init__(self):
        self.rows, self.unread, self.lost, self.left_out = {}, 0, 0, 0

    def add(self, key, counts):
        """Add to a row."""
        if key not in self.rows and len(self.rows) >= MOST_ROWS:
            self.left_out += 1
            return
        row = self.rows.setdefault(key, dict.fromkeys(COUNTS, 0))
        for name, count in counts.items():
            row[name] += count

    def take(self, line):
        """Take up a line of the journal."""
        try:
            entry = json.loads(line)
            kind = UNITS.get(entry.get("_SYSTEMD_UNIT"))
            at_s = int(entry["__REALTIME_TIMESTAMP"]) // 1_000_000
            day = datetime.datetime.fromtimestamp(at_s, datetime.UTC).strftime("%Y-%m-%d")
            message = entry.get("MESSAGE")
            if entry.get("MESSAGE_ID") == DROPPED:
                self.lost += int(entry["N_DROPPED"])
            elif kind == "model":
                self.of_model(day, message)
            elif kind and (not isinstance(message, str) or message.startswith("{")):
                self.of_proxy(day, kind, json.loads(message))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
            self.unread += 1

    def of_proxy(self, day, kind, row):
        """Take up HAProxy's line of a request; who asks for names asks no model."""
        if row["method"] == "GET":
            return
        node, model = ("", "") if kind == "edge" else (text(row["node"]), text(row["model"]))
        key = (day, kind, text(row["client"]), "" if node == NO_NODE else node, model)
        self.add(key, counted(row))

    def of_model(self, day, message):
        """Take up llama-server's count of a prompt, or of an answer."""
        found = isinstance(message, str) and timings.PATTERN.search(message)
        if found and found["what"] != "total":
            name = "tokens_in" if found["what"] == "prompt eval" else "tokens_out"
            self.add((day, "model", "", "", ""), {name: number(int(found["tokens"]))})


def read(argv, each):
    """Hand over each line of a command until `each` has enough; return how many, and why it failed."""
    lines = 0
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            lines += 1
            if each(line):
                process.kill()
                return lines, ""
        said = process.stderr.read(2000).decode(errors="replace").strip()
    if process.returncode or any(word in said for word in UNSEEN):
        return lines, said.splitlines()[0] if said else f"it ended with {process.returncode}"
    return lines, ""


def journal(words, each):
    """Read the journal as root where that takes no password, else as an account that may read it."""
    for prefix in (["sudo", "-n"], []):
        argv = [*prefix, "journalctl", "--no-pager", "-o", "json", *words]
        try:
            lines, why = read(argv, each)
        except FileNotFoundError:
            lines, why = 0, f"there is no {argv[0]}"
        if lines or not why:
            return why
    return why


def begins_s():
    """Return when the journal's first entry was written; None where there is none."""
    found = []

    def first(line):
        found.append(int(json.loads(line)["__REALTIME_TIMESTAMP"]) // 1_000_000)
        return True

    try:
        journal(["--output-fields=PRIORITY"], first)
    except (ValueError, LookupError, TypeError):
        return None
    return found[0] if found else None


def main(query):
    """Read the journal since a time, and print the sums as one line of JSON."""
    signal.alarm(MOST_S)
    os.nice(NICE)
    sums = Sums()
    units = [word for unit in UNITS for word in ("-u", unit)]
    words = [*units, f"--output-fields={FIELDS}", f"--since=@{query['since_s']}"]
    if why := journal(words, sums.take):
        print(f"the journal cannot be read: {why}", file=sys.stderr)
        return 1
    rows = [[*key, *counts.values()] for key, counts in sums.rows.items()]
    rest = {"begins_s": begins_s(), "lost": sums.lost, "unread": sums.unread}
    print(json.dumps({"rows": rows, "left_out": sums.left_out, **rest}, separators=(",", ":")))
    return 0
