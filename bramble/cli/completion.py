"""`bramble completion`: the script that makes a shell complete commands, options and hosts."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_BRAMBLE_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that makes SHELL complete commands, options and the inventory's hosts.

    \b
    bramble completion bash > ~/.local/share/bash-completion/completions/bramble
    bramble completion zsh > ~/.zfunc/_bramble                          with ~/.zfunc in fpath
    bramble completion fish > ~/.config/fish/completions/bramble.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, "bramble", _VARIABLE).source())
