"""The two tools that are compared: how each brings the same nodes to the same state."""

import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import yaml
from clones import BenchError, Node
from meter import ROOT, Run, run

from bramble import report

RUN_S = 900
HERE = Path(__file__).parent
PYINFRA = Path(sys.executable).with_name("pyinfra")
COUNTED = ROOT / "tests" / "nodes" / "counted_pyinfra.py"
PLAYBOOK = ROOT / ".venv-bench" / "bin" / "ansible-playbook"
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.M)


class Tool(Protocol):
    """What the benchmark needs of a tool."""

    name: str

    def run(self) -> Run:
        """One run on all nodes."""

    def problem(self, done: Run) -> str | None:
        """Why that run does not count as one with nothing to do; None when it does."""


class Bramble:
    """`pyinfra inventory.py deploys/node.py -y` on an inventory of the nodes."""

    name = "bramble"

    def __init__(self, folder: Path, inventory: Path, names: Sequence[str]) -> None:
        self.names = list(names)
        self.report = folder / "report.jsonl"
        self.count = folder / "count"
        self.environment = {
            "BRAMBLE_INVENTORY": str(inventory),
            "PYINFRA_PROGRESS": "off",
            report.VARIABLE: str(self.report),
        }

    def run(self) -> Run:
        """One run of the deploy."""
        self.report.unlink(missing_ok=True)
        words = ["inventory.py", "deploys/node.py", "-y"]
        return run([PYINFRA, *words], RUN_S, **self.environment)

    def remote_commands(self) -> int | None:
        """The most remote commands that one run made on one host; None where it is not known."""
        words = [sys.executable, str(COUNTED), "inventory.py", "deploys/node.py", "-y"]
        done = run(words, RUN_S, **self.environment, BRAMBLE_COUNT=str(self.count))
        if done.code or not self.count.exists():
            return None
        lines = [line.split() for line in self.count.read_text(encoding="utf-8").splitlines()]
        return max(Counter(host for host, kind in lines if kind == "command").values())

    def problem(self, done: Run) -> str | None:
        """Every host must be unchanged with every check passed, the question to the model too."""
        events = list(report.read(self.report))
        changed, failed = (
            [name for event in events if event["event"] == "end" for name in event[key]]
            for key in ("changed", "failed")
        )
        results = [event for event in events if event["event"] == "result"]
        unwell = [event for event in results if event["status"] not in ("pass", "warn", "skip")]
        asked = {event["host"] for event in results if event["check"] == "model_answers"}
        if done.code or changed or failed or unwell or asked != set(self.names):
            return f"changed {changed}, failed {failed}, exit code {done.code}:\n{done.output}"
        return None

    def wanted(self, folder: Path) -> dict[str, Any]:
        """The playbook's values, from bramble's own plan, which must be one for all nodes."""
        folder.mkdir()
        words = ["inventory.py", str(HERE / "wanted.py"), "-y"]
        done = run([PYINFRA, *words], RUN_S, **self.environment, BENCH_WANTED=str(folder))
        files = [folder / f"{name}.json" for name in self.names]
        if done.code or not all(file.exists() for file in files):
            raise BenchError(f"bramble's plan could not be read:\n{done.output}")
        values = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        if any(other != values[0] for other in values):
            raise BenchError("the nodes' plans differ, so one set of values will not do")
        if not values[0]["model_is_hashed"]:
            raise BenchError(
                "the model is too large to be hashed at every look; take a smaller one"
            )
        return {"wanted": values[0]["wanted"]}


class PyinfraAlone:
    """pyinfra's own SSH connector and a deploy without an operation: what any pyinfra run costs."""

    name = "pyinfra alone"

    def __init__(self, folder: Path, ssh: Mapping[str, Any], nodes: Sequence[Node]) -> None:
        self.names = [node["name"] for node in nodes]
        self.inventory, self.deploy = folder / "stock.py", folder / "nothing.py"
        data = {
            "ssh_user": ssh["user"],
            "ssh_key": ssh["key"],
            "ssh_known_hosts_file": ssh["known_hosts"],
            "ssh_strict_host_key_checking": "yes",
        }
        hosts = [(node["name"], {"ssh_hostname": node["address"], **data}) for node in nodes]
        self.inventory.write_text(f"nodes = {hosts!r}\n", encoding="utf-8")
        self.deploy.write_text("", encoding="utf-8")

    def run(self) -> Run:
        """One run that connects to all nodes and does nothing there."""
        return run([PYINFRA, self.inventory, self.deploy, "-y"], RUN_S, PYINFRA_PROGRESS="off")

    def problem(self, done: Run) -> str | None:
        """Every host must be connected to."""
        if done.code or not all(f"[{name}] Connected" in done.output for name in self.names):
            return f"exit code {done.code}:\n{done.output}"
        return None


class Ansible:
    """ansible/node.yml on the same nodes."""

    name = "ansible"

    def __init__(
        self, folder: Path, ssh: Mapping[str, Any], nodes: Sequence[Node], values: dict[str, Any]
    ) -> None:
        self.names = [node["name"] for node in nodes]
        self.inventory = folder / "hosts.yml"
        self.environment = {
            "ANSIBLE_CONFIG": str(HERE / "ansible" / "ansible.cfg"),
            "ANSIBLE_HOME": str(folder / "home"),
            # Short: a socket's path has at most 108 characters.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
            "LC_ALL": "C.UTF-8",
        }
        hosts = {node["name"]: {"ansible_host": node["address"]} for node in nodes}
        options = f"-o UserKnownHostsFile={ssh['known_hosts']} -o StrictHostKeyChecking=yes"
        connection = {
            "ansible_user": ssh["user"],
            "ansible_ssh_private_key_file": ssh["key"],
            "ansible_ssh_common_args": options,
        }
        document = {"all": {"hosts": hosts, "vars": {**connection, **values}}}
        self.inventory.write_text(yaml.safe_dump(document), encoding="utf-8")

    def run(self) -> Run:
        """One run of the playbook."""
        words = ["-i", str(self.inventory), str(HERE / "ansible" / "node.yml")]
        return run([PLAYBOOK, *words], RUN_S, **self.environment)

    def problem(self, done: Run) -> str | None:
        """Every host must be reached, with nothing changed and nothing failed."""
        recap = {name: tuple(map(int, numbers)) for name, *numbers in RECAP.findall(done.output)}
        ok = all(ok > 0 and not any(others) for ok, *others in recap.values())
        if done.code or not ok or set(recap) != set(self.names):
            return f"exit code {done.code}:\n{done.output}"
        return None
