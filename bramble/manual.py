"""The manual page of bramble in roff, of the commands as they are."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator

import click

_ABOUT = (
    "Every command reads the inventory that BRAMBLE_INVENTORY names, else the nearest one from the "
    "working directory upward. `bramble docs` lists the pages that say more, `bramble COMMAND --help` "
    "prints what stands below of one command."
)
EXITS = (
    ("0", "All is as planned, or was brought there."),
    ("1", "A host failed, a check failed, or a host could not be reached."),
    ("2", "Wrong usage, or a problem in the inventory: nothing was connected to."),
    ("3", "Something could not be determined (verify, fit)."),
)
VARIABLES = (
    ("BRAMBLE_INVENTORY", "The folder of the inventory."),
    ("BRAMBLE_KEEP_REPORTS", "Of how many runs reports are kept; 500 by default, 0 for all."),
    ("BRAMBLE_STORE", "Where releases of llama.cpp are kept; ~/.cache/bramble/engine by default."),
    ("BRAMBLE_MODELS", "Where pulled models are kept; ~/.cache/bramble/models by default."),
    ("BRAMBLE_SUDO_PASSWORD", "sudo's password on nodes, for one run."),
    ("BRAMBLE_SUDO_PASSWORD_COMMAND", "A command that prints it; {host} stands for the host."),
    ("NO_COLOR", "Where it is set, nothing is coloured."),
)


def page(command: click.Group, version: str) -> str:
    """Return the whole page."""
    context = click.Context(command, info_name="bramble", **command.context_settings)
    lines = [
        f'.TH BRAMBLE 1 "" "bramble {_text(version)}" "User Commands"',
        ".SH NAME",
        f"bramble \\- {_text(_first(command))}",
        ".SH SYNOPSIS",
        *_usage(command, context),
        ".SH DESCRIPTION",
        *_lines(_ABOUT),
        ".SH COMMANDS",
    ]
    for below, its_context in _commands(command, context):
        lines += _section(below, its_context)
    lines += [".SH EXIT STATUS", *_terms(EXITS), ".SH ENVIRONMENT", *_terms(VARIABLES)]
    return "\n".join(lines) + "\n"


def _commands(
    group: click.Group, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield the commands below a group, each with its context, a group before its own."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        below = click.Context(command, info_name=name, parent=context, **command.context_settings)
        yield command, below
        if isinstance(command, click.Group):
            yield from _commands(command, below)


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f".SS {_text(context.command_path)}"
    yield from _usage(command, context)
    yield from _help(inspect.cleandoc(command.help or ""))
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record and record[1] and "--help" not in option.opts:
            yield from _terms([record])


def _usage(command: click.Command, context: click.Context) -> list[str]:
    words = " ".join(command.collect_usage_pieces(context))
    return [".PP", f".B {_text(context.command_path)}", _line(words)]


def _help(text: str) -> Iterator[str]:
    """Yield a help's paragraphs; those that click leaves as they are keep their lines."""
    for part in text.split("\n\n"):
        if part.startswith("\b\n"):
            yield from (".PP", ".nf", ".RS 2")
            yield from (_line(line) for line in part.removeprefix("\b\n").split("\n"))
            yield from (".RE", ".fi")
        elif part.strip():
            yield ".PP"
            yield from _lines(part)


def _terms(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [line for name, said in pairs for line in (".TP", f".B {_text(name)}", *_lines(said))]


def _lines(text: str) -> list[str]:
    return [_line(line) for line in text.split("\n") if line.strip()]


def _line(text: str) -> str:
    """Return one line of text that roff does not take for a request."""
    escaped = _text(text)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _text(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")


def _first(command: click.Command) -> str:
    first = inspect.cleandoc(command.help or "").split("\n\n")[0].rstrip(".")
    return first[:1].lower() + first[1:]
