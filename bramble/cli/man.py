"""`bramble man`: the manual page, made of the commands as they are."""

from __future__ import annotations

import click

import bramble


@click.command("man")
def man() -> None:
    """Print the manual page, in roff.

    \b
    bramble man | man -l -                                              on Linux
    bramble man > ~/.local/share/man/man1/bramble.1 && man bramble
    """
    from bramble.manual import page

    root = click.get_current_context().find_root().command
    assert isinstance(root, click.Group)
    click.echo(page(root, bramble.__version__), nl=False)
