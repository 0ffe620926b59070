"""Programs on a node over pyinfra's open connection, bounded in time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from io import StringIO
from typing import Any

from paramiko import SSHException
from pyinfra.api import Host
from pyinfra.connectors.util import SUDO_PASSWORD_REQUIRED_LINES

from bramble import remote
from bramble.checks import ASK_TIMEOUT_S, CHAT, Task, ask_query
from bramble.plan import NodePlan
from bramble.pyinfra import sudo
from bramble.pyinfra.sudo import SudoError
from bramble.pyinfra.telling import say
from bramble.remote import outcome
from bramble.snapshot import Snapshot, Unknown
from bramble.snapshot import read as read_snapshot
from bramble.steps import Step, unit_name

READ_TIMEOUT_S = 4 * 3600
# A compile must leave the node usable, and its memory must not push sshd out.
DETACHED_PROPERTIES = {
    "Nice": "10",
    "IOSchedulingClass": "idle",
    "OOMScoreAdjust": "900",
    "KillMode": "control-group",
}


def run(
    host: Host,
    program: str,
    query: Mapping[str, Any],
    timeout_s: int | None,
    *,
    live: bool = False,
    as_root: bool = True,
    without_password: bool = False,
) -> tuple[bool, str]:
    """Run a program of `bramble/remote/`; return whether it succeeded, and its output.

    With `live` its lines are shown as they arrive; without `timeout_s` it is bounded as a look.
    A connection that fails is a failed program, and so is a sudo that asks `without_password` being
    allowed one.
    """
    more = {"_look": True} if timeout_s is None else {"_timeout": timeout_s}
    if without_password:
        more["_without_password"] = True
    try:
        ok, output = host.run_shell_command(
            remote.COMMAND,
            print_output=live,
            **privileges(host, as_root=as_root),
            _stdin=StringIO(remote.program(program, query)),
            **more,
        )
    except SudoError as error:
        return False, str(error)
    except (OSError, SSHException) as error:
        return False, f"the connection failed: {str(error) or type(error).__name__}"
    if ok:
        return True, output.stdout
    said = output.stderr or output.stdout
    return False, (None if without_password else _remedy(host, said)) or said


def privileges(host: Host, *, as_root: bool) -> dict[str, Any]:
    """Return pyinfra's arguments that make a command root's: what the host's data say, else sudo."""
    said = {name: host.data.get(name) for name in ("_sudo", "_doas", "_su_user")}
    if not as_root:
        return dict.fromkeys(said)
    if not any(said.values()) and said["_sudo"] is not False:
        said = {"_sudo": True}
    password = host.data.get("_sudo_password")
    return said | {"_sudo_password": password} if password else said


def _remedy(host: Host, said: str) -> str | None:
    """Say what to do where a node cannot run programs as root at all; None where it can."""
    if any(line.strip() in SUDO_PASSWORD_REQUIRED_LINES for line in said.splitlines()):
        return sudo.told(host.data.get("ssh_user") or "USER")
    if "python3: not found" in said:
        return "there is no python3; on the node: sudo apt-get install python3"
    if "sudo: not found" in said:
        return "there is no sudo; on the node, as root: apt-get install sudo"
    return None


def follow(host: Host, step: Step) -> tuple[bool, str]:
    """Run a detached step, or follow the one under way; return whether it succeeded, and its lines."""
    ok, output, _ = followed(host, step, {})
    return ok, output


def followed(
    host: Host, step: Step, more: Mapping[str, Any]
) -> tuple[bool, str, Mapping[str, Any]]:
    """Run a detached step as a unit that outlives this connection, or follow the one under way.

    Return whether it succeeded, its lines for people, and its outcome's fields. `more` is added to
    the query and does not make it other work.
    """
    inner = remote.program(step.program, {**step.query, **more})
    query = {"unit": unit_name(step), "program": inner, "properties": DETACHED_PROPERTIES}
    ok, output = run(host, "follow", query, step.timeout_s, live=True)
    return ok, *outcome.read(output)


def look(host: Host, query: Mapping[str, Any], program: str = "probe") -> Snapshot:
    """Take one look at the node; all of it is Unknown where its program could not run."""
    asked_at_s = time.time()
    ok, output = run(host, program, query, None)
    if not ok:
        return Snapshot(system=Unknown(output.strip() or "the look failed without a word"))
    try:
        return read_snapshot(remote.answer(output), asked_at_s, time.time())
    except ValueError as error:
        return Snapshot(system=Unknown(f"its answer to the look cannot be read: {error}"))


class Live:
    """A node that checks look at over the open connection; a `deep` one reads big files back."""

    def __init__(
        self, host: Host, plan: NodePlan, snapshot: Snapshot, *, deep: bool = False
    ) -> None:
        self.host = host
        self.deep = deep
        self.plan = plan
        self.snapshot = snapshot
        self.answer: Mapping[str, Any] | None = None
        """The model's last answer; None: it was not asked, or did not say anything readable."""

    def ask(
        self, url: str, question: str, task: Task = CHAT, model: str = ""
    ) -> Mapping[str, Any] | Unknown:
        """Ask a model on the node itself, and return its answer."""
        query = ask_query(url, question, task, model)
        ok, output = run(self.host, "ask", query, ASK_TIMEOUT_S + 30, as_root=False)
        if not ok:
            return Unknown(output.strip())
        try:
            answer: Mapping[str, Any] = remote.answer(output)
        except ValueError as error:
            return Unknown(f"the node's answer cannot be read: {error}")
        self.answer = answer
        say(self.host, f"{question} {answer.get('answer', answer.get('problem', ''))}")
        return answer

    def read_back(self, path: str) -> str | Unknown | None:
        """Read a file from the disk at low priority, and return its sha256."""
        if not self.deep:
            return None
        step = Step(
            "Read back", path, "read_back", {"path": path}, detached=True, timeout_s=READ_TIMEOUT_S
        )
        ok, output = follow(self.host, step)
        lines = output.strip().splitlines()
        return lines[-1] if ok and lines else Unknown(output.strip() or "it said nothing")
