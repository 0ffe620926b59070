"""The page of every check."""

from __future__ import annotations

from bramble import registry
from bramble.reference import checks_table


def checks_page() -> str:
    """Return the page of every check of every role."""
    parts = [
        "# Checks\n\n"
        "What the end of every deploy, `bramble verify` and `pytest --hosts=NAME` check. A check\n"
        "changes nothing. Its result is one of:\n\n"
        "| Result | Meaning |\n|---|---|\n"
        "| pass | the node shows what the plan wants |\n"
        "| warn | it does not, and the check's severity is `warn`: the deploy still succeeds |\n"
        "| fail | it does not: the host fails |\n"
        "| skip | the check does not apply to this node |\n"
        "| unknown | the node would not say; this is never taken for a pass |\n"
    ]
    for role in registry.roles():
        parts.append(f"\n## {role.name}\n\n{checks_table(role.checks)}")
    parts.append(
        "\n## ssh.reachable\n\n"
        "No role's check: `bramble verify` gives this result for a host that could not be looked at,\n"
        "with the reason: a failure, or unknown where the run ended before it reported anything of it.\n"
    )
    return "".join(parts)
