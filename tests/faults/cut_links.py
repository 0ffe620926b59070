"""pyinfra itself, on virtual Pis that each lose their link at one remote command.

CUTS is a JSON object: by host, the number of a command, and `before` it or `during` it. CUT_TIMES is a
file that gets a line for each: the host, and the seconds from the cut to the end of that command.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

# pyinfra_cli patches the standard library for gevent when it is imported, so it comes first.
from pyinfra_cli.main import main  # isort: skip
from bramble.pyinfra.connector import NodeConnector

CUTS = json.loads(os.environ["CUTS"])
counts: dict[str, int] = {}
to_cut: dict[object, str] = {}
run, begun = NodeConnector.run_shell_command, NodeConnector._begun


def cut(name):
    subprocess.run(["ip", "link", "set", f"vb-{name}", "down"], check=True)


def run_and_cut(self, *args, **kwargs):
    name = self.host.name
    counts[name] = counts.get(name, 0) + 1
    number, when = CUTS.get(name, (0, ""))
    if number != counts[name]:
        return run(self, *args, **kwargs)
    if when == "before":
        cut(name)
    else:
        to_cut[self.client.get_transport()] = name
    began_s = time.monotonic()
    try:
        return run(self, *args, **kwargs)
    finally:
        with Path(os.environ["CUT_TIMES"]).open("a", encoding="utf-8") as file:
            file.write(f"{name} {time.monotonic() - began_s:.1f}\n")


def begun_and_cut(self, transport, *args, **kwargs):
    channel = begun(self, transport, *args, **kwargs)
    if name := to_cut.pop(transport, None):
        cut(name)
    return channel


NodeConnector.run_shell_command = run_and_cut
NodeConnector._begun = begun_and_cut
sys.argv[0] = "pyinfra"
main()
