"""List the models on nodes; with `--data verify=yes` read them back from their disks too."""

from bramble.pyinfra.models import list_models
from bramble.pyinfra.run import gather_facts

list_models(gather_facts())
