"""What a gateway is asked, who waits there, and how its nodes are, as HAProxy counts it."""

from bramble.remote import edge_state

URL = f"{edge_state.URL}&scope=server"
FRONTEND = "gateway"
QUEUES = ("haproxy_backend_current_queue", "haproxy_server_current_queue")
COUNTS = {"haproxy_server_current_sessions": "busy", "haproxy_server_limit_sessions": "slots"}
STATES = {"haproxy_server_status": "state", "haproxy_server_check_status": "check"}
UP = ("UP", "L7OK")


def figures(path, pools):
    """Return its answers, refusals and connections, who waits, and its nodes; None where it tells none.

    Nodes are by their pool and name, as HAProxy has them; `pools` are the pools that are looked for.
    """
    found = edge_state.told(path, URL, FRONTEND)
    return found and {**found["own"], **_led(found["all"], pools)}


def _led(every, pools):
    """Return what is known of pools and their nodes."""
    waiting = dict.fromkeys(pools, 0)
    nodes: dict[str, dict[str, int | str]] = {}
    for name, labels, value in every:
        pool, server = labels.get("proxy"), labels.get("server")
        if pool not in waiting:
            continue
        if name in QUEUES:
            waiting[pool] += int(value)
        if server is None:
            continue
        node = nodes.setdefault(f"{pool}/{server}", {"busy": 0, "slots": 0})
        if name in COUNTS:
            node[COUNTS[name]] = int(value)
        elif name in STATES and value == 1:
            node[STATES[name]] = labels.get("state", "")
    return {"waiting": waiting, "nodes": nodes}


def is_up(node):
    """Return whether a node is up: HAProxy takes one for up that it has not asked yet."""
    return (node.get("state"), node.get("check")) == UP


def families(wanted, found):
    """Return the metrics of a gateway: `wanted` is its plan, `found` what it told, or None."""
    told = found or {"waiting": {}, "nodes": {}}
    of_pool = {pool: ", ".join(models) for pool, models in wanted["pools"].items()}
    nodes = []
    for name, node in told["nodes"].items():
        pool, _, server = name.partition("/")
        nodes.append((pool, {"models": of_pool[pool], "node": server}, node))
    yield from edge_state.common("bramble_gateway", "the gateway", found)
    waiting = [({"models": of_pool[pool]}, n) for pool, n in told["waiting"].items()]
    yield "bramble_gateway_queued", "gauge", "Requests that wait for a slot now.", waiting
    about = "How many may wait for the same models."
    yield "bramble_gateway_queue_places", "gauge", about, [({}, wanted["queue"])]
    up = [(labels, is_up(node)) for _, labels, node in nodes]
    yield "bramble_gateway_node_up", "gauge", "Whether a node is up for the gateway.", up
    slots = [(labels, node["slots"]) for _, labels, node in nodes]
    yield "bramble_gateway_node_slots", "gauge", "A node's slots.", slots
    busy = [(labels, node["busy"]) for _, labels, node in nodes]
    yield "bramble_gateway_node_busy", "gauge", "Those that are used now.", busy
    by_model = [
        ({"model": model}, sum(is_up(node) for of, _, node in nodes if of == pool))
        for pool, models in wanted["pools"].items()
        for model in models
        if found
    ]
    yield "bramble_gateway_model_nodes", "gauge", "Nodes that are up for a model.", by_model
