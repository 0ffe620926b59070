"""The role memory: what it is made of."""

from bramble.checks import checks_of
from bramble.firmware.boot_files import AtBoot
from bramble.role import Role
from bramble.roles.memory import checks
from bramble.roles.memory.beside import beside
from bramble.roles.memory.plan import facts_needed, plan, revert, steps
from bramble.roles.memory.settings import Settings
from bramble.roles.memory.wanted import MemoryPlan
from bramble.roles.storage.outputs import StorageOutputs

ROLE: Role[Settings, MemoryPlan] = Role(
    name="memory",
    settings=Settings,
    gives=AtBoot,
    takes=(StorageOutputs,),
    facts_needed=facts_needed,
    plan=plan,
    steps=steps,
    revert=revert,
    checks=checks_of("memory", checks),
    beside=beside,
)
