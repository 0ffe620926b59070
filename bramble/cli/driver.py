"""Runs pyinfra as a person would, and reads its report; the commands build on this."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from bramble import computer, project, report, sudo_password
from bramble.cli import options as common
from bramble.cli.terminal import say
from bramble.sanitize import sanitize

if TYPE_CHECKING:
    from bramble.inventory.load import Host

LAST_WORDS = 3
"""How many last lines are shown of a run that reached no host."""

# Progress is shown from the lines of pyinfra's log about one host, except those that say only that it
# continues: pyinfra gives another process nothing else. All decisions go by the report's events.
_OF_HOST = re.compile(r"^\s*\[(?P<host>[^\]]+)\] (?P<text>.*)$")
_ROUTINE = re.compile(r"^(Connected|Ready: .*|Success|No changes|Skipped|Error: executed .*)$")


@dataclass(frozen=True)
class Outcome:
    """The result of a run of pyinfra: its exit code, its events, and where they are."""

    code: int
    events: tuple[dict[str, Any], ...]
    report: Path
    log: Path

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the events of one kind, in order."""
        return [entry for entry in self.events if entry["event"] == event]

    def by_host(self, event: str) -> list[dict[str, Any]]:
        """Return the events of one kind in the order of the hosts, not of their answers."""
        turn = {name: number for number, name in enumerate(self.hosts)}
        return sorted(self.of(event), key=lambda entry: turn.get(entry["host"], len(turn)))

    @property
    def hosts(self) -> list[str]:
        """The hosts that the run was for."""
        return [name for entry in self.of("run") for name in entry["hosts"]]

    @property
    def is_whole(self) -> bool:
        """Whether the run reached its end, with whatever result."""
        ends = self.of("end")
        return bool(ends) and ends[-1]["complete"] and self.code != report.STOPPED

    @property
    def cut_off(self) -> str:
        """Why the run did not reach its end, in a sentence; empty where it did."""
        if self.is_whole:
            return ""
        ended = "was stopped" if self.code == report.STOPPED else computer.ended(self.code)
        return f"the run {ended} before it finished; run it again"

    @property
    def failed(self) -> dict[str, str]:
        """Each failed host with the reason that the report gives."""
        names = {name for entry in self.of("end") for name in entry["failed"]}
        whys = {name: "see the log" for name in self.hosts if name in names}
        for entry in self.events:
            why = entry.get("why") if entry["event"] == "host" else entry.get("problem")
            if entry.get("host") in whys and why:
                whys[entry["host"]] = sanitize(why.strip().splitlines()[-1])
        return whys

    @property
    def changed(self) -> set[str]:
        """The hosts on which something was changed."""
        return {name for entry in self.of("end") for name in entry["changed"]}


def check_hosts(names: Sequence[str]) -> None:
    """Print which inventory a run uses; end with code 2 where that has a problem or lacks a host."""
    from bramble.cli.inventory import chosen_host, loaded_inventory, refuse
    from bramble.inventory import presence
    from bramble.inventory.headline import headline

    inventory = loaded_inventory()
    meant = {name: chosen_host(inventory, name) for name in names} or inventory.hosts
    absent = presence.absent(meant)
    if absent and (names or len(absent) == len(meant)):
        refuse(presence.sentence(absent))
    there = {name: host for name, host in meant.items() if name not in absent}
    if problems := key_problems(there):
        refuse(problems)
    if not common.is_quiet():
        click.echo(headline(inventory, list(there)), err=True)


def present() -> list[str]:
    """Return the hosts of the fleet, without virtual Pis that are not up."""
    from bramble.cli.inventory import loaded_inventory
    from bramble.inventory import presence

    hosts = loaded_inventory().hosts
    absent = presence.absent(hosts)
    return [name for name in hosts if name not in absent]


def key_problems(hosts: Mapping[str, Host]) -> str:
    """Return what is wrong with the private keys of these hosts, with the lines that name them."""
    from bramble.documents.problems import Problem, shown
    from bramble.ssh import openssh

    named: dict[tuple[Any, Path], str] = {}
    for name, host in hosts.items():
        ssh: Any = host.settings["ssh"]
        if (source := host.sources.get(("ssh", "key"))) and ssh.key:
            named.setdefault((source, ssh.key), name if source.layer == "host" else "")
    doubtful = {each: name for each, name in named.items() if not openssh.is_whole(each[1])}
    if not doubtful:
        return ""
    # Importing paramiko is slow.
    from bramble.ssh.problems import key_problem

    problems = []
    for (source, key), name in doubtful.items():
        if said := key_problem(key):
            message = f"{name}: ssh.key: {said}" if name else f"ssh.key: {said}"
            problems.append(Problem(shown(source.file), source.line, message))
    return "\n".join(map(str, problems))


def run(
    deploy: str,
    hosts: Sequence[str],
    *options: str,
    show: Callable[[str, str], None],
    variables: Mapping[str, str] = MappingProxyType({}),
    reports: Path | None = None,
) -> Outcome:
    """Run deploys/<deploy>.py on the hosts (none: all), passing its output about each to `show`.

    Run the project's own inventory.py and deploy, or bramble's where it has none; `variables` are added
    to its environment. The report goes to the project's, or to the folder that is named.
    """
    kept = kept_reports()
    check_hosts(hosts)
    common.ask_sudo_password()
    root = project.root(project.folder())
    file = report.new(deploy, reports)
    log = file.with_suffix(".log")
    file.parent.mkdir(parents=True, exist_ok=True)
    files = [str(project.part(root, name)) for name in (project.ENTRY, f"deploys/{deploy}.py")]
    # -P: a file of the project must not hide a module that pyinfra imports.
    argv = [sys.executable, "-P", "-m", "pyinfra", *files, *options]
    for host in hosts:
        argv += ["--limit", host]
    code = _call(argv, root, file, log, show, variables)
    rotate(file.parent, kept)
    left = Outcome(code, tuple(report.read(file)), file, log)
    if code and not left.hosts:
        _tell_end(left)
    return left


def kept_reports() -> int:
    """Return of how many runs reports are kept, or end the command with what is wrong with that."""
    from bramble.cli.inventory import refuse

    try:
        return report.keep()
    except ValueError as error:
        refuse(str(error))


def rotate(folder: Path, kept: int) -> None:
    """Remove old reports; one that cannot be removed is told, and fails no run."""
    try:
        report.rotate(folder, kept)
    except OSError as error:
        say(f"old reports stay: {error}", err=True)


def command_line() -> str:
    """Return the words of this command, unless a secret may be among them."""
    from bramble.cli import WORDS
    from bramble.documents.problems import holds_secret

    context = click.get_current_context(silent=True)
    line = shlex.join(["bramble", *(context.meta.get(WORDS, ()) if context else ())])
    return "bramble (not shown: it may hold a secret)" if holds_secret(line) else line


def _tell_end(left: Outcome) -> None:
    """Print how a run ended that reached no host, with its last lines."""
    words = [line for line in left.log.read_text(encoding="utf-8").splitlines() if line.strip()]
    said = "\n".join(sanitize(click.unstyle(line)) for line in words[-LAST_WORDS:])
    say(f"{said}\n{left.cut_off} (the whole log: {left.log})", err=True)


def _call(
    argv: Sequence[str],
    root: Path,
    file: Path,
    log: Path,
    listen: Callable[[str, str], None],
    more: Mapping[str, str],
) -> int:
    environment = {
        **os.environ,
        **more,
        report.VARIABLE: str(file),
        report.COMMAND: command_line(),
        project.VARIABLE: str(project.folder()),
        "PYINFRA_PROGRESS": "off",
        "PYTHONUNBUFFERED": "1",
    }
    with (
        log.open("w", encoding="utf-8") as text,
        sudo_password.handed_on() as (variables, descriptors),
        subprocess.Popen(
            argv,
            cwd=root,
            env=environment | variables,
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        # Ctrl-C reaches pyinfra too; SIGTERM to this command alone is passed on to it.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            for line in process.stdout:
                text.write(line)
                found = _OF_HOST.match(click.unstyle(line))
                if found and not _ROUTINE.match(found["text"].strip()):
                    listen(found["host"], sanitize(found["text"].rstrip()))
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            raise
        finally:
            signal.signal(signal.SIGTERM, before)


def show_line(host: str, text: str) -> None:
    """Print a line of progress on standard error."""
    say(f"{host}: {text}", err=True)


def be_quiet(host: str, text: str) -> None:
    """Print nothing: for commands whose output is their result alone."""


def progress(as_json: bool) -> Callable[[str, str], None]:
    """Return what a command does with lines of progress: it prints them, unless that would disturb."""
    return be_quiet if as_json or common.is_quiet() else show_line
