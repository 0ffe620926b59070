"""What spoils what monitoring proves, what hides it from a look, and where its checks do not apply."""

from dataclasses import replace

from bramble.snapshot import Answer, Snapshot
from bramble.system.parse import Socket
from bramble.testing.roles import planned
from tests.unit.good_node import node_plan
from tests.unit.looks import WHY, plain, with_answer, with_file, with_unit_named
from tests.unit.roles.monitoring.good import (
    EXPORTER,
    FIGURES,
    METRICS,
    NTFY,
    PUSH,
    TEXTFILE,
    TIMER,
    WATCHED,
)
from tests.unit.spoiled import GOOD, NO_FILES, PLAN, Cases, Exceptions, Node, edited

URL = PLAN.roles["monitoring"].url
NO_UNITS = replace(GOOD, units=WHY)
PROCESS = GOOD.process(EXPORTER)
OLD = FIGURES.replace("1795225700", "1795220000")
FUTURE = FIGURES.replace("1795225700", "1795229999")
BROKEN = FIGURES.replace(" 1795225700", " 17952-25700")
DROP_IN = f"/etc/systemd/system/{EXPORTER}.d/99-bramble.conf"


def listening(*sockets: Socket) -> Snapshot:
    """A good look but for who listens where."""
    ours = GOOD.sockets[-1]
    others = tuple(one for one in GOOD.sockets if one.port != ours.port)
    return replace(GOOD, sockets=(*others, *sockets))


def told(body: str, status: int = 200) -> Snapshot:
    """A good look but for what the exporter answers."""
    return with_answer(GOOD, URL, Answer(status, body))


FAULTS: Cases = {
    "exporter_runs_as_planned": {
        "stopped": with_unit_named(GOOD, EXPORTER, active="inactive"),
        "not after the next boot": with_unit_named(GOOD, EXPORTER, enabled="disabled"),
        "older": with_unit_named(GOOD, EXPORTER, needs_reload=True),
        "Debian's arguments": with_unit_named(
            GOOD, EXPORTER, process=replace(PROCESS, argv=PROCESS.argv[:1])
        ),
        "no process": with_unit_named(GOOD, EXPORTER, process=None),
        "not installed": replace(
            GOOD, packages={**GOOD.packages, "prometheus-node-exporter": None}
        ),
    },
    "exporter_is_bound_as_planned": {
        "nowhere": listening(),
        "everywhere": listening(Socket("*", 9100, (812,))),
        "somewhere else too": listening(
            Socket("127.0.0.1", 9100, (812,)), Socket("127.0.0.1", 9101, (812,))
        ),
        "somebody else": listening(Socket("127.0.0.1", 9100, (99,))),
    },
    "figures_are_told": {
        "by nobody": told("", 0),
        "not": told("oops", 500),
        "without ours": told("node_load1 0.5\n"),
        "old": told(OLD),
    },
    "textfile_is_new_and_readable": {
        "missing": with_file(GOOD, TEXTFILE, None),
        "old": with_file(GOOD, TEXTFILE, plain(OLD)),
        "of a time to come": with_file(GOOD, TEXTFILE, plain(FUTURE)),
        "broken": with_file(GOOD, TEXTFILE, plain(BROKEN)),
        "cut": with_file(GOOD, TEXTFILE, plain(FIGURES[:-4])),
        "empty": with_file(GOOD, TEXTFILE, plain("")),
        "no text": with_file(GOOD, TEXTFILE, replace(plain(""), text=None)),
    },
    "way_in_is_watched": {
        "no word of it": with_file(
            GOOD, TEXTFILE, plain(FIGURES.replace("bramble_edge_up 1\n", ""))
        ),
        "it is down": with_file(GOOD, TEXTFILE, plain(FIGURES.replace("edge_up 1", "edge_up 0"))),
        "no figures": with_file(GOOD, TEXTFILE, None),
        "broken": with_file(GOOD, TEXTFILE, plain(BROKEN)),
    },
    "gateway_is_watched": {
        "no word of it": with_file(
            GOOD, TEXTFILE, plain(FIGURES.replace("bramble_gateway_up 1\n", ""))
        ),
        "it is down": with_file(
            GOOD, TEXTFILE, plain(FIGURES.replace("gateway_up 1", "gateway_up 0"))
        ),
        "no figures": with_file(GOOD, TEXTFILE, None),
        "broken": with_file(GOOD, TEXTFILE, plain(BROKEN)),
    },
    "timer_is_active": {
        "stopped": with_unit_named(GOOD, TIMER, active="inactive"),
        "not after the next boot": with_unit_named(GOOD, TIMER, enabled="disabled"),
        "older": with_unit_named(GOOD, METRICS, needs_reload=True),
        "no service": with_unit_named(GOOD, METRICS, load="not-found"),
    },
    "last_run_succeeded": {
        "failed": with_unit_named(GOOD, METRICS, result="exit-code"),
        "hung": with_unit_named(GOOD, METRICS, result="timeout"),
        "never ran": with_unit_named(GOOD, METRICS, properties={}),
    },
    "people_were_told": {
        "a receiver that is away": with_unit_named(GOOD, PUSH, result="exit-code"),
        "a secret that is not there": with_unit_named(GOOD, PUSH, result="resources"),
        "never ran": with_unit_named(GOOD, PUSH, properties={}),
    },
    "secrets_are_roots_alone": {
        "missing": with_file(GOOD, NTFY, None),
        "readable": with_file(GOOD, NTFY, replace(GOOD.file(NTFY), mode=0o644)),
        "another's": with_file(GOOD, NTFY, replace(GOOD.file(NTFY), owner="pi")),
    },
    "files_are_as_written": {
        "another address": edited(DROP_IN, "127.0.0.1", "0.0.0.0"),
        "another plan": edited(WATCHED, "What is 2+2?", "What is 2+3?"),
        "no plan": with_file(GOOD, WATCHED, None),
    },
}

BLIND: Cases = {
    "exporter_runs_as_planned": {
        "no units": NO_UNITS,
        "no packages": replace(GOOD, packages=WHY),
        "no process": with_unit_named(GOOD, EXPORTER, process=WHY),
    },
    "exporter_is_bound_as_planned": {
        "no units": NO_UNITS,
        "no sockets": replace(GOOD, sockets=WHY),
    },
    "figures_are_told": {"no answer": with_answer(GOOD, URL, WHY)},
    "textfile_is_new_and_readable": {"no files": NO_FILES},
    "way_in_is_watched": {"no files": NO_FILES, "no figures": with_file(GOOD, TEXTFILE, WHY)},
    "gateway_is_watched": {"no files": NO_FILES, "no figures": with_file(GOOD, TEXTFILE, WHY)},
    "timer_is_active": {"no units": NO_UNITS},
    "last_run_succeeded": {"no units": NO_UNITS},
    "people_were_told": {"no units": NO_UNITS},
    "secrets_are_roots_alone": {"no files": NO_FILES},
    "files_are_as_written": {"no files": NO_FILES, "no plan": with_file(GOOD, WATCHED, WHY)},
}

NOBODY = Node(GOOD, plan=node_plan(monitoring={"secrets": {}}))
AT_WORK = {"active": "activating", "properties": {}}
SKIPPED: Exceptions = {
    "way_in_is_watched": (
        (
            Node(GOOD, plan=node_plan(serving={"expose": "local"})),
            "nothing lets clients of the network in",
        ),
    ),
    "gateway_is_watched": ((Node(GOOD, plan=planned("monitoring")), "this host is no gateway"),),
    "last_run_succeeded": (
        (with_unit_named(GOOD, METRICS, **AT_WORK), f"{METRICS} runs at this moment"),
    ),
    "people_were_told": (
        (NOBODY, "nobody is told"),
        (with_unit_named(GOOD, PUSH, **AT_WORK), f"{PUSH} runs at this moment"),
    ),
    "secrets_are_roots_alone": ((NOBODY, "nobody is told"),),
}
