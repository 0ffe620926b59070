"""List the models on nodes; with `--data verify=yes` read them back from their disks too."""

from bramble.ops.models import list_models
from bramble.ops.run import begin

list_models(begin())
