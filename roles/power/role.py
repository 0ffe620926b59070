"""The role power: what it is made of."""

from bramble.checks import checks_of
from bramble.firmware.boot_files import AtBoot
from bramble.role import Role
from bramble.roles.base.outputs import BaseOutputs
from bramble.roles.power import checks
from bramble.roles.power.plan import PowerPlan, facts_needed, plan, revert, steps
from bramble.roles.power.settings import Settings

ROLE: Role[Settings, PowerPlan] = Role(
    name="power",
    settings=Settings,
    gives=AtBoot,
    takes=(BaseOutputs,),
    facts_needed=facts_needed,
    plan=plan,
    steps=steps,
    revert=revert,
    checks=checks_of("power", checks),
)
