"""Every host loops over the whole catalogue with `host.loop`: right as well."""

import canary_base
import canary_engine
from pyinfra import host

APPLY = {"base": canary_base.apply, "engine": canary_engine.apply}

for role in host.loop(APPLY):
    if role in host.data.roles:
        APPLY[role]()
