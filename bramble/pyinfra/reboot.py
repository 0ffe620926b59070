"""A reboot in the middle of a deploy: requested, awaited, and continued over a new connection.

pyinfra's own server.reboot fails on a host that is slow to go down, as it takes the old boot for the
new one. Here the boot's identity decides.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from paramiko import SSHException
from pyinfra.api import Host
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.ssh import SSHConnector

from bramble import remote
from bramble.pyinfra import connection, standing
from bramble.pyinfra.telling import say

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
SETTLE_S = 180
SETTLED = f"timeout {SETTLE_S} systemctl is-system-running --wait"
TELL_EVERY_S = 15
TRY_EVERY_S = 2
ANSWER_S = 15


def once(
    host: Host, program: str, query: Mapping[str, Any], timeout_s: int, deadline_s: int
) -> str | None:
    """Request a reboot, and wait for the next boot; return an error message or None.

    The program may find that there is nothing to reboot for.
    """
    if not isinstance(host.connector, SSHConnector):
        return "only a host that is reached over SSH can be rebooted by a deploy"
    ok, output = connection.run(host, program, query, timeout_s)
    if not ok:
        return output.strip() or "the reboot was refused without a word"
    try:
        asked = remote.answer(output, rebooting=bool, boot_id=str)
    except ValueError as error:
        return f"the node's answer cannot be read: {error}"
    if not asked["rebooting"]:
        say(host, "nothing is left to reboot for")
        return None
    _drop(host, host.connector)
    return _wait(host, host.connector, asked["boot_id"], deadline_s)


def _wait(host: Host, connector: SSHConnector, before: str, deadline_s: int) -> str | None:
    """Reconnect until another boot answers; return an error message once the deadline has passed."""
    began = reported = time.monotonic()
    while True:
        said = _another_boot(host, connector, before)
        now = time.monotonic()
        if said is None:
            say(host, f"rebooted in {now - began:.0f} s")
            return _settle(host)
        if now - began > deadline_s:
            return (
                f"the node was rebooted and did not come back within {deadline_s} s ({said}). Look "
                "at its screen or its power; the text of each boot file before the change is beside "
                "it, ending in .bak. Allow more time with boot.reboot_deadline_s."
            )
        if now - reported >= TELL_EVERY_S:
            reported = now
            # What to do about it comes after a colon, and is not called for yet.
            found = said.partition(": ")[0]
            waiting = f"waiting for the next boot: {now - began:.0f} of {deadline_s} s, {found}"
            say(host, standing.within(host.name, waiting))
        time.sleep(TRY_EVERY_S)


def _settle(host: Host) -> str | None:
    """Wait until the boot is complete: an SSD that is slow to appear is mounted after sshd starts."""
    try:
        _, output = host.run_shell_command(SETTLED, _timeout=SETTLE_S + 30)
    except (TimeoutError, OSError, EOFError, SSHException) as error:
        return f"the node answered after its reboot, and then no more: {error}"
    if output.stdout.strip() not in ("running", "degraded"):
        say(host, f"its boot is not through after {SETTLE_S} s; going on with what there is")
    return None


def _another_boot(host: Host, connector: SSHConnector, before: str) -> str | None:
    """Connect once; return None when the node is up in another boot, else an error message."""
    try:
        # Not host.connect: pyinfra reports a failure there as a failed host.
        connector.connect()
        ok, output = host.run_shell_command(BOOT_ID, _timeout=ANSWER_S)
    except (ConnectError, TimeoutError, OSError, EOFError, SSHException) as error:
        _close(connector)
        return str(error) or type(error).__name__
    if ok and output.stdout.strip() != before:
        host.connected = True
        return None
    _close(connector)
    return "it has not gone down yet" if ok else output.stderr


def _drop(host: Host, connector: SSHConnector) -> None:
    """Close the connection, which would otherwise be waited on for an answer."""
    host.disconnect()
    _close(connector)


def _close(connector: SSHConnector) -> None:
    if connector.client is not None:
        connector.client.close()
