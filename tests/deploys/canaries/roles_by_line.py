"""Each role has a line of its own: the pattern to use."""

import canary_base
import canary_engine
from pyinfra import host

if "base" in host.data.roles:
    canary_base.apply()
if "engine" in host.data.roles:
    canary_engine.apply()
