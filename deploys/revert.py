"""Take back what one role set on nodes, data apart: `--data role=ROLE` says which."""

from bramble.pyinfra.run import begin
from bramble.pyinfra.taking_back import take_back

node = begin()
take_back(node)
