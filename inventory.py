"""The fleet for pyinfra: the hosts of inventory/, or of the folder that BRAMBLE_INVENTORY names."""

from bramble.inventory.for_pyinfra import groups_or_exit

# pyinfra takes each list at the top of this file for a group of hosts.
globals().update(groups_or_exit())
