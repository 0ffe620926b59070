"""The page of every setting."""

from __future__ import annotations

from bramble import registry
from bramble.reference import about, settings_table
from bramble.settings import SshSettings


def settings_page() -> str:
    """Return the page of every setting of every section."""
    parts = [
        "# Settings\n\n"
        "A setting may be given in four places; the later wins: the default below, `settings:` of\n"
        "`fleet.yml`, `groups/NAME.yml` (in the order in which the host lists its groups), and the\n"
        "host itself (its entry in `fleet.yml`, or `hosts/NAME.yml`). Mappings are merged, lists are\n"
        'replaced whole, null is "back to the default". `bramble config HOST` prints each value with\n'
        "the file and line that set it; unknown names and values out of bounds end every command with\n"
        "exit code 2 before a host is connected to.\n\n"
        "Paths on this computer that are relative are taken from the inventory folder.\n"
    ]
    for name, model in registry.sections().items():
        parts.append(f"\n## {name}\n\n{about(model)}\n")
        if model is SshSettings:
            parts.append("\n`ssh` is no role: it says how to reach the host.\n")
        parts.append(f"\n{settings_table(name, model)}")
    return "".join(parts)
