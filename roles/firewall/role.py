"""The role firewall: what it is made of."""

from bramble.checks import checks_of
from bramble.outputs import GatewayOutputs, ServingOutputs
from bramble.role import Role
from bramble.roles.firewall import checks
from bramble.roles.firewall.plan import FirewallPlan, facts_needed, plan, revert, steps
from bramble.roles.firewall.settings import Settings

ROLE: Role[Settings, FirewallPlan] = Role(
    name="firewall",
    settings=Settings,
    takes=(ServingOutputs, GatewayOutputs),
    facts_needed=facts_needed,
    plan=plan,
    steps=steps,
    revert=revert,
    checks=checks_of("firewall", checks),
)
