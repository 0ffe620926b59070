"""Take back what one role set on nodes, data apart: `--data role=ROLE` says which."""

from bramble.pyinfra.run import gather_facts
from bramble.pyinfra.taking_back import take_back

node = gather_facts()
take_back(node)
