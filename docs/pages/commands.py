"""The page of every command's help."""

from __future__ import annotations

from collections.abc import Iterator

import click

from bramble.cli import main as command


def commands_page() -> str:
    """Return the page of every command's help."""
    found = "".join(
        f"\n## {name}\n\n```text\n{text}\n```\n" for name, text in helps(command, "bramble")
    )
    return (
        "# Commands\n\nWhat `--help` prints. Exit codes: [README](../../README.md#exit-codes); "
        "`--json`: [JSON](json.md).\n" + found
    )


def helps(
    found: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """Yield the path and the help text of a command and of those below it."""
    context = click.Context(
        found,
        info_name=name,
        parent=parent,
        terminal_width=80,
        max_content_width=80,
        **found.context_settings,
    )
    yield context.command_path, found.get_help(context).rstrip()
    if isinstance(found, click.Group):
        for inner in found.list_commands(context):
            below = found.get_command(context, inner)
            assert below is not None
            yield from helps(below, inner, context)
