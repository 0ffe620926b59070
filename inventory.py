"""The fleet for pyinfra: the hosts of inventory/, or of the folder that BRAMBLE_INVENTORY names."""

from bramble.for_pyinfra import groups_or_exit
from bramble.pyinfra.session import watch

# pyinfra takes each list at the top of this file for a group of hosts.
globals().update(groups_or_exit(__file__))

# The run is reported from here on, so that a fleet of one unreachable host has a report too.
watch()
