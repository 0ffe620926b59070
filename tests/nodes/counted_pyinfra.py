"""pyinfra itself, with what goes through bramble's connector written to the file BRAMBLE_COUNT.

A line is a host and what was counted: a `command` or an upload, an `operation` that pyinfra makes, a
`packet` that SSH sends (of all hosts).
"""

import os
import sys
from pathlib import Path

# pyinfra_cli patches the standard library for gevent when it is imported, so it comes first.
from pyinfra_cli.main import main  # isort: skip
from paramiko.packet import Packetizer
from pyinfra.api.state import State

from bramble.pyinfra.connector import NodeConnector

COUNTED = (
    (NodeConnector, "run_shell_command", "command", lambda connector, *_: connector.host.name),
    (NodeConnector, "put_file", "command", lambda connector, *_: connector.host.name),
    (NodeConnector, "get_file", "command", lambda connector, *_: connector.host.name),
    (State, "set_op_data_for_host", "operation", lambda _state, host, *_: host.name),
    (Packetizer, "send_message", "packet", lambda *_: "all"),
)


def counted(owner, name, kind, host_of):
    original = getattr(owner, name)

    def call(self, *args, **kwargs):
        with Path(os.environ["BRAMBLE_COUNT"]).open("a", encoding="utf-8") as file:
            file.write(f"{host_of(self, *args)} {kind}\n")
        return original(self, *args, **kwargs)

    return call


for owner, name, kind, host_of in COUNTED:
    setattr(owner, name, counted(owner, name, kind, host_of))
sys.argv[0] = "pyinfra"
main()
