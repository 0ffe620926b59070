"""Fleets of virtual Pis as tests see them: an inventory of their own, and the real commands on it."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from bramble import registry, report
from bramble.llama import store
from bramble.virtual import paths
from bramble.virtual.model import address_of, port_of

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ROLES = tuple(role for role in registry.roles() if not role.settings.on_request)
"""The roles of a host whose inventory asks for none in particular."""
# The shipped settings want nothing of these.
NOT_WANTED = (
    "base.upgrades_are_as_planned",
    "base.keys_are_there",
    "base.sshd_has_its_options",
    "base.sudo_asks_as_planned",
    "power.fan_has_its_temperatures",
    "boot.config_txt_has_the_planned_values",
)
NOT_NAMED = (
    "base.hostname_is_as_planned",
    "base.cloud_init_keeps_the_name",
    "base.timezone_is_as_planned",
)
# The journal is in memory, so that log2ram has nothing to do.
NO_LOG2RAM = (
    "storage.logs_are_in_memory",
    "storage.logs_have_room",
    "storage.logs_take_no_zram",
    "storage.repository_gives_log2ram_only",
)
# Nothing is exposed, so that there is no way in, and no table of a firewall.
NOT_EXPOSED = (
    "serving.edge_answers_as_planned",
    "serving.edge_asks_for_a_key",
    "serving.edge_tells_its_figures",
    "serving.edge_is_bound_as_planned",
    "serving.edge_is_held_by_its_sandbox",
    "serving.edge_certificate_lasts",
    "serving.debians_haproxy_is_off",
    "firewall.files_are_as_written",
    "firewall.ssh_is_let_in",
)
# There is one model.
ONE_MODEL = (
    "model.further_models_are_the_pinned_ones",
    "serving.router_has_the_planned_models",
    "serving.further_models_answer",
    "serving.further_contexts_are_as_planned",
)
# What a container cannot show: it has no watchdog device, and its clock is its host's.
SKIPPED = (
    *NOT_WANTED,
    *NOT_NAMED,
    *NO_LOG2RAM,
    *NOT_EXPOSED,
    *ONE_MODEL,
    "storage.ssd_had_no_errors",
    "storage.other_disks_had_no_errors",
    "storage.root_has_no_access_times",
    "storage.usb_disk_is_not_reset",
    # Swap and the kernel are its host's.
    "memory.zram_is_swap",
    "memory.zram_has_its_algorithm",
    "memory.zram_comes_first",
    "memory.zram_is_alone",
    "memory.swap_has_no_other_owner",
    "memory.swap_file_is_in_use",
    "memory.ssd_has_two_gb_of_swap",
    "memory.swap_file_fits_the_page_size",
    "memory.kernel_values_are_in_force",
    "memory.files_are_as_written",
    "boot.memory_controller_is_there",
    "boot.pressure_is_told",
    "power.governor_is_in_force",
    "watchdog.device_is_armed",
)
MAIN_JOB_TIMEOUT_S = 3000  # a compile with nothing cached takes ten minutes on two idle cores


@dataclass
class Fleet:
    """An inventory folder that names virtual Pis, and where its reports go."""

    folder: Path
    reports: list[Path] = field(default_factory=list)

    @property
    def store(self) -> Path:
        """A store of its own: what this computer has built must not decide what a test sees."""
        return self.folder / "store"

    def write(self, hosts, per_host=None):
        """Name these virtual Pis, with settings of their own for some of them."""
        (self.folder / "groups").mkdir(parents=True, exist_ok=True)
        shipped = ROOT / "inventory" / "groups" / "virtual.yml"
        group = shipped.read_text(encoding="utf-8").replace("../models/", f"{ROOT}/models/")
        group = group.replace("/var/lib/bramble/virtual", str(paths.state_dir()))
        (self.folder / "groups" / "virtual.yml").write_text(group, encoding="utf-8")
        entries = {}
        for name in hosts:
            own = (per_host or {}).get(name, {})
            ssh = {"address": address_of(name), "port": port_of(name)} | own.get("ssh", {})
            entries[name] = {"groups": ["virtual"], **own, "ssh": ssh}
        fleet = {"settings": {}, "hosts": entries}
        (self.folder / "fleet.yml").write_text(yaml.safe_dump(fleet), encoding="utf-8")

    def environment(self, **more):
        """The environment of every command on this fleet."""
        new = self.folder / f"report-{len(self.reports)}.jsonl"
        self.reports.append(new)
        return {
            **os.environ,
            "BRAMBLE_INVENTORY": str(self.folder),
            store.VARIABLE: str(self.store),
            report.VARIABLE: str(new),
            "PYINFRA_PROGRESS": "off",
            **more,
        }

    def pyinfra(self, deploy="node", *options, **more):
        """The real pyinfra on a deploy, to its end."""
        argv = [BIN / "pyinfra", "inventory.py", f"deploys/{deploy}.py", *options]
        return self.run(argv, **more)

    def bramble(self, *words, **more):
        """The real bramble command."""
        return self.run([BIN / "bramble", *words], **more)

    def key(self, *words, **more):
        """`bramble key` with these words: the key that it prints, if any."""
        done = subprocess.run(
            [str(BIN / "bramble"), "key", *words],
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def run(self, argv, **more):
        """Any command in the repository, with its output as text."""
        return subprocess.run(
            [str(word) for word in argv],
            cwd=ROOT,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=MAIN_JOB_TIMEOUT_S,
        )

    def start_pyinfra(self, deploy="node", *options, stdout=subprocess.DEVNULL):
        """The real pyinfra, under way."""
        return subprocess.Popen(
            [BIN / "pyinfra", "inventory.py", f"deploys/{deploy}.py", *options],
            cwd=ROOT,
            env=self.environment(PYTHONUNBUFFERED="1"),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def events(self, kind):
        """The last report's events of one kind."""
        return [event for event in report.read(self.reports[-1]) if event["event"] == kind]

    def statuses(self, host):
        """The last report's check results of a host, by "role.check"."""
        return {
            f"{event['role']}.{event['check']}": event["status"]
            for event in self.events("result")
            if event["host"] == host
        }

    def verify(self, *hosts):
        """`bramble verify --json`: its exit code and its results by host and check."""
        done = subprocess.run(
            [str(BIN / "bramble"), "verify", "--json", *hosts],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        results = json.loads(done.stdout)["results"]
        return done.returncode, {
            (entry["host"], f"{entry['role']}.{entry['check']}"): entry for entry in results
        }


class Lasting(Fleet):
    """A fleet whose store lasts, in virtual Pis' cache: how a release is built is not its matter.

    What is there is what would be built: a release is named for source, options and processor.
    """

    @property
    def store(self):
        return paths.cache_dir() / "engine"


def as_json(done):
    """What a command told programs, behind what it told people on the way."""
    return json.loads(done.stdout[done.stdout.index("{\n") :])


def wait_until(condition, deadline_s, what):
    """Wait for a condition; what it was when the time is over."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {deadline_s} s"
        time.sleep(0.2)
