"""Settings of how a gateway asks its nodes a question whose answer is known, and takes them out."""

from __future__ import annotations

from bramble.settings import Section, option


class Answers(Section):
    """How nodes are asked serving.question; one that does not say serving.expect is drained."""

    every_s: int = option(
        300,
        help="How often each node is asked, through the gateway, as clients are.",
        unit="s",
        ge=10,
        le=86400,
    )
    deadline_s: int = option(
        120,
        help="How long the answers may take, with the wait for a slot; a node that takes longer is told "
        "as slow, and not drained.",
        unit="s",
        ge=5,
        le=3600,
    )


class Rolling(Section):
    """How a node is taken out while a deploy restarts what answers there."""

    drain_s: int = option(
        300,
        help="How long the requests that it has are waited for; then the deploy goes on, and says so.",
        unit="s",
        ge=0,
        le=3600,
    )
    lease_s: int = option(
        3600,
        help="After how long a node that no deploy brought back comes back by itself, once its answer "
        "is right.",
        unit="s",
        ge=10,
        le=86400,
    )
