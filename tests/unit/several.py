"""A node that serves several models, one of them twice as large, as models.lock has them."""

from pathlib import Path

from bramble.models.dims import dims_of
from bramble.models.geometry import geometry
from bramble.models.lock import Locked
from bramble.models.source import header
from tests.unit.good_node import good_look, node_plan
from tests.unit.spoiled import Node

DEMO = Path(__file__).parents[2] / "models"
SMALL, LARGE = "demo:q8_0", "demo:f16"


def locked(quant: str, digit: str, fit: bool = True) -> Locked:
    """The demo model as models.lock has it, under a sha256 of one digit."""
    file = DEMO / f"bramble-demo-{quant}.gguf"
    return Locked(
        repo="example/demo",
        revision=digit * 40,
        file=file.name,
        size_bytes=file.stat().st_size,
        sha256=digit * 64,
        fit=dims_of(geometry(header(str(file)))) if fit else None,
    )


LOCK = {SMALL: locked("q8_0", "a"), LARGE: locked("f16", "b")}
USES = {"use": SMALL, "name": None, "url": None, "sha256": None, "also": [LARGE]}


def several_plan(*board, lock=None, model=None, **more):
    """The plan of a node that serves both."""
    return node_plan(*board, locked=lock or LOCK, model={**USES, **(model or {})}, **more)


SEVERAL = several_plan()
LOOK = good_look(SEVERAL)
FIRST, SECOND = SEVERAL.roles["serving"].models


def node(look=LOOK, plan=SEVERAL, **answers):
    """A node of this plan."""
    return Node(look, plan=plan, **answers)
