"""bramble's roles as deploys of pyinfra, for use among the operations of a deploy file.

    from bramble.deploys import base, serving, verify
    from pyinfra.operations import server

    base()
    served = serving()
    server.shell(name="Log it", commands=["logger restarted"], _if=served.did_change)
    verify()

Each takes its settings from the host's data, as inventory.py gives them, and pyinfra's global arguments
(`_if`, `_ignore_errors`, ...). The first of a run looks at the host, and refuses one that bramble does
not support, or a plan that cannot work. Each role uses a new look where anything was changed since
the last one, by pyinfra's own record of all operations. A role that the host does not have does nothing.
"""

from __future__ import annotations

from pyinfra.api import deploy
from pyinfra.api.operation import OperationMeta
from pyinfra.context import ctx_host

from bramble import registry
from bramble.pyinfra import run, verification
from bramble.pyinfra.session import refuse

NAME = "bramble"


# A function for each role, as pyinfra tells operations apart by the lines that they are called from.


@deploy(NAME)
def base() -> OperationMeta:
    """Set the clock, packages, names and SSH; return the operation's meta."""
    return run.execute(run.accepted(), "base")


@deploy(NAME)
def storage() -> OperationMeta:
    """Set up the SSD, its mount and the logs; return the operation's meta."""
    return run.execute(run.accepted(), "storage")


@deploy(NAME)
def memory() -> OperationMeta:
    """Set zram, the swap file and the kernel's parameters; return the operation's meta."""
    return run.execute(run.accepted(), "memory")


@deploy(NAME)
def power() -> OperationMeta:
    """Set the governor and the lines of config.txt; return the operation's meta."""
    return run.execute(run.accepted(), "power")


@deploy(NAME)
def boot() -> OperationMeta:
    """Write the boot files and the EEPROM, and reboot where that is due; return the operation's meta."""
    return run.execute(run.accepted(), "boot")


@deploy(NAME)
def engine() -> OperationMeta:
    """Install llama.cpp's release; return the operation's meta."""
    return run.execute(run.accepted(), "engine")


@deploy(NAME)
def model() -> OperationMeta:
    """Fetch the model's file; return the operation's meta."""
    return run.execute(run.accepted(), "model")


@deploy(NAME)
def serving() -> OperationMeta:
    """Run llama-server's unit, through its gate; return the operation's meta."""
    return run.execute(run.accepted(), "serving")


@deploy(NAME)
def gateway() -> OperationMeta:
    """Run HAProxy before the fleet's nodes; return the operation's meta."""
    return run.execute(run.accepted(), "gateway")


@deploy(NAME)
def firewall() -> OperationMeta:
    """Load bramble's table of nftables, on trial; return the operation's meta."""
    return run.execute(run.accepted(), "firewall")


@deploy(NAME)
def monitoring() -> OperationMeta:
    """Run the exporter, and have the node watch itself; return the operation's meta."""
    return run.execute(run.accepted(), "monitoring")


@deploy(NAME)
def watchdog() -> OperationMeta:
    """Arm the hardware watchdog; return the operation's meta."""
    return run.execute(run.accepted(), "watchdog")


@deploy(NAME)
def role(name: str) -> OperationMeta:
    """Execute a role by its name, one of a person's own too; return the operation's meta."""
    return run.execute(run.accepted(), name)


@deploy(NAME)
def own(*, before: str | None = None, after: str | None = None) -> tuple[OperationMeta, ...]:
    """Execute the roles of the project and of packages whose turn is before this role, or after it.

    Return the operations' metas, one for each role. An unknown role fails the host.
    """
    if misspelt := run.unknown_roles(*(name for name in (before, after) if name is not None)):
        return (refuse(name="Execute the roles of the project", problem=misspelt),)
    host, accepted = ctx_host.get(), run.accepted()
    names = [each.name for each in registry.roles()]
    turn = names.index(before or after or names[0])
    meant = names[:turn] if before else names[turn:]
    ours = [name for name in registry.own() if name in meant]
    return tuple(run.execute(accepted, name) for name in host.loop(ours))


@deploy(NAME)
def node() -> tuple[OperationMeta, ...]:
    """Execute every role of the host in order; return the operations' metas, one for each role."""
    host, accepted = ctx_host.get(), run.accepted()
    # pyinfra tells the rounds of its own loop apart, where all are called from one line.
    return tuple(run.execute(accepted, each.name) for each in host.loop(registry.roles()))


@deploy(NAME)
def verify(*roles: str) -> OperationMeta:
    """Check the host as it is then: all of it, or these roles alone; return the operation's meta."""
    return verification.verify(run.accepted(), *roles)
