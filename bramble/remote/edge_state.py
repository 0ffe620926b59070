"""What clients of the network ask of this node and are refused, as HAProxy counts it."""

from bramble.remote import exposition, local_http

TIMEOUT_S = 10
# The fewest that say it: those of servers and of stick tables are left out by HAProxy itself.
URL = "http://localhost:80/metrics?scope=frontend&scope=backend"
FRONTEND = "edge"
# HAProxy's names of the frontend's figures, and the ends of those under which they are passed on.
PASSED_ON = {
    "haproxy_frontend_requests_denied_total": (
        "refused_total",
        "Requests that were too many (of a key, of wrong keys, for the queue) or for a model away.",
    ),
    "haproxy_frontend_denied_connections_total": (
        "refused_connections_total",
        "Connections that were too many of one address.",
    ),
    "haproxy_frontend_current_sessions": ("connections", "Connections of clients now."),
}
ANSWERS = "haproxy_frontend_http_responses_total"
QUEUE = "haproxy_backend_current_queue"


def figures(path):
    """Return what a way in tells, by the names under which it is passed on; None where it tells none."""
    found = told(path, URL, FRONTEND)
    return found and {
        **found["own"],
        "queued": sum(n for name, _, n in found["all"] if name == QUEUE),
    }


def told(path, url, frontend):
    """Return HAProxy's figures, `all` of them and a frontend's `own`; None where it tells none."""
    try:
        status, body = local_http.exchange(url, TIMEOUT_S, path_of_socket=path)
    except (OSError, ValueError):
        return None
    found = exposition.labelled(body.decode("utf-8", "replace"))
    own = [(name, labels, n) for name, labels, n in found if labels.get("proxy") == frontend]
    if status != 200 or not own:
        return None
    answers = {labels.get("code"): n for name, labels, n in own if name == ANSWERS}
    passed_on = {PASSED_ON[name][0]: n for name, _, n in own if name in PASSED_ON}
    return {"all": found, "own": {"answers": answers, **passed_on}}


def families(wanted, found):
    """Return the metrics of the way in: `wanted` is its plan, `found` what it told, or None."""
    yield from common("bramble_edge", "the way in", found)
    queued = (found or {}).get("queued")
    yield _one("bramble_edge_queued", "Requests that wait for the model now.", queued)
    yield _one("bramble_edge_queue_places", "How many may wait.", wanted["queue"])


def common(prefix, whose, found):
    """Return the metrics that every frontend has, by a prefix of their names."""
    told = found or {}
    answers = [({"code": code}, n) for code, n in told.get("answers", {}).items()]
    yield _one(f"{prefix}_up", f"Whether {whose} tells its figures.", found is not None)
    yield f"{prefix}_requests_total", "counter", "Requests by the answer's class.", answers
    for end, about in PASSED_ON.values():
        kind = "counter" if end.endswith("_total") else "gauge"
        yield _one(f"{prefix}_{end}", about, told.get(end), kind)


def _one(name, about, value, kind="gauge"):
    return name, kind, about, [] if value is None else [({}, value)]
