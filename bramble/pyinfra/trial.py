"""A change of how the node lets us in, which a new connection must prove before it may stay."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from paramiko import SSHException
from pyinfra.api import Host
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.ssh import SSHConnector

from bramble.pyinfra import connection

# sshd that reloads resets connections for a moment, on a slow board for seconds.
CONNECT_WITHIN_S = 30
TRY_EVERY_S = 2
TAKEN_BACK = (
    "What is not confirmed the node takes back by itself, in two minutes at most. Nothing else was "
    "changed."
)


def confirm(host: Host, program: str, query: Mapping[str, Any], timeout_s: int) -> str | None:
    """Reconnect, and confirm over the new connection; return an error message or None.

    The old connection stays open until then, and remains the host's where there is no new one.
    """
    connector = host.connector
    if not isinstance(connector, SSHConnector):
        return "only a host that is reached over SSH can prove that it still lets us in"
    before = connector.client
    refused = _connect(connector)
    if refused is not None:
        connector.client = before
        return f"after this change the node did not let us in again ({refused}). {TAKEN_BACK}"
    if before is not None:
        before.close()
    alone = bool(query.get("without_password"))
    ok, output = connection.run(host, program, query, timeout_s, without_password=alone)
    if ok:
        return None
    said = output.strip() or "the change could not be confirmed"
    return f"{said}. {TAKEN_BACK}"


def _connect(connector: SSHConnector) -> str | None:
    """Connect within a bounded time; return the last error, or None."""
    deadline_s = time.monotonic() + CONNECT_WITHIN_S
    while True:
        try:
            connector.connect()
        except (ConnectError, TimeoutError, OSError, EOFError, SSHException) as error:
            if time.monotonic() > deadline_s:
                return str(error) or type(error).__name__
            time.sleep(TRY_EVERY_S)
        else:
            return None
