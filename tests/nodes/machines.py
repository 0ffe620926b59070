"""Machines that are provisioned while power cuts and reboots interrupt the runs."""

import base64
import contextlib
import itertools
import json
import queue
import random
import re
import shlex
import subprocess
import threading
import time
from dataclasses import dataclass

from bramble import virtual
from bramble.virtual import spec
from bramble.virtual.machine import qemu
from tests.nodes import disks
from tests.nodes.fleet import (
    NO_LOG2RAM,
    NOT_EXPOSED,
    NOT_WANTED,
    ONE_MODEL,
    ROLES,
    Lasting,
    as_json,
)

BOARD = {"board": "pi4", "fault": "eeprom-old", "kind": "machine"}
BACK_S = 1200
"""How long a boot may take; half a minute where little else runs."""
GIVEN_UP_S = 2400
"""When a run whose node vanished has long ended; it may wait for a reboot of its own."""
TRACED = "../tests/nodes/traced_node"
WATCHDOG_S = 60
OWN = {
    # Its processor is emulated on a computer that has other work: how fast it is says nothing.
    "ssh": {"silence_s": 120},
    "storage": {"ssd": {"device_timeout_s": 600}},
    # As long as the default, a bite would take minutes to wait for.
    "watchdog": {"runtime_s": WATCHDOG_S},
    "base": {"hostname": "inventory", "timezone": "Europe/Vienna"},
    "boot": {"eeprom": {"update": True}},
}
CHECKS = [f"{role.name}.{check.name}" for role in ROLES for check in role.checks]
SKIPPED = (
    *NOT_EXPOSED,
    *ONE_MODEL,
    *NOT_WANTED,
    *NO_LOG2RAM,
    "base.cloud_init_keeps_the_name",  # there is none
    "power.governor_is_in_force",  # a machine's kernel scales no clock
    "power.supply_is_rated_for_a_pi_5",  # it is a Pi 4
)
SYSTEM = ("base", "storage", "memory", "power", "boot", "watchdog")
"""The roles of deploys/system.py, which want no llama.cpp."""


@dataclass
class Crossed(Lasting):
    """A fleet of one machine, whose store lasts; it gets these roles."""

    machine: str = ""
    roles: tuple[str, ...] = tuple(role.name for role in ROLES)

    @property
    def sent(self):
        """Where a traced deploy writes what it sends."""
        return self.folder / "sent.jsonl"

    def environment(self, **more):
        return super().environment(BRAMBLE_SENT=str(self.sent), **more)

    def name(self, serving=None, **engine):
        """The machine in the inventory, with these settings of its engine and its service too."""
        own = {"node": {"roles": [*self.roles]}, "engine": {"recipe": "cross", **engine}}
        own["serving"] = serving or {}
        self.write([self.machine], {self.machine: OWN | own})

    @property
    def well(self):
        """The results of its checks where all is well, by check."""
        checks = [name for name in CHECKS if name.partition(".")[0] in self.roles]
        return {name: "skip" if name in SKIPPED else "pass" for name in checks}

    def build(self, soc, codename="bookworm"):
        """What `bramble engine build` says of a processor's release, from the store or built now."""
        which = ["--soc", soc, "--codename", codename]
        done = self.bramble("engine", "build", *which, self.machine, "--json")
        assert done.returncode == 0, done.stdout
        (entry,) = as_json(done)["releases"]
        return entry


@dataclass
class Provisioning:
    """The first run that ended, after others that were interrupted: its words, and what those left."""

    said: str
    left: list[disks.Left]
    reboots: int
    first: disks.Tree
    last: disks.Tree
    sent: set[bytes]


def provision(fleet, pi, scratch, cuts):
    """Provision a machine, interrupted in so many steps, every other time by a reboot.

    `scratch` is a folder for copies of its disks.
    """
    name, first = fleet.machine, at_rest(pi, fleet.machine)
    steps = {entry["step"] for entry in plan_of(fleet)["steps"] if entry["why"]}
    cut: list[str] = []
    begun: set[str] = set()
    left, reboots = [], 0
    moments = random.Random()
    while len(cut) < cuts:
        # Not the first steps alone; enough are left for the cuts that follow, as what began may be done.
        later = moments.randrange(max(1, len(steps - begun) * 3 // 4 // (cuts - len(cut))))
        rebooted = len(cut) % 2 == 1
        left_out = {*cut, "Reboot"} if rebooted else {*cut}
        deploy = Interrupted(fleet, steps - left_out, later, round(moments.uniform(0, 3), 1))
        with deploy as (step, moment):
            assert step, f"the deploy ended before {cuts} of its steps began: {cut}"
            cut.append(step)
            begun |= deploy.seen
            if not rebooted:
                print(f"power cut {moment} of {step!r}")
                deploy.kill()
                pi.cut_power(name)
                left.append(
                    disks.left(qemu.files_of(spec.load(name)), f"{moment} of {step!r}", scratch)
                )
                virtual.up([name], **BOARD)
            else:
                print(f"rebooted {moment} of {step!r}")
                before = pi.boot_id(name)
                in_a_moment(pi, name, "systemctl reboot -f")
                deploy.wait()
                pi.wait_for_another_boot(name, before, deadline_s=BACK_S)
                reboots += 1
    done = fleet.pyinfra(TRACED, "-y")
    assert done.returncode == 0, done.stdout
    assert fleet.statuses(name) == fleet.well
    sent = fleet.sent.read_text(encoding="utf-8").splitlines()
    queries = set().union(*(disks.texts(json.loads(line)["query"]) for line in sent))
    return Provisioning(done.stdout, left, reboots, first, at_rest(pi, name), queries)


def at_rest(pi, name):
    """The machine's files, as it reads them itself."""
    folders = f"{' '.join(disks.KEPT)} boot/firmware/cmdline.txt boot/firmware/config.txt"
    leave = "--exclude=*.gguf --exclude=opt/bramble/engine/releases/*/bin"
    pack = f"cd /; ls -d {folders} 2>/dev/null | xargs tar --create {leave} | base64 --wrap=0"
    return disks.of_a_node(base64.b64decode(pi.said(name, f"sudo sh -c {shlex.quote(pack)}")))


def in_a_moment(pi, name, command):
    """Have root run a command that the connection may not survive."""
    pi.said(name, f"sudo sh -c '(sleep 1; {command}) >/dev/null 2>&1 &'")
    pi.hang_up(name)


def plan_of(fleet):
    done = fleet.bramble("plan", fleet.machine, "--json")
    assert done.returncode == 0, done.stdout
    (plan,) = as_json(done)["plans"]
    return plan


class Interrupted:
    """A deploy, until one of these steps has run for so long or is over; then the step and the moment.

    So many others of these begin before it. Never waiting longer than the step leaves the steps after
    it to be interrupted, however fast this computer is.
    """

    def __init__(self, fleet, steps, later, delay_s):
        self.machine = fleet.machine
        self.steps, self.later, self.delay_s = steps, later, delay_s
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.seen: set[str] = set()
        self.process = fleet.start_pyinfra(TRACED, "-y", stdout=subprocess.PIPE)
        self.reader = threading.Thread(target=hand_on, args=(self.process.stdout, self.lines))

    def __enter__(self):
        self.reader.start()
        due = (s for s in map(self.begun, iter(self.lines.get, None)) if s in self.steps)
        step = next(itertools.islice(due, self.later, None), None)
        end = time.monotonic() + self.delay_s
        while step and (left_s := end - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                line = self.lines.get(timeout=left_s)
                if line is None or self.begun(line) in self.steps - {step}:
                    return step, "at the end"
        return step, f"{self.delay_s} s after the start"

    def begun(self, line):
        """The step that a line of a deploy's output says has begun."""
        reported = re.match(rf"\s*\[{self.machine}\] step \d+ of \d+: ([^:,]+): ", line)
        if not reported:
            return None
        self.seen.add(reported[1])
        return reported[1]

    def kill(self):
        """End the laptop's side too."""
        self.process.kill()

    def wait(self):
        """Have it end by itself, as it does where its node vanishes."""
        self.process.wait(timeout=GIVEN_UP_S)

    def __exit__(self, *_):
        self.process.kill()
        self.reader.join()
        self.process.wait()


def hand_on(lines, waiting):
    """Each line as it comes, then None."""
    for line in lines:
        waiting.put(line)
    waiting.put(None)
