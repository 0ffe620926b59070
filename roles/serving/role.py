"""The role serving: what it is made of."""

from bramble.checks import checks_of
from bramble.outputs import EngineOutputs, ModelOutputs, ServingOutputs
from bramble.role import Role
from bramble.roles.serving import checks, edge_checks, memory_checks, router_checks
from bramble.roles.serving.plan import facts_needed, plan
from bramble.roles.serving.settings import Settings
from bramble.roles.serving.steps import again, restart, revert, steps
from bramble.roles.serving.wanted import ServingPlan

ROLE: Role[Settings, ServingPlan] = Role(
    name="serving",
    settings=Settings,
    gives=ServingOutputs,
    takes=(
        EngineOutputs,
        ModelOutputs,
    ),
    facts_needed=facts_needed,
    plan=plan,
    steps=steps,
    revert=revert,
    again=again,
    restart=restart,
    checks=tuple(
        one
        for part in (router_checks, checks, memory_checks, edge_checks)
        for one in checks_of("serving", part)
    ),
)
