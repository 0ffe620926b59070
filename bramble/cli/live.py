"""The live view of `bramble status --watch`: drawn once a second, and left for a host's commands.

Off a terminal there are plain lines, one whenever something changed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from bramble.cli import keys
from bramble.sanitize import sanitize
from bramble.status import gateway
from bramble.status.result import HostStatus
from bramble.status.screen import Line, Piece, Screen, lines

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

EVERY_S = 1.0
STYLES = {"": "", "good": "green", "warn": "yellow", "bad": "red", "dim": "dim"}
Look = Callable[[], tuple[HostStatus, ...]]
"""Returns all hosts as they are now."""


def watch(look: Look, renew: Callable[[], object]) -> None:
    """Show the fleet until the person leaves; call `renew` after a command, which may change things."""
    screen, action = Screen(), ""
    while action != "quit":
        screen, action = _shown(look, screen)
        chosen = screen.chosen(look())
        if chosen and (words := _words(action, chosen.host)):
            _run(words)
            renew()


def _shown(look: Look, screen: Screen) -> tuple[Screen, str]:
    """Draw until a key asks for something; return what was chosen, and what is to be done."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    with (
        keys.read_singly(),
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        drawn_s = time.monotonic()
        _draw(live, screen, look())
        while True:
            for key in keys.pressed(drawn_s + EVERY_S - time.monotonic()):
                screen, action = screen.pressed(key, look())
                if action:
                    return screen, action
            drawn_s = time.monotonic()
            _draw(live, screen, look())


def _draw(live: Live, screen: Screen, hosts: Sequence[HostStatus]) -> None:
    size = live.console.size
    # In the last column some terminals go to the next line.
    live.update(_text(lines(screen, hosts, size.width - 1, size.height)), refresh=True)


def _text(drawn: Sequence[Line]) -> Text:
    """Return the lines for rich: one text, as a table of its own would cost ten times as much."""
    from rich.text import Text

    text = Text(no_wrap=True, overflow="crop", end="")
    for number, line in enumerate(drawn):
        text.append("\n" if number else "")
        for piece in line:
            text.append(piece.text, style=_style(piece))
    return text


def _style(piece: Piece) -> str:
    words = (STYLES[piece.tone], piece.strong and "bold", piece.chosen and "reverse")
    return " ".join(word for word in words if word)


def _words(action: str, host: str) -> list[str]:
    """Return the words of the command that an action stands for; none where there is nothing to do."""
    if action == "checks":
        return ["verify", host]
    if action == "logs":
        return ["logs", host, "-f"]
    if action == "ask":
        with suppress(click.Abort):
            if question := click.prompt(f"Ask {host}", default="", show_default=False).strip():
                return ["ask", "--host", host, "--", question]
    return []


def _run(words: Sequence[str]) -> None:
    """Run a command of bramble on this terminal, and wait until the person has read what it says."""
    click.echo(f"$ bramble {' '.join(words)}")
    # -P: a file of the project must not hide a module.
    argv = [sys.executable, "-P", "-c", "from bramble.cli import main; main(prog_name='bramble')"]
    with subprocess.Popen([*argv, *words]) as process:
        while True:
            # Ctrl-C reaches the command too, which ends by it.
            with suppress(KeyboardInterrupt):
                process.wait()
                break
    with keys.read_singly(), suppress(KeyboardInterrupt):
        click.echo("\nany key: back to the fleet")
        while not keys.pressed(60):
            pass


def tell_changes(look: Look, wait: Callable[[float], object] = time.sleep) -> None:
    """Print a line for each host when it is first known, and whenever something of it changed."""
    before: dict[str, str] = {}
    while True:
        for line in changed(look(), before):
            click.echo(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {line}")
        wait(EVERY_S)


def changed(hosts: Sequence[HostStatus], before: dict[str, str]) -> Iterator[str]:
    """Yield a line for each host that is not as it was `before`, where the lines are kept."""
    for one in hosts:
        if one.state == "connecting":
            continue
        line = sanitize(f"{one.host}: {'; '.join(filter(None, _lasting(one)))}")
        if before.get(one.host) != line:
            before[one.host] = line
            yield line


def _lasting(one: HostStatus) -> Iterator[str]:
    """Yield what of a host does not change from second to second."""
    yield f"{one.state}: {one.why}" if one.why else one.state
    yield ", ".join(f"{model.name} {model.state}" for model in one.models)
    yield one.build or ""
    down = gateway.down(one.gateway or ())
    yield f"down: {', '.join(down)}" if down else ""
    yield f"held back: {', '.join(one.throttled_now)}" if one.throttled_now else ""
    yield f"{one.restarts} restarts" if one.restarts else ""
    yield f"differs: {one.drift.what}" if one.drift.found == "differs" else ""
