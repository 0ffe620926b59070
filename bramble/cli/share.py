"""`bramble report --share`: what only real boards can show, in a file that a person reads and sends."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import driver
from bramble.cli.inventory import loaded_inventory, refuse
from bramble.cli.selection import hosts as its_hosts

if TYPE_CHECKING:
    from bramble.inventory.load import Inventory
    from bramble.inventory.selection import Chosen
    from bramble.share.look import Look
    from bramble.share.placeholders import Placeholders
    from bramble.share.text import Told

DEFAULT = Path("bramble-report.txt")
_TIMEOUT_S = 120
_BENCHES = 3


@click.command("report")
@its_hosts()
@click.option("--share", is_flag=True, required=True, help="Make the file; nothing is sent.")
@click.option(
    "-o",
    "--output",
    "file",
    default=DEFAULT,
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file to write.",
)
def report(hosts: Chosen, share: bool, file: Path) -> None:
    """Collect what HOSTs (all by default) are, and how their runs went, into a file to read and send.

    One look at each host (board, EEPROM, config.txt, what vcgencmd says, watchdog, zram, heat), the
    seconds of each step and the checks of the kept reports, and kept benchmarks. Names of hosts, groups
    and people, addresses, numbers of devices, keys and what looks like a secret are replaced. Nothing is
    sent, and nothing is changed.

    \b
    bramble report --share
    bramble report pi5-a --share -o pi5.txt
    """
    import bramble
    from bramble.share.placeholders import Placeholders
    from bramble.share.text import HEAD, NameLeft, text

    if file.exists() and not file.read_bytes().startswith(HEAD.encode()):
        refuse(f"{file} is there already, and is no such report: name another by -o")
    driver.check_hosts(hosts.names)
    inventory = loaded_inventory()
    names = hosts.names or tuple(inventory.hosts)
    labels = {name: f"host-{at}" for at, name in enumerate(inventory.hosts, 1)}
    looks = _looks(inventory, names)
    known = _known(inventory, labels, looks, Placeholders())
    told = [_told(inventory, name, labels[name], looks[name]) for name in names]
    try:
        file.write_text(text(bramble.__version__, told, known), encoding="utf-8")
    except NameLeft as error:
        raise click.ClickException(f"{error}; nothing was written: please tell us") from error
    except OSError as error:
        refuse(f"{file}: {error.strerror}; nothing was written")
    silent = [name for name in names if looks[name].problem]
    for name in silent:
        click.echo(f"{name} was not looked at: {looks[name].problem}", err=True)
    click.echo(f"wrote {file}: {len(names) - len(silent)} of {len(names)} hosts; nothing was sent")
    click.echo("next: read it, take out what you do not want to send, and attach it to an issue")
    raise click.exceptions.Exit(1 if silent else 0)


def _looks(inventory: Inventory, names: tuple[str, ...]) -> dict[str, Look]:
    """Look at each host once, side by side."""
    from bramble.share.asked import line
    from bramble.share.look import Look, read
    from bramble.ssh.each import on_each

    settings: dict[str, Any] = {name: inventory.hosts[name].settings["ssh"] for name in names}
    found = {}
    for said in on_each(settings, line(), _TIMEOUT_S):
        found[said.host] = Look(problem=said.problem) if said.problem else read(said.output)
    return found


def _known(
    inventory: Inventory,
    labels: Mapping[str, str],
    looks: Mapping[str, Look],
    names: Placeholders,
) -> Placeholders:
    """Name all that is to be replaced and that is known ahead."""
    for name, host in inventory.hosts.items():
        ssh: Any = host.settings["ssh"]
        look = looks.get(name)
        for alias in (name, ssh.address, look.hostname if look else ""):
            names.assign(alias, labels[name])
        # A name of the network is known by its first part too.
        names.assign(
            ssh.address.partition(".")[0] if not ssh.address[:1].isdigit() else "", labels[name]
        )
        names.know("user", [*([ssh.user] if ssh.user else []), *(look.users if look else ())])
    names.know("group", [group for group in inventory.groups if group not in ("pi4", "pi5")])
    names.know("user", _own_names())
    names.assign(socket.gethostname(), "computer-1")
    return names


def _own_names() -> Iterator[str]:
    yield Path.home().name
    with suppress(KeyError, OSError):
        yield getpass.getuser()


def _told(inventory: Inventory, name: str, label: str, look: Look) -> Told:
    """Return what is told of one host."""
    from itertools import islice

    from bramble import project
    from bramble.bench import result
    from bramble.documents.document import read
    from bramble.models import catalogue
    from bramble.registry import roles
    from bramble.share.runs import bench, of_host
    from bramble.share.text import Told

    checks = [f"{role.name}.{check.name}" for role in roles() for check in role.checks]
    models = read(catalogue.shipped()).part("models").values
    benches: tuple[str, ...] = ()
    with suppress(ValueError):
        kept = islice(result.kept(inventory.folder, name), _BENCHES)
        benches = tuple(bench(result.as_dict(one), models) for one in kept)
    return Told(label, look, of_host(project.reports(), name, checks), benches)
