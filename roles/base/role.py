"""The role base: what it is made of."""

from bramble.checks import checks_of
from bramble.role import Role
from bramble.roles.base import checks
from bramble.roles.base.outputs import BaseOutputs
from bramble.roles.base.plan import BasePlan, facts_needed, plan, revert, steps
from bramble.roles.base.settings import Settings

ROLE: Role[Settings, BasePlan] = Role(
    name="base",
    settings=Settings,
    gives=BaseOutputs,
    facts_needed=facts_needed,
    plan=plan,
    steps=steps,
    revert=revert,
    checks=checks_of("base", checks),
)
