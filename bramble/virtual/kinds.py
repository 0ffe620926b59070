"""The one place that picks what a kind of virtual Pi is made and run by."""

from bramble.virtual.backend import Backend
from bramble.virtual.container.backend import Containers
from bramble.virtual.machine.backend import Machines
from bramble.virtual.model import Kind, kind_of

BACKENDS: dict[Kind, Backend] = {"container": Containers(), "machine": Machines()}


def backend_of(name: str) -> Backend:
    """Return the backend of the kind that a node's name stands for."""
    return BACKENDS[kind_of(name)]
