"""`bramble run HOST... -- COMMAND`: one command on hosts, with their outputs side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from bramble import computer, report
from bramble.cli import driver, options, summary
from bramble.cli.options import AS_JSON, QUIET
from bramble.cli.selection import hosts as its_hosts
from bramble.sanitize import sanitize

if TYPE_CHECKING:
    from bramble.inventory.selection import Chosen
    from bramble.settings import SshSettings
    from bramble.ssh.each import Said

_COMMAND = "bramble.command"


class _WithCommand(click.Command):
    """A command whose words after `--` are another's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = args[at + 1 :]
        return super().parse_args(ctx, args[:at])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND..."]


@click.command("run", cls=_WithCommand)
@its_hosts(required=True)
@click.option(
    "--timeout",
    "timeout_s",
    default=60,
    show_default=True,
    type=click.IntRange(1, 86_400),
    metavar="SECONDS",
    help="After this the node ends the command.",
)
@QUIET
@AS_JSON
def run(hosts: Chosen, timeout_s: int, as_json: bool) -> None:
    """Run COMMAND on HOSTs at once, over SSH, as the account that logs in.

    One word is a line of the node's shell, several are a program and its arguments. Equal outputs are
    printed once. It changes nothing by itself and holds no node: what is to stay belongs in the
    inventory. `sudo -n` works where sudo asks for no password.

    Exit code: the highest of the hosts'; 124 for one that was ended after its time, 255 for a host that
    could not be reached.

    \b
    bramble run all -- uptime
    bramble run pi4 -- 'df -h / | tail -1'
    bramble run pi5-a pi5-b --timeout 300 -- sudo -n apt-get -qq update
    """
    from bramble.ssh.each import line_of, on_each

    words = click.get_current_context().meta[_COMMAND]
    if not words:
        raise click.UsageError("name the command after --, such as `bramble run pi4 -- uptime`")
    kept = driver.kept_reports()
    driver.check_hosts(hosts.names)
    begun = _begin(hosts.names)
    found: dict[str, Said] = {}
    try:
        for said in on_each(_ssh(hosts.names), line_of(words), timeout_s):
            found[said.host] = said
    except KeyboardInterrupt:
        click.echo(
            "Stopped; on the nodes it ends with its connection, or after its time.", err=True
        )
    _end(begun, hosts.names, found)
    driver.rotate(begun.file.parent, kept)
    in_order = [found[name] for name in hosts.names if name in found]
    if as_json:
        click.echo(json.dumps({"hosts": [asdict(said) for said in in_order]}, indent=2))
    else:
        _print(in_order)
        summary.tell_total(_states(hosts.names, found))
    lacking = 1 if len(found) < len(hosts.names) else 0
    raise click.exceptions.Exit(max([lacking, *(said.code for said in in_order)]))


def _ssh(names: Sequence[str]) -> dict[str, SshSettings]:
    from bramble.cli.inventory import loaded_inventory

    hosts = loaded_inventory().hosts
    settings: dict[str, Any] = {name: hosts[name].settings["ssh"] for name in names}
    return settings


def _begin(names: Sequence[str]) -> report.Report:
    """Begin the run's report; what the command prints is not kept."""
    begun = report.Report(report.new("run"))
    begun.write("run", hosts=list(names), who=computer.who(), command=driver.command_line())
    return begun


def _end(begun: report.Report, names: Sequence[str], found: Mapping[str, Said]) -> None:
    failed = [name for name in names if name not in found or found[name].code]
    for name in failed:
        said = found.get(name)
        why = (said.problem or f"exit code {said.code}") if said else "it was not waited for"
        begun.write("host", host=name, state="failed", why=why, details=None)
    begun.write("end", changed=[], failed=failed, complete=len(found) == len(names))


def _print(several: Sequence[Said]) -> None:
    """Print each output once, with the hosts that gave it; those that went wrong at the end."""
    alike: dict[tuple[int, str, str], list[str]] = {}
    for said in sorted(several, key=lambda said: said.code != 0):
        alike.setdefault((said.code, said.output, said.problem), []).append(said.host)
    short = all(output.count("\n") <= 1 for _, output, _ in alike)
    width = max((len(", ".join(hosts)) for hosts in alike.values()), default=0)
    for (code, output, problem), hosts in alike.items():
        if options.is_quiet() and not code:
            continue
        ended = problem or (f"exit code {code}" if code else "")
        names, text = ", ".join(hosts), sanitize(output, "\n\t").rstrip("\n")
        if short:
            click.echo(
                f"{names:{width}}  {'; '.join(filter(None, (text, sanitize(ended))))}".rstrip()
            )
        else:
            click.echo(click.style(names, bold=True) + (f": {sanitize(ended)}" if ended else ""))
            for line in text.split("\n") if text else ():
                click.echo(f"  {line}".rstrip())


def _states(names: Sequence[str], found: Mapping[str, Said]) -> dict[str, str]:
    return {
        name: "failed" if name not in found or found[name].code else "ended with 0"
        for name in names
    }
