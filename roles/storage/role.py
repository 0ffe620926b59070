"""The role storage: what it is made of."""

from bramble.checks import checks_of
from bramble.role import Role
from bramble.roles.base.outputs import BaseOutputs
from bramble.roles.storage import checks
from bramble.roles.storage.outputs import StorageOutputs
from bramble.roles.storage.plan import StoragePlan, facts_needed, plan, revert, steps
from bramble.roles.storage.settings import Settings

ROLE: Role[Settings, StoragePlan] = Role(
    name="storage",
    settings=Settings,
    gives=StorageOutputs,
    takes=(BaseOutputs,),
    facts_needed=facts_needed,
    plan=plan,
    steps=steps,
    revert=revert,
    checks=checks_of("storage", checks),
)
