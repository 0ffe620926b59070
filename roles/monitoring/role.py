"""The role monitoring: what it is made of."""

from bramble.checks import checks_of
from bramble.outputs import GatewayOutputs, ModelOutputs, ServingOutputs
from bramble.role import Role
from bramble.roles.base.outputs import BaseOutputs
from bramble.roles.monitoring import checks
from bramble.roles.monitoring.plan import facts_needed, plan, revert, steps
from bramble.roles.monitoring.settings import Settings
from bramble.roles.monitoring.wanted import MonitoringPlan

ROLE: Role[Settings, MonitoringPlan] = Role(
    name="monitoring",
    settings=Settings,
    takes=(BaseOutputs, ModelOutputs, ServingOutputs, GatewayOutputs),
    last=True,  # it watches what all the others left
    facts_needed=facts_needed,
    plan=plan,
    steps=steps,
    revert=revert,
    checks=checks_of("monitoring", checks),
)
