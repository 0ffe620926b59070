"""HAProxy while it runs, over its admin socket: which servers are up, drained and busy.

HAProxy forgets at a reload what it was told there. What `kept` returns it reads when it starts: that
restores the drained ones, and nothing else of what was before. A row there counts for a server's port
and its TLS too, so these are the new configuration's.
"""

import csv
import io
import socket
from collections import namedtuple

TIMEOUT_S = 10
# Bits of a server's administrative state: what somebody asked for over the socket.
MAINTENANCE, DRAINED = 1, 8
VERSION = "1"

Server = namedtuple("Server", "pool node up admin weight changed_s row")
"""A server as HAProxy has it: since when it is so, and its whole row by the names of the columns."""


class BalancerError(Exception):
    """What HAProxy did not do or tell, in words."""


def told(place, command):
    """Return what HAProxy answers to a command."""
    found = b""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(place)
            connection.sendall(f"{command}\n".encode())
            while piece := connection.recv(65536):
                found += piece
    except OSError as error:
        raise BalancerError(f"{place}: {error.strerror or error}; does the gateway run?") from error
    return found.decode("utf-8", "replace")


def servers(place):
    """Return all servers by pool and node."""
    lines = told(place, "show servers state").splitlines()
    if lines[:1] != [VERSION] or not lines[1:2] or not lines[1].startswith("# "):
        raise BalancerError(f"{place}: it does not tell its servers: {' '.join(lines)[:200]}")
    names = lines[1][2:].split()
    rows = [dict(zip(names, line.split(), strict=False)) for line in lines[2:] if line.strip()]
    return {(row["be_name"], row["srv_name"]): server(row) for row in rows}


def server(row):
    """Return a server by its row."""
    return Server(
        pool=row["be_name"],
        node=row["srv_name"],
        up=row["srv_op_state"] != "0",
        admin=int(row["srv_admin_state"]),
        weight=int(row["srv_uweight"]),
        changed_s=int(row["srv_time_since_last_change"]),
        row=row,
    )


def busy(place):
    """Return how many requests each server has, with those that wait for it, by pool and node."""
    text = told(place, "show stat -1 4 -1").removeprefix("# ")
    rows = csv.DictReader(io.StringIO(text))
    return {(row["pxname"], row["svname"]): int(row["scur"]) + int(row["qcur"]) for row in rows}


def drain(place, pool, node):
    """Have a server take no new request; what it has goes on.

    A conversation would find its way to a drained server all the same, but for one without weight.
    """
    order(place, f"set server {pool}/{node} state drain")
    order(place, f"set server {pool}/{node} weight 0")


def ready(place, pool, node):
    """Have a server take requests again, once its checks are good."""
    order(place, f"set server {pool}/{node} weight 100%")
    order(place, f"set server {pool}/{node} state ready")


def align(place, several):
    """Give those no weight that a person drained, and their own one to those that a person let back."""
    for one in several.values():
        is_drained = bool(one.admin & DRAINED)
        if is_drained == bool(one.weight):
            weight = "0" if is_drained else "100%"
            order(place, f"set server {one.pool}/{one.node} weight {weight}")


def order(place, command):
    """Give a command that is answered by nothing; raise BalancerError with what is said against it."""
    if said := told(place, command).strip():
        raise BalancerError(f"{command}: {said}")


def kept(several, config):
    """Return the text by which these servers stay drained, or in maintenance, with a configuration."""
    planned = places(config)
    held = [one for one in several.values() if one.admin & (MAINTENANCE | DRAINED)]
    rows = [restored(one.row, *planned[key]) for one in held if (key := one[:2]) in planned]
    # HAProxy wants the columns' names where there is no row too.
    names = " ".join(next(iter(several.values())).row) if several else ""
    return "\n".join([VERSION, f"# {names}", *rows, ""])


def restored(row, port, tls):
    """Return a server's row for another start."""
    return " ".join({**row, "srv_port": port, "srv_use_ssl": "1" if tls else "0"}.values())


def places(config):
    """Return each server's port and whether it is met by TLS, as HAProxy's configuration has it."""
    found, pool = {}, None
    for words in map(str.split, config.splitlines()):
        if words[:1] == ["backend"]:
            pool = words[1]
        elif words[:1] == ["server"] and pool:
            found[pool, words[1]] = (words[2].rpartition(":")[2], "ssl" in words)
    return found
