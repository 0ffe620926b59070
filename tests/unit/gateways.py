"""Fleets with a gateway, as inventories of a test: hosts, keys, certificates, and the gateway's plan."""

import datetime
import json
from dataclasses import replace

from bramble import fleet, registry
from bramble.access import keys
from bramble.plan import make
from bramble.secret_sources import Missing
from tests.unit.good_node import PEM, PI5

GATEWAY = "gw"
KEY = keys.PREFIX + "gateway-of-a-test-0123456789abcdefgh"
DAY = datetime.date(2026, 12, 1)
CLIENTS = {
    name: keys.Client(key=keys.kept(key, DAY))
    for name, key in (
        ("gateway", KEY),
        ("laptop", keys.PREFIX + "laptop-of-a-test-0123456789abcdefghi"),
    )
}
BOT = keys.PREFIX + "bot-of-a-test-0123456789abcdefghijkl"
WITH_BOT = CLIENTS | {"bot": keys.Client(key=keys.kept(BOT, DAY))}
SOURCE = {"secrets": {"node_key": {"environment": "GATEWAY_KEY_OF_NO_TEST"}}}


def model(name="small", digit="1"):
    """A model of one's own."""
    return {"name": name, "url": "http://localhost/m.gguf", "sha256": digit * 64}


def node(number, name="small", digit="1", expose="lan", **serving):
    """A host that serves."""
    return {
        "ssh": {"address": f"192.168.1.{40 + number}"},
        "model": model(name, digit),
        "serving": {"expose": expose, **serving},
    }


def nodes(count=2, **how):
    """As many like hosts."""
    return {f"pi5-{'abcdefgh'[n - 1]}": node(n, **how) for n in range(1, count + 1)}


def inventory(folder, hosts, gateway=None, **host):
    """Write an inventory with a gateway on a host of its own."""
    own = {
        "ssh": {"address": "192.168.1.40"},
        "node": {"roles": ["base", "gateway", "firewall"]},
        "gateway": SOURCE | (gateway or {}),
    } | host
    (folder / "fleet.yml").write_text(json.dumps({"hosts": {**hosts, GATEWAY: own}}, indent=1))
    return folder


def plan(folder, key=KEY, clients=CLIENTS, authority="ca", name=GATEWAY):
    """The plan of the gateway's host, in a run that is given this key."""
    host = fleet.load(folder).hosts[name]
    given = Missing("the variable is not set") if key is None else key
    beside = replace(
        host.prepared,
        clients=clients,
        certificates={name: PEM},
        authority=authority,
        secret=lambda source: given,
    )
    return make(name, host.settings, PI5, registry.roles_of(host.settings), beside)
