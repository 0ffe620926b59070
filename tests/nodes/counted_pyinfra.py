"""pyinfra itself, with what goes through its SSH connector written to the file BRAMBLE_COUNT."""

import os
import sys
from pathlib import Path

# pyinfra_cli patches the standard library for gevent when it is imported, so it comes first.
from pyinfra_cli.main import main  # isort: skip
from pyinfra.connectors.ssh import SSHConnector

COUNTED = ("run_shell_command", "put_file", "get_file")


def counted(name):
    original = getattr(SSHConnector, name)

    def call(self, *args, **kwargs):
        with Path(os.environ["BRAMBLE_COUNT"]).open("a", encoding="utf-8") as file:
            file.write(f"{self.host.name} {name}\n")
        return original(self, *args, **kwargs)

    return call


for method in COUNTED:
    setattr(SSHConnector, method, counted(method))
sys.argv[0] = "pyinfra"
main()
