"""The role watchdog: what it is made of."""

from bramble.checks import checks_of
from bramble.role import Role
from bramble.roles.base.outputs import BaseOutputs
from bramble.roles.watchdog import checks
from bramble.roles.watchdog.plan import WatchdogPlan, facts_needed, plan, revert, steps
from bramble.roles.watchdog.settings import Settings

ROLE: Role[Settings, WatchdogPlan] = Role(
    name="watchdog",
    settings=Settings,
    takes=(BaseOutputs,),
    last=True,  # armed before another role has run, it could cut that one's work
    facts_needed=facts_needed,
    plan=plan,
    steps=steps,
    revert=revert,
    checks=checks_of("watchdog", checks),
)
