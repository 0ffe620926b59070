"""pyinfra itself, with what goes through bramble's connector written to the file BRAMBLE_COUNT.

`run_shell_command`, `put_file` and `get_file` are remote commands; `packet` is one that SSH sends, and
`operation` one that pyinfra makes.
"""

import os
import sys
from pathlib import Path

# pyinfra_cli patches the standard library for gevent when it is imported, so it comes first.
from pyinfra_cli.main import main  # isort: skip
from paramiko.packet import Packetizer
from pyinfra.api.state import State

from bramble.ops.connector import NodeConnector

COUNTED = (
    (NodeConnector, "run_shell_command", lambda connector, *_: connector.host.name),
    (NodeConnector, "put_file", lambda connector, *_: connector.host.name),
    (NodeConnector, "get_file", lambda connector, *_: connector.host.name),
    (Packetizer, "send_message", lambda *_: "all"),
    (State, "set_op_data_for_host", lambda _state, host, *_: host.name),
)
NAMES = {"send_message": "packet", "set_op_data_for_host": "operation"}


def counted(owner, name, host_of):
    original = getattr(owner, name)

    def call(self, *args, **kwargs):
        with Path(os.environ["BRAMBLE_COUNT"]).open("a", encoding="utf-8") as file:
            file.write(f"{host_of(self, *args)} {NAMES.get(name, name)}\n")
        return original(self, *args, **kwargs)

    return call


for owner, name, host_of in COUNTED:
    setattr(owner, name, counted(owner, name, host_of))
sys.argv[0] = "pyinfra"
main()
