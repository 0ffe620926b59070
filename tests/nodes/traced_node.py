"""The deploy of a whole node, with what each step is sent with appended to the file BRAMBLE_SENT."""

import json
import os
from pathlib import Path

from pyinfra import local

from bramble.pyinfra import delivery

deliver = delivery.deliver


def traced(host, step, report):
    """Keep a step's query, and deliver it."""
    with Path(os.environ["BRAMBLE_SENT"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step.name, "query": step.query}, default=list) + "\n")
    return deliver(host, step, report)


delivery.deliver = traced
local.include(str(Path(__file__).parents[2] / "deploys" / "node.py"))
