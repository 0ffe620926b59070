"""`bramble role`: list roles, show one, and begin a new one in a project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bramble.cli.options import AS_JSON

if TYPE_CHECKING:
    from bramble.registry import AnyRole

MODULES = {
    "settings.py": "roles/{name}/settings.py",
    "plan.py": "roles/{name}/plan.py",
    "checks.py": "roles/{name}/checks.py",
    "role.py": "roles/{name}/role.py",
}
"""The files of any new role, by the names of their templates."""

PROJECTS = {"README.md": "roles/{name}/README.md", "test_role.py": "tests/test_{name}.py"}
"""What a role of a project has besides."""

BRAMBLES = {
    "__init__.py": "roles/{name}/__init__.py",
    "good.py": "tests/unit/roles/{name}/good.py",
    "faults.py": "tests/unit/roles/{name}/faults.py",
    "test_role.py": "tests/unit/test_{name}_role.py",
}
"""What one of bramble's own has besides."""


@click.group()
def role() -> None:
    """List roles, show one, and begin one of your own."""


@role.command("list")
@AS_JSON
def list_roles(as_json: bool) -> None:
    """List the roles in the order in which a deploy runs them, yours marked.

    \b
    bramble role list
    """
    from bramble.cli.inventory import tell_folder
    from bramble.reference import about

    rows = [
        {"role": name, "about": about(entry.settings), "own": is_own}
        for name, (entry, is_own) in known_roles().items()
    ]
    tell_folder()
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    width = max(len(str(row["role"])) for row in rows)
    for row in rows:
        mark = "  (yours)" if row["own"] else ""
        click.echo(f"{row['role']:{width}}  {row['about']}{mark}")


@role.command()
@click.argument("name")
def show(name: str) -> None:
    """Print the settings and the checks of the role NAME, in Markdown.

    \b
    bramble role show serving
    """
    from bramble.cli.inventory import refuse
    from bramble.documents.problems import unknown
    from bramble.reference import about, checks_table, settings_table

    found = known_roles()
    if name not in found:
        refuse(f"no role '{name}'; {unknown(name, found)}")
    entry, _ = found[name]
    click.echo(
        f"# {name}\n\n{about(entry.settings)}\n\n{settings_table(name, entry.settings)}\n"
        f"{checks_table(entry.checks)}",
        nl=False,
    )


@role.command()
@click.argument("name")
@click.option("--package", help="Debian package that it installs; default: one of the role's name.")
def new(name: str, package: str | None) -> None:
    """Begin the role NAME in this project: roles/NAME/ and tests/test_NAME.py, which passes.

    In a checkout of bramble it is one of bramble's own (CONTRIBUTING.md).

    \b
    bramble role new exporter --package prometheus-node-exporter
    """
    from bramble import project
    from bramble.cli.inventory import existing_folder, refuse, write_files
    from bramble.project_roles import NAME, NAMES
    from bramble.registry import EVERY_HOST, is_bramble
    from bramble.render import render

    if not NAME.fullmatch(name):
        refuse(f"NAME: found {name!r}, allowed: {NAMES}")
    if name in known_roles() or name in EVERY_HOST:
        refuse(f"there is a role or a section '{name}' already; choose another name")
    place = project.root(existing_folder())
    folder = Path(__file__).parents[1] / "skeleton"
    ours = is_bramble(place / "roles")
    values = {
        "name": name,
        "package": package or name.replace("_", "-"),
        "here": f"bramble.roles.{name}" if ours else "",
    }
    made = {
        path.format(name=name): render(f"{template}.j2", folder, **values)
        for template, path in (MODULES | (BRAMBLES if ours else PROJECTS)).items()
    }
    write_files(place, made)
    (test,) = (path for path in made if Path(path).name.startswith("test_"))
    page = "CONTRIBUTING.md" if ours else "docs/how-to/own-role.md"
    click.echo(f"wrote {place / 'roles' / name} and {place / test}")
    click.echo(f"next: pytest {test}; then make the role yours ({page})")


def known_roles() -> dict[str, tuple[AnyRole, bool]]:
    """Return every role by name with whether it is the person's, or end the command."""
    from bramble import registry
    from bramble.cli.inventory import refuse
    from bramble.documents.problems import InventoryError

    try:
        own = registry.own()
        return {found.name: (found, found.name in own) for found in registry.roles()}
    except InventoryError as error:
        refuse(str(error))
