"""The inventory: a folder of YAML files in layers, validated as a whole before any connection."""

from bramble.inventory.layers import Source
from bramble.inventory.load import Host, Inventory, from_data, load
from bramble.inventory.problems import InventoryError, Problem
from bramble.project import folder

__all__ = [
    "Host",
    "Inventory",
    "InventoryError",
    "Problem",
    "Source",
    "folder",
    "from_data",
    "load",
]
