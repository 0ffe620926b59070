"""The role boot: what it is made of."""

from bramble.checks import checks_of
from bramble.firmware.boot_files import AtBoot
from bramble.role import Role
from bramble.roles.boot import checks
from bramble.roles.boot.outputs import BootOutputs
from bramble.roles.boot.plan import BootPlan, facts_needed, plan, revert, steps
from bramble.roles.boot.settings import Settings

ROLE: Role[Settings, BootPlan] = Role(
    name="boot",
    settings=Settings,
    gives=BootOutputs,
    takes=(AtBoot,),
    facts_needed=facts_needed,
    plan=plan,
    steps=steps,
    revert=revert,
    checks=checks_of("boot", checks),
)
