"""Why a node is down for a gateway, in words: HAProxy has abbreviations for the ends of its checks."""

from __future__ import annotations

UP, NOT_TOLD = "up", "the gateway does not tell of it"
DRAINED = "it is drained: see gateway.nodes_answer"
# What HAProxy calls the ends of its checks.
REASONS = {
    "L4CON": "nothing listens there",
    "L4TOUT": "nobody answers there",
    "L6RSP": "its certificate is not believed",
    "L6TOUT": "it begins no TLS",
    "L7OK": "a connection failed since it was asked",
    "L7RSP": "it serves another model",
    "L7STS": "it does not take the gateway's key, or its model is not ready",
    "L7TOUT": "it does not name its models in time",
}


def state(status: str, checked: str | None) -> str:
    """Return a node's state: HAProxy takes one for up that it has not asked yet."""
    if checked is None:
        return "it has not been asked yet"
    if status == "DRAIN":
        return DRAINED
    return UP if (status, checked) == ("UP", "L7OK") else REASONS.get(checked, checked)
