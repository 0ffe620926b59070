"""What a good node shows of gateway: HAProxy before two other nodes, both of which are up for it."""

import json
from pathlib import Path
from typing import Any

from bramble import registry
from bramble.edge.settings import PRIVATE
from bramble.plan import NodePlan
from bramble.settings import Section, SshSettings
from bramble.snapshot import Output, Snapshot
from bramble.testing.roles import unit
from tests.unit.looks import plain, together
from tests.unit.roles.serving.good import EdgeUnit, way_in

UNIT = "bramble-gateway.service"
FOLDER = "/etc/bramble/gateway"
NODE_KEY = f"{FOLDER}/nodes.map"
STATES = (
    "sh -c 'curl --silent --show-error --max-time 10 --unix-socket /run/bramble-gateway/figures.sock "
    "http://localhost/metrics?scope=server | "
    'grep -E "^(haproxy_server_status|haproxy_server_check_status).* 1$"\''
)
FILES = ("haproxy.cfg", "keys.map", "edge.pem", "ca.crt", "models.map", "nodes.map")
EVER = (*(f"{FOLDER}/{name}" for name in FILES), f"/etc/systemd/system/{UNIT}")
ASK, TIMER = "bramble-questions.service", "bramble-questions.timer"
LEFT = "/var/lib/bramble-gateway"
STATE = f"{LEFT}/state.json"
# A minute before the look at the good node.
ASKED_AT_S = 1_795_225_665.0
_FILE = Path(__file__).with_name("node-key")
KEY = _FILE.read_text().strip()
NODES = {"pi5-b": "192.168.1.42", "pi5-c": "192.168.1.43"}
SETTINGS = {
    "expose": "tls",
    "nodes": [*NODES],
    "secrets": {"node_key": {"file": str(_FILE)}},
}
MODEL = {"name": "small", "url": "http://localhost/small.gguf", "sha256": "5" * 64}
SERVING = {"expose": "tls", "expect": "4"}


def others() -> dict[str, dict[str, Section]]:
    """The settings of its nodes, which are other hosts of the inventory."""
    return {
        name: {
            "ssh": SshSettings.model_validate({"address": address}),
            "model": registry.role("model").settings.model_validate(MODEL),
            "serving": registry.role("serving").settings.model_validate(SERVING),
        }
        for name, address in NODES.items()
    }


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    gateway = plan.roles["gateway"]
    allowed = ("127.0.0.0/8", "::1/128", *PRIVATE)
    own = way_in(plan, gateway.edge, (4901, 4902), EVER, EdgeUnit(768, 100, allowed))
    return together([own, asking(gateway)])


def asking(gateway: Any) -> Snapshot:
    """What shows that it asks its nodes."""
    return Snapshot(
        commands={STATES: told({})},
        units={ASK: unit("inactive", "static"), TIMER: unit(sub="waiting")},
        files=dict.fromkeys(
            f"{LEFT}/{name}" for name in ("servers.state", "lock", "running", "turn")
        )
        | {f"{LEFT}/drained.json": plain(NOBODY), STATE: plain(found({}))}
        | {file.path: plain(file.text) for file in gateway.asking},
    )


NOBODY = json.dumps({"wrong": {}, "leases": {}})


def found(drained: dict[str, dict[str, Any]], at_s: float = ASKED_AT_S) -> str:
    """What its host found when it asked the nodes: each is right, but for some."""
    right = {"pool": "pool1", "answer": "right", "said": "4"}
    value = {
        "at_s": at_s,
        "interval_s": 300,
        "nodes": [{**right, "node": name} for name in NODES],
        "drained": [{"pool": "pool1", "node": name, **one} for name, one in drained.items()],
    }
    return json.dumps(value)


def told(changes: dict[str, tuple[str, str | None]]) -> Output:
    """What it tells of its nodes: each is up, and its last check was good, but for some."""
    states = dict.fromkeys(NODES, ("UP", "L7OK")) | changes
    lines = [
        f'{name}{{proxy="pool1",server="{node}",state="{state}"}} 1\n'
        for at, name in enumerate(("haproxy_server_status", "haproxy_server_check_status"))
        for node, several in states.items()
        if (state := several[at]) is not None
    ]
    return Output(0, "".join(lines))
