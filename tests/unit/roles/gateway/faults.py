"""What spoils what gateway proves, what hides it from a look, and where its checks do not apply."""

from dataclasses import replace
from typing import Any

from bramble.snapshot import Output, Snapshot
from bramble.system.parse import Socket
from tests.unit.good_node import good_look, node_plan
from tests.unit.looks import FOLDER as A_FOLDER
from tests.unit.looks import WHY, plain, with_command, with_file, with_unit_named
from tests.unit.roles.gateway.good import (
    ASK,
    ASKED_AT_S,
    FOLDER,
    NODE_KEY,
    STATE,
    STATES,
    TIMER,
    UNIT,
    found,
    told,
)
from tests.unit.spoiled import (
    GOOD,
    NO_FILES,
    PLAN,
    Cases,
    Exceptions,
    Node,
    edited,
    owned_by,
    with_mode,
)

EDGE = PLAN.roles["gateway"].edge
HEALTHY, NAMED = EDGE.asks("/health"), EDGE.asks("/v1/models")
CONFIG = f"{FOLDER}/haproxy.cfg"
LAN = node_plan(gateway={"expose": "lan"})


def with_unit(**changes: object) -> Snapshot:
    """A good look but for the gateway's unit."""
    return with_unit_named(GOOD, UNIT, **changes)


def with_process(**changes: object) -> Snapshot:
    """A good look but for the gateway's process."""
    return with_unit(process=replace(GOOD.process(UNIT), **changes))


def with_properties(**changes: str) -> Snapshot:
    """A good look but for what systemd has of the gateway in memory."""
    return with_unit(properties={**GOOD.unit(UNIT).properties, **changes})


def with_sockets(*sockets: Socket) -> Snapshot:
    """A good look but for who listens at the gateway's port."""
    others = tuple(one for one in GOOD.sockets if one.port != EDGE.port)
    return replace(GOOD, sockets=(*others, *sockets))


DOWN = ("DOWN", "L4CON")
NONE = Output(7, "curl: (7) Couldn't connect\n")


def telling(**nodes: tuple[str, str | None]) -> Snapshot:
    """A good look but for the state of some nodes, as the gateway tells it."""
    changes = {name.replace("_", "-"): state for name, state in nodes.items()}
    return with_command(GOOD, STATES, told(changes))


WRONG = {"since_s": ASKED_AT_S - 600, "until_s": None, "why": "it answered '5' to 'What is 2+2?'"}


def finding(drained: dict[str, dict[str, Any]], at_s: float = ASKED_AT_S) -> Snapshot:
    """A good look but for what its host found when it asked the nodes."""
    return with_file(GOOD, STATE, plain(found(drained, at_s)))


FAULTS: Cases = {
    "runs": {
        "stopped": with_unit(active="inactive", sub="dead", process=None),
        "failed": with_unit(active="failed", sub="failed", process=None),
        "not at boot": with_unit(enabled="disabled"),
        "not there": with_unit(load="not-found", active="inactive", enabled=""),
    },
    "files_are_as_written": {
        "a slot more": edited(CONFIG, "maxconn 1 ssl", "maxconn 2 ssl"),
        "certificates of anybody": edited(CONFIG, "verify required", "verify none"),
        "another model": edited(f"{FOLDER}/models.map", "small pool1", "large pool1"),
        "a client more": edited(f"{FOLDER}/keys.map", "laptop", "laptop\nbbbb nobody"),
        "removed": with_file(GOOD, CONFIG, None),
        "another question": edited(f"{FOLDER}/questions.json", "What is 2+2?", "What is 2+3?"),
        "another program": edited("/usr/local/lib/bramble/ask_nodes.py", "RIGHT", "WRONG"),
        "never asked": edited(f"/etc/systemd/system/{TIMER}", "OnActiveSec=10s", ""),
        "another key": with_file(GOOD, NODE_KEY, plain("all another\n", 0o640, "haproxy")),
    },
    "answers_as_planned": {
        "another configuration": with_command(GOOD, HEALTHY, Output(0, "0123456789ab ok\n200")),
        "somebody else": with_command(GOOD, HEALTHY, Output(0, "<html>\n200")),
        "no node": with_command(GOOD, HEALTHY, Output(0, f"{EDGE.plan_id} no node\n503")),
        "nothing": with_command(GOOD, HEALTHY, Output(7, "curl: (7) refused\n\n000")),
        "a certificate of another name": with_command(GOOD, HEALTHY, Output(60, "curl: (60)\n000")),
    },
    "asks_for_a_key": {
        "no key needed": with_command(GOOD, NAMED, Output(0, '{"data": []}\n200')),
        "another answer": with_command(GOOD, NAMED, Output(0, "\n403")),
        "nothing": with_command(GOOD, NAMED, Output(7, "")),
    },
    "tells_its_figures": {
        "no socket": with_command(GOOD, EDGE.tells, Output(7, "curl: (7) Couldn't connect\n000")),
        "not": with_command(GOOD, EDGE.tells, Output(0, "404")),
    },
    "is_bound_as_planned": {
        "nothing listens": with_sockets(),
        "one address alone": with_sockets(Socket("127.0.0.1", EDGE.port, (4901,))),
        "somebody else": with_sockets(Socket("*", EDGE.port, (99,))),
        "the node's own way in": with_sockets(Socket("*", EDGE.port, (4801,))),
        "one port more": with_sockets(
            Socket("*", EDGE.port, (4901,)), Socket("0.0.0.0", 9000, (4902,))
        ),
    },
    "is_held_by_its_sandbox": {
        "a drop-in": with_properties(DropInPaths=f"/etc/systemd/system/{UNIT}.d/x.conf"),
        "root": with_properties(User="root"),
        "homes": with_properties(ProtectHome="no"),
        "no limit": with_properties(MemoryMax="infinity"),
        "the whole network": with_properties(IPAddressAllow="0.0.0.0/0 ::/0"),
        "a capability": with_process(
            status={**GOOD.process(UNIT).status, "CapEff": "0000000000000400"}
        ),
        "no process": with_unit(process=None),
    },
    "key_is_the_services_alone": {
        "missing": with_file(GOOD, NODE_KEY, None),
        "for all to read": with_mode(0o644, NODE_KEY, "haproxy"),
        "for another group": with_mode(0o640, NODE_KEY, "users"),
        "another's": owned_by("pi", NODE_KEY),
        "a folder": with_file(GOOD, NODE_KEY, A_FOLDER),
    },
    "models_have_a_node": {
        "all are down": telling(pi5_b=DOWN, pi5_c=DOWN),
        "none asked yet": telling(pi5_b=("UP", None), pi5_c=("UP", None)),
        "nothing told": with_command(GOOD, STATES, Output(1, "")),
        "no socket": with_command(GOOD, STATES, NONE),
        "something else": with_command(GOOD, STATES, Output(0, "<html>\n")),
    },
    "nodes_are_up": {
        "refuses": telling(pi5_c=DOWN),
        "another key": telling(pi5_c=("DOWN", "L7STS")),
        "another model": telling(pi5_c=("DOWN", "L7RSP")),
        "another certificate": telling(pi5_c=("DOWN", "L6RSP")),
        "not asked yet": telling(pi5_c=("UP", None)),
        "failing since": telling(pi5_c=("DOWN", "L7OK")),
        "an end that is not known": telling(pi5_c=("DOWN", "PROCERR")),
        "drained": telling(pi5_c=("DRAIN", "L7OK")),
        "not told": with_command(GOOD, STATES, told({"pi5-c": (None, None)})),
    },
    "asks_for_known_answers": {
        "stopped": with_unit_named(GOOD, TIMER, active="inactive"),
        "not after the next boot": with_unit_named(GOOD, TIMER, enabled="disabled"),
        "older": with_unit_named(GOOD, ASK, needs_reload=True),
        "not there": with_unit_named(GOOD, ASK, load="not-found"),
    },
    "nodes_answer": {
        "wrong": finding({"pi5-c": WRONG}),
        "since a time that there is not": finding({"pi5-c": {**WRONG, "since_s": 1e300}}),
        "taken out": finding({"pi5-b": {**WRONG, "until_s": ASKED_AT_S + 3600}}),
    },
    "debians_haproxy_is_off": {
        "running": with_unit_named(GOOD, "haproxy.service", active="active"),
        "at boot": with_unit_named(GOOD, "haproxy.service", enabled="enabled"),
        "not installed": replace(GOOD, packages={**GOOD.packages, "haproxy": None}),
    },
    "certificate_lasts": {
        "a week": with_command(GOOD, EDGE.lasts, Output(1, "Certificate will expire\n")),
    },
}


def unasked() -> Node:
    """A gateway whose nodes have no known answer."""
    own = replace(PLAN.roles["gateway"], is_asked=False)
    return Node(GOOD, plan=replace(PLAN, roles={**PLAN.roles, "gateway": own}))


NO_UNITS = replace(GOOD, units=WHY)
BLIND: Cases = {
    "runs": {"no units": NO_UNITS},
    "files_are_as_written": {"no files": NO_FILES},
    "answers_as_planned": {
        "no answer": with_command(GOOD, HEALTHY, WHY),
    },
    "asks_for_a_key": {"no answer": with_command(GOOD, NAMED, WHY)},
    "tells_its_figures": {
        "no answer": with_command(GOOD, EDGE.tells, WHY),
    },
    "is_bound_as_planned": {
        "no sockets": replace(GOOD, sockets=WHY),
        "no programs": replace(GOOD, programs=WHY),
    },
    "is_held_by_its_sandbox": {"no units": NO_UNITS, "no process": with_unit(process=WHY)},
    "key_is_the_services_alone": {"no files": NO_FILES},
    "models_have_a_node": {
        "no answer": with_command(GOOD, STATES, WHY),
    },
    "nodes_are_up": {"no answer": with_command(GOOD, STATES, WHY)},
    "asks_for_known_answers": {"no units": NO_UNITS},
    "nodes_answer": {"no files": NO_FILES},
    "debians_haproxy_is_off": {"no units": NO_UNITS},
    "certificate_lasts": {
        "no answer": with_command(GOOD, EDGE.lasts, WHY),
        "no certificate": with_command(GOOD, EDGE.lasts, Output(2, WHY.why)),
    },
}

UNBELIEVED = {
    "never asked": with_file(GOOD, STATE, None),
    "asked long ago": finding({}, ASKED_AT_S - 1100),
    "from another clock": finding({}, ASKED_AT_S + 1000),
    "no JSON": with_file(GOOD, STATE, plain("{")),
    "something else": with_file(GOOD, STATE, plain('{"at_s": 1.5, "nodes": [], "drained": 7}')),
    "half of it": with_file(GOOD, STATE, plain('{"at_s": 1.5, "nodes": [{"pool": 1}]}')),
    "another kind": with_file(GOOD, STATE, plain('{"at_s": "x", "nodes": [], "drained": []}')),
}
"""What a host wrote down of the answers that says nothing of its nodes now."""

SKIPPED: Exceptions = {
    "nodes_answer": ((unasked(), "no known answer is set"),),
    "debians_haproxy_is_off": (
        (
            with_file(GOOD, "/etc/haproxy/haproxy.cfg", plain("listen shop\n    bind :80\n")),
            "is somebody's own",
        ),
    ),
    "certificate_lasts": ((Node(good_look(LAN), plan=LAN), "there is no certificate"),),
}
