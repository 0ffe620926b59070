"""The ways to see whether nodes are as wanted that are compared, and bare SSH beside them."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clones import BRAMBLE, BenchError
from meter import Run, weighed
from tools import HERE, RUN_S, Bramble

from bramble import fleet, project
from bramble.testing.testinfra_node import ssh_config

WORKERS = 8
BARE, OURS = "ssh HOST true", "bramble verify"


@dataclass(frozen=True)
class Looker:
    """A way to look at nodes: a command, which ends with 0 where all is well."""

    name: str
    argv: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)

    def look(self) -> Run:
        """Look at all nodes once; raise BenchError where one is not well."""
        done = weighed(self.argv, RUN_S, **self.environment)
        if done.code:
            said = done.output.strip()[-2000:]
            raise BenchError(f"{self.name}: exit code {done.code}, so there is no ratio:\n{said}")
        return done


def lookers(folder: Path, inventory: Path, names: Sequence[str]) -> list[Looker]:
    """Every way, bare SSH first; what plain testinfra and the checklist want is bramble's own plan."""
    ours = {project.VARIABLE: str(inventory)}
    wanted = folder / "wanted.json"
    values = Bramble(folder, inventory, names).wanted(folder / "wanted")["wanted"]
    wanted.write_text(json.dumps(values), encoding="utf-8")
    config = folder / "ssh_config"
    text = ssh_config(fleet.load(inventory))
    config.write_text(f"{text}Host *\n    ControlPath {folder}/%C\n", encoding="utf-8")
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    at_once = ["-n", str(WORKERS)]

    def plain(name: str, scheme: str, query: str, *more: str) -> Looker:
        hosts = ",".join(f"{scheme}://{host}?ssh_config={config}{query}" for host in names)
        words = [*pytest, *more, "-p", "no:bramble", f"--hosts={hosts}", HERE / "plain.py"]
        return Looker(name, words, {"BENCH_WANTED": str(wanted)})

    by_plugin = [*pytest, "--hosts", ",".join(names), "-m", "preflight", "tests/preflight"]
    return [
        Looker(BARE, on_each(config, names, "true")),
        Looker(OURS, [BRAMBLE, "verify", "--json", *names], ours),
        Looker("checklist in one ssh", on_each(config, names, checklist(values))),
        Looker("same checks by testinfra", by_plugin, ours),
        Looker("the same, xdist", [*by_plugin, *at_once], ours),
        plain("plain testinfra, ssh", "ssh", "&controlpersist=0"),
        plain("the same, ControlMaster", "ssh", "&controlpersist=60"),
        plain("the same, paramiko", "paramiko", ""),
        plain("ControlMaster, xdist", "ssh", "&controlpersist=60", *at_once),
    ]


def on_each(config: Path, names: Sequence[str], command: str) -> list[str]:
    """A command on all hosts at once, each by an ssh of its own; 1 where one of them fails."""
    one = f"ssh -F {shlex.quote(str(config))} -o BatchMode=yes"
    begun = "\n".join(
        f'{one} {name} {shlex.quote(command)} >/dev/null & pids="$pids $!"' for name in names
    )
    waited = 'bad=0\nfor pid in $pids; do wait "$pid" || bad=1; done\nexit $bad'
    return ["sh", "-c", f"pids=\n{begun}\n{waited}"]


def checklist(values: Mapping[str, Any]) -> str:
    """What plain testinfra tests, as a script of a shell for one login, but for what files hold."""
    modes = "".join(
        f"test \"$(stat -c '%a %U:%G' {shlex.quote(file['path'])})\" = "
        f"'{int(file['mode'], 8):o} {file['owner']}:{file['group']}'\n"
        for file in values["files"]
    )
    url, unit = shlex.quote(values["url"]), shlex.quote(values["unit"])
    request = shlex.quote(json.dumps(values["request"]))
    script = f"""set -eu
{modes}dpkg-query -W {shlex.join(values["packages"])} >/dev/null
test "$(readlink {shlex.quote(values["current"])})" = {shlex.quote(values["current_target"])}
echo {values["model_sha256"]}"  "{shlex.quote(values["model_path"])} | sha256sum -c --quiet
systemctl is-active --quiet {unit}
systemctl is-enabled --quiet {unit}
ss -Hltn | grep -qF {shlex.quote(values["bound"])}
curl -fsS {url}/health
curl -fsS -H 'Content-Type: application/json' -d {request} {url}/v1/chat/completions \\
  | grep -qF {shlex.quote(values["expect"])}
"""
    return f"sudo sh -c {shlex.quote(script)}"
