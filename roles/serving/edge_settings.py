"""Settings of the way in: where clients of the network are met, which of them, and how many."""

from __future__ import annotations

from bramble.edge.settings import Limits
from bramble.settings import option

PORTS = {"lan": 8081, "tls": 8443}


class Edge(Limits):
    """What meets clients of the network, where serving.expose lets them in."""

    port: int | None = option(
        None, help="TCP port; not set: 8081, and 8443 with TLS.", ge=1024, le=65535
    )
