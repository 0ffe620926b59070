"""The role gateway: what it is made of."""

from bramble.checks import checks_of
from bramble.outputs import GatewayOutputs, ServingOutputs
from bramble.role import Role
from bramble.roles.gateway import checks
from bramble.roles.gateway.plan import facts_needed, plan, revert, steps
from bramble.roles.gateway.settings import Settings
from bramble.roles.gateway.wanted import GatewayPlan

ROLE: Role[Settings, GatewayPlan] = Role(
    name="gateway",
    settings=Settings,
    gives=GatewayOutputs,
    takes=(ServingOutputs,),  # a host that is one of its own nodes serves first
    facts_needed=facts_needed,
    plan=plan,
    steps=steps,
    revert=revert,
    checks=checks_of("gateway", checks),
)
