"""The role engine: what it is made of."""

from bramble.checks import checks_of
from bramble.outputs import EngineOutputs
from bramble.role import Role
from bramble.roles.boot.outputs import BootOutputs
from bramble.roles.engine import checks
from bramble.roles.engine.plan import EnginePlan, facts_needed, plan
from bramble.roles.engine.rollback import back
from bramble.roles.engine.settings import Settings
from bramble.roles.engine.steps import again, candidate, revert, steps
from bramble.roles.storage.outputs import StorageOutputs

ROLE: Role[Settings, EnginePlan] = Role(
    name="engine",
    settings=Settings,
    gives=EngineOutputs,
    takes=(
        BootOutputs,
        StorageOutputs,
    ),
    facts_needed=facts_needed,
    plan=plan,
    steps=steps,
    revert=revert,
    candidate=candidate,
    again=again,
    back=back,
    checks=checks_of("engine", checks),
)
