"""What clients of the network ask of this node and are refused, as HAProxy counts it."""

from bramble.remote import exposition, local_http

TIMEOUT_S = 10
# The fewest that say it: those of servers and of stick tables are left out by HAProxy itself.
URL = "http://localhost:80/metrics?scope=frontend&scope=backend"
FRONTEND = "edge"
# HAProxy's names of the frontend's figures, and those under which they are passed on.
PASSED_ON = {
    "haproxy_frontend_requests_denied_total": (
        "bramble_edge_refused_total",
        "Requests that were too many (of a key, of wrong keys, for the queue) or for a model away.",
    ),
    "haproxy_frontend_denied_connections_total": (
        "bramble_edge_refused_connections_total",
        "Connections that were too many of one address.",
    ),
    "haproxy_frontend_current_sessions": (
        "bramble_edge_connections",
        "Connections of clients now.",
    ),
}
ANSWERS = "haproxy_frontend_http_responses_total"
QUEUE = "haproxy_backend_current_queue"


def figures(path):
    """Return HAProxy's figures by the names under which they are passed on; None where it tells none."""
    try:
        status, body = local_http.exchange(URL, TIMEOUT_S, path_of_socket=path)
    except (OSError, ValueError):
        return None
    found = exposition.labelled(body.decode("utf-8", "replace"))
    own = [(name, labels, n) for name, labels, n in found if labels.get("proxy") == FRONTEND]
    if status != 200 or not own:
        return None
    return {
        "queued": sum(n for name, _, n in found if name == QUEUE),
        "answers": {labels.get("code"): n for name, labels, n in own if name == ANSWERS},
        **{PASSED_ON[name][0]: n for name, _, n in own if name in PASSED_ON},
    }


def families(wanted, found):
    """Return the metrics of the way in: `wanted` is its plan, `found` what it told, or None."""
    told = found or {}
    answers = [({"code": code}, n) for code, n in told.get("answers", {}).items()]
    yield _one("bramble_edge_up", "Whether the way in tells its figures.", found is not None)
    yield "bramble_edge_requests_total", "counter", "Requests by the answer's class.", answers
    for name, about in PASSED_ON.values():
        yield _one(name, about, told.get(name), "counter" if name.endswith("_total") else "gauge")
    yield _one("bramble_edge_queued", "Requests that wait for the model now.", told.get("queued"))
    yield _one("bramble_edge_queue_places", "How many may wait.", wanted["queue"])


def _one(name, about, value, kind="gauge"):
    return name, kind, about, [] if value is None else [({}, value)]
