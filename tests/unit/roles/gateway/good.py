"""What a good node shows of gateway: HAProxy before two other nodes, both of which are up for it."""

from pathlib import Path

from bramble import registry
from bramble.edge.settings import PRIVATE
from bramble.plan import NodePlan
from bramble.settings import Section, SshSettings
from bramble.snapshot import Output, Snapshot
from tests.unit.looks import together
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
_FILE = Path(__file__).with_name("node-key")
KEY = _FILE.read_text().strip()
NODES = {"pi5-b": "192.168.1.42", "pi5-c": "192.168.1.43"}
SETTINGS = {
    "expose": "tls",
    "nodes": [*NODES],
    "secrets": {"node_key": {"file": str(_FILE)}},
}
MODEL = {"name": "small", "url": "http://localhost/small.gguf", "sha256": "5" * 64}


def others() -> dict[str, dict[str, Section]]:
    """The settings of its nodes, which are other hosts of the inventory."""
    return {
        name: {
            "ssh": SshSettings.model_validate({"address": address}),
            "model": registry.role("model").settings.model_validate(MODEL),
            "serving": registry.role("serving").settings.model_validate({"expose": "tls"}),
        }
        for name, address in NODES.items()
    }


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    gateway = plan.roles["gateway"]
    allowed = ("127.0.0.0/8", "::1/128", *PRIVATE)
    own = way_in(plan, gateway.edge, (4901, 4902), EVER, EdgeUnit(768, 100, allowed))
    return together([own, Snapshot(commands={STATES: told({})})])


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
