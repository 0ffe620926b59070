"""The plan of a gateway: the way in, the nodes behind it, and the key that they know it by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from bramble.edge.wanted import EdgePlan, Place
from bramble.outputs import GatewayOutputs
from bramble.plan import File, Listener, RolePlan
from bramble.roles.gateway.nodes import Pool

PLACE = Place(
    "bramble-gateway.service",
    "/etc/bramble/gateway",
    "gateway",
    "Run the gateway",
    further=("models.map", "nodes.map"),
)
MODELS, NODE_KEY = (f"{PLACE.folder}/{name}" for name in PLACE.further)
KEY_MODE, KEY_GROUP = 0o640, "haproxy"
ASK, TIMER = "bramble-questions.service", "bramble-questions.timer"
ASK_FILE, TIMER_FILE = (f"/etc/systemd/system/{unit}" for unit in (ASK, TIMER))
QUESTIONS = f"{PLACE.folder}/questions.json"
ASKS, KEEPS = (f"/usr/local/lib/bramble/{name}.py" for name in ("ask_nodes", "keep_drained"))
ASKING = (QUESTIONS, ASKS, KEEPS, ASK_FILE, TIMER_FILE)
"""The files by which nodes are asked for a known answer."""
FOLDER = "/var/lib/bramble-gateway"
NOTES, KEPT, STATE = (
    f"{FOLDER}/{name}" for name in ("drained.json", "servers.state", "state.json")
)
LEFT = (NOTES, KEPT, STATE, *(f"{FOLDER}/{name}" for name in ("lock", "running", "turn")))
"""What the host itself keeps of who is drained."""
PLACES = {
    "admin": f"{PurePosixPath(PLACE.figures).parent}/admin.sock",
    "socket": f"{PurePosixPath(PLACE.figures).parent}/questions.sock",
    "config": PLACE.config,
    "folder": FOLDER,
    "user": "haproxy",
}
"""Where programs of the gateway's host find it."""
STATUS, CHECKED = "haproxy_server_status", "haproxy_server_check_status"
_ASKED = f"--max-time 10 --unix-socket {PLACE.figures} http://localhost/metrics?scope=server"
STATES = f"sh -c 'curl --silent --show-error {_ASKED} | grep -E \"^({STATUS}|{CHECKED}).* 1$\"'"
"""The command by which the host asks which nodes are up, as the gateway sees it."""


@dataclass(frozen=True, kw_only=True)
class GatewayPlan(RolePlan):
    """The way in with its pools of nodes.

    `asking` are the files by which nodes are asked for a known answer, and `is_asked` says whether any
    has one. `missing` says why this run was not given the key that nodes know it by: the gateway then
    keeps its own. `problems` are why it cannot work, and `noted` is what is probably not meant.
    """

    outputs: GatewayOutputs
    edge: EdgePlan
    asking: tuple[File, ...]
    pools: tuple[Pool, ...]
    is_asked: bool
    every_s: int
    deadline_s: int
    missing: str | None
    problems: tuple[str, ...]
    noted: tuple[str, ...]

    def refusals(self) -> tuple[str, ...]:
        """Refuse a gateway without nodes, and one that lacks keys or certificates."""
        return (*self.problems, *self.edge.refusals)

    def warnings(self) -> tuple[str, ...]:
        """Tell of a key that this run was not given, and of models that are not the inventory's."""
        if self.missing is None:
            return self.noted
        kept = "the gateway keeps the one that it has"
        return (f"gateway.secrets.node_key: {self.missing}; {kept}", *self.noted)

    def listeners(self) -> tuple[Listener, ...]:
        """Tell of its port."""
        return (Listener(PLACE.unit, self.edge.port),)

    @property
    def kept(self) -> tuple[str, ...]:
        """The files of the gateway whose text this run does not have."""
        return (NODE_KEY,) if self.missing is not None else ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its nodes, each once."""
        return tuple(dict.fromkeys(one.host for pool in self.pools for one in pool.servers))
