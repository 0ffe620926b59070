"""Each host runs its own roles through a table: the pattern to avoid."""

import canary_base
import canary_engine
from pyinfra import host

APPLY = {"base": canary_base.apply, "engine": canary_engine.apply}

for role in host.data.roles:
    APPLY[role]()
