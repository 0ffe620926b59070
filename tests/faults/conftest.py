"""Virtual Pis, as tests/nodes has them."""

from tests.nodes.conftest import virtual_pis

__all__ = ["virtual_pis"]
