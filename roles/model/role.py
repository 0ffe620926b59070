"""The role model: what it is made of."""

from bramble.checks import checks_of
from bramble.outputs import EngineOutputs, ModelOutputs
from bramble.role import Role
from bramble.roles.model import checks
from bramble.roles.model.plan import ModelPlan, back, facts_needed, plan, prune, revert, steps
from bramble.roles.model.settings import Settings
from bramble.roles.storage.outputs import StorageOutputs

ROLE: Role[Settings, ModelPlan] = Role(
    name="model",
    settings=Settings,
    gives=ModelOutputs,
    takes=(
        EngineOutputs,
        StorageOutputs,
    ),
    facts_needed=facts_needed,
    plan=plan,
    steps=steps,
    revert=revert,
    prune=prune,
    back=back,
    checks=checks_of("model", checks),
)
