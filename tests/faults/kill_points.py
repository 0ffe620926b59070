"""Clients killed at instants of a run, each with a node of its own, and what is seen of the nodes.

At the kill a node's files are read by this computer, a new SSH session must open, and what serves must
be what passed the gate, and answer. Then one run must bring the node to where a run without a kill
ends, and the run after that must have nothing to do.
"""

import json
import re
import shlex
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bramble import virtual
from bramble.virtual import lifecycle, processes
from tests.faults import looks

AT_ONCE = 4
"""Clients at once: they wait for their nodes much of their time."""
BACK_S = 120
REBOOT = "reboot"
WHEN = ("before", "amid", "after")
GOOD = "/opt/bramble/engine/good.json"
URL = "127.0.0.1:8080/v1/chat/completions"
QUESTION = {
    "messages": [{"role": "user", "content": "What is 2+2?"}],
    "temperature": 0,
    "max_tokens": 16,
}
# Notes with times and speeds: another one in each run, and whole where it can be read.
NOTES = re.compile(r"/opt/bramble/.*\.json|/mnt/ssd/bramble/models/.*\.gguf\.json")
# Different on each node: the UUID is made of the disk's name, and a name is in the table of hosts.
OWN = re.compile(r"/etc/(fstab|hosts)(\.bak)?")
# What only a change under way has: its name says that nobody is to take it for the file itself.
TEMPORARY = re.compile(
    r"(.*/)?\.[^/]+\.bramble"
    r"|/var/lib/bramble/ssh-undo/.*|/etc/systemd/system/(.*/)?bramble-ssh-undo\.service"
    r"|/var/tmp/bramble-(model|release)-[^/]+"
    r"|/var/lib/bramble/storage/formatting-.*"
)
# Of the system's own tools, which write them several times on the way.
NOT_OURS = re.compile(r"/etc/((sub)?[ug]id|g?shadow|passwd|group)-?|/etc/ld\.so\.cache")


@dataclass(frozen=True, order=True)
class Point:
    """An instant of a run: before, amid or after its command of this number, which has a name."""

    number: int
    when: str
    name: str

    def __str__(self):
        return f"{self.when} {self.number} ({self.name})"

    @property
    def kill(self):
        return f"{self.when} {self.number}"


def points(commands):
    """Every instant of a run of these commands."""
    several = enumerate(commands, 1)
    return [Point(number, when, name) for number, name in several for when in WHEN]


def chosen(commands, wanted):
    """The instants before or after commands with such names, each the first or the last of its name."""
    found = []
    for when, pattern, place in wanted:
        several = [p for p in points(commands) if p.when == when and re.fullmatch(pattern, p.name)]
        assert several, f"no command is called {pattern}: {commands}"
        found.append(several[place])
    return sorted(found)


@dataclass
class Tally:
    """What is counted over kill points, with a sentence for each fault."""

    kill_points: int = 0
    half_written: list[str] = field(default_factory=list)
    bricked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def hand_over(self, record_property):
        """Give the counts to the line that ends the run, and fail where there is a fault."""
        record_property("kill_points", self.kill_points)
        record_property("half_written", len(self.half_written))
        record_property("bricked", len(self.bricked))
        faults = [*self.half_written, *self.bricked, *self.wrong]
        assert not faults, "\n".join(faults)


@dataclass(frozen=True)
class Reference:
    """A run that nobody killed: its commands, and its node's files before and after it."""

    commands: tuple[str, ...]
    before: dict[str, str]
    after: dict[str, str]

    def reboots(self, point):
        """Whether the node is yet to be asked for a reboot, after a kill at this point."""
        to_come = self.commands[point.number - (point.when == "before") :]
        return REBOOT in to_come


@dataclass
class Node:
    """A node whose client is killed: its files before, at the kill, and in the end."""

    name: str
    point: Point
    serves: bool
    tally: Tally
    before: dict[str, str] = field(default_factory=dict)
    then: dict[str, str] = field(default_factory=dict)
    boot: str | None = None

    def wrong(self, why):
        self.tally.wrong.append(f"{self.point}: {why}")

    def kill(self, client):
        """Run a client to the instant, and look at the node before and then."""
        self.before, boot = looks.files(self.name), boot_id(self.name)
        ended = client(self)
        self.tally.kill_points += 1
        if ended.code != -signal.SIGKILL:
            self.wrong(f"the client ended by itself, with {ended.code}: {ended.said[-2000:]}")
        elif (len(ended.commands), ended.commands[-1]) != (self.point.number, self.point.name):
            self.wrong(f"the client was at command {len(ended.commands)}, {ended.commands[-1]}")
        # One that was asked to reboot goes down by itself.
        is_asked = self.point.name == REBOOT and self.point.when != "before"
        gone = (None, boot) if is_asked else (None,)
        if not processes.wait_until(lambda: boot_id(self.name) not in gone, deadline_s=BACK_S):
            self.tally.bricked.append(f"{self.point}: the node takes no SSH session")
            return
        self.then, self.boot = looks.files(self.name), boot_id(self.name)
        for path in filter(NOTES.fullmatch, self.then):
            if not is_json(looks.text(self.name, path)):
                self.tally.half_written.append(f"{self.point}: {path} cannot be read")
        # In the middle of a gate nothing is proved yet.
        for why in unproved(self.name, serves=self.serves) if self.point.when != "amid" else ():
            self.wrong(why)

    def judge(self, reference):
        """Compare the files at the kill, and those of now, with what they may be."""
        now, reboots = looks.files(self.name), reference.reboots(self.point)
        if not reboots and boot_id(self.name) != self.boot:
            self.wrong("it rebooted once more")
        for path in sorted(self.then.keys() | self.before.keys() | now.keys()):
            then = self.then.get(path)
            if then in (self.before.get(path), now.get(path)) or NOT_OURS.fullmatch(path):
                continue
            if NOTES.fullmatch(path) or (path not in now and TEMPORARY.fullmatch(path)):
                continue
            self.tally.half_written.append(f"{self.point}: {path} is {then}")
        for path in sorted(now.keys() | reference.after.keys()):
            found, wanted = now.get(path), reference.after.get(path)
            if wanted == reference.before.get(path):
                wanted = self.before.get(path)
            is_varying = any(kind.fullmatch(path) for kind in (NOTES, OWN, NOT_OURS))
            if found != wanted and not (is_varying and found and wanted):
                self.wrong(f"in the end {path} is {found}, and {wanted} without a kill")


def is_json(text):
    """Whether a note can be read."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def on(name, command):
    """A shell command as root over a new SSH session: the finished process."""
    argv = virtual.ssh_argv(lifecycle.running(name), f"sudo sh -c {shlex.quote(command)}")
    return subprocess.run(argv, capture_output=True, text=True, timeout=120)


def boot_id(name):
    """The node's boot, None where it takes no session."""
    done = on(name, "cat /proc/sys/kernel/random/boot_id")
    return done.stdout.strip() if done.returncode == 0 else None


def unproved(name, *, serves):
    """What is wrong with what a node serves: it must be what passed the gate, and must answer."""
    running, wrong = looks.serving(name), []
    if not running and not serves:
        return wrong
    if len(running) != 1:
        wrong.append(f"{len(running)} servers run")
    for path, sha256, argv in running:
        release = Path(path).parent.parent
        manifest = json.loads(looks.text(name, f"{release}/manifest.json"))
        good = json.loads(looks.text(name, GOOD))
        if manifest["binaries"]["llama-server"] != sha256:
            wrong.append(f"{path} is not what was built")
        if good["release"] != release.name:
            wrong.append(f"{release.name} serves, and {good['release']} passed the gate")
        model = argv[argv.index("--model") + 1]
        if on(name, f"sha256sum {model}").stdout.split()[0] != good["model"]:
            wrong.append(f"{model} is not the model that passed the gate")
    said = on(name, f"curl -sS -m 60 --json {shlex.quote(json.dumps(QUESTION))} {URL}")
    if said.returncode or '"4"' not in said.stdout:
        wrong.append(f"it answers {said.stdout}{said.stderr}")
    return wrong


def each(work, several):
    """Do the work on several at once; return the results in order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, several))


def nothing_is_pending(node):
    """Whether no timer of bramble's is to run out on a node."""
    return not on(node.name, "systemctl list-timers --no-legend 'bramble-*'").stdout.strip()


def killed(run, points, names, reference, tally):
    """Kill a client at each of the points, on a node each; see that all of them converge."""
    nodes = [
        Node(name, point, run.SERVES, tally) for name, point in zip(names, points, strict=True)
    ]
    each(lambda node: node.kill(run.kill), nodes)
    for node, (code, said, _) in zip(nodes, run.again(), strict=True):
        if code:
            node.wrong(f"the next run fails: {said}")
    for node in nodes:
        processes.wait_until(lambda n=node: nothing_is_pending(n), deadline_s=BACK_S + 30)
    for node, (code, said, changed) in zip(nodes, run.deploy(), strict=True):
        if code or changed:
            node.wrong(f"the run after that ends with {code}, and does {said}")
        for why in unproved(node.name, serves=True):
            node.wrong(f"in the end {why}")
        node.judge(reference)
    tally.wrong += run.wrong()
