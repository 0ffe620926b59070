"""A project whose clients are killed where a test says."""

import itertools
import os
import subprocess
from dataclasses import dataclass

from bramble import report
from tests.faults import client
from tests.nodes.fleet import BIN, MAIN_JOB_TIMEOUT_S, ROOT, Fleet

INVENTORY = '''"""The fleet; its clients end where a test says."""
from bramble.for_pyinfra import groups_or_exit
from bramble.pyinfra.session import watch
from tests.faults import client

client.arm()
globals().update(groups_or_exit(__file__))
watch()
'''


@dataclass(frozen=True)
class Ended:
    """A client that ended: its exit code, its words, the commands that it gave, and its events."""

    code: int
    said: str
    commands: tuple[str, ...]
    events: tuple[dict, ...]

    def of(self, kind):
        return [event for event in self.events if event["event"] == kind]

    def became(self, name):
        """What became of a host: an exit code, why or what was done, and whether it changed."""
        ends = self.of("end")
        if not ends:
            return self.code or 1, self.said[-3000:], False
        steps = [event for event in self.of("step") if event["host"] == name]
        failed = name in ends[-1]["failed"]
        return int(failed), f"{steps}" + self.said[-3000:] * failed, name in ends[-1]["changed"]


class Client:
    """A command of a project under way, in a session of its own."""

    def __init__(self, project, argv, kill, place):
        self._commands, self._log = place.with_suffix(".commands"), place.with_suffix(".log")
        self._report = place.with_suffix(".jsonl")
        own = {
            report.VARIABLE: str(self._report),
            client.COMMANDS: str(self._commands),
            client.KILL: kill,
        }
        with self._log.open("w") as said:
            self.process = subprocess.Popen(
                [str(word) for word in argv],
                cwd=project.root,
                env=project.environment(PYTHONUNBUFFERED="1") | own,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self):
        return self._log.read_text(encoding="utf-8")

    def send(self, number):
        """Send a signal to all of its processes."""
        os.killpg(self.process.pid, number)

    def ended(self):
        """Wait for its end, and return what it did."""
        code = self.process.wait(timeout=MAIN_JOB_TIMEOUT_S)
        commands = self._commands.read_text().splitlines() if self._commands.exists() else ()
        return Ended(code, self.said, tuple(commands), tuple(report.read(self._report)))


class Project(Fleet):
    """An inventory in a project of its own, with a store that other projects have too."""

    def __init__(self, root, store):
        super().__init__(root / "inventory")
        self.root, self._store, self._numbers = root, store, itertools.count(1)
        self.folder.mkdir(parents=True)
        (root / "inventory.py").write_text(INVENTORY, encoding="utf-8")

    @property
    def store(self):
        return self._store

    def environment(self, **more):
        return super().environment(PYTHONPATH=str(ROOT), **more)

    def start(self, argv, kill=""):
        """Start a command in a session of its own, to run to its end or to the instant `kill`."""
        return Client(self, argv, kill, self.root / f"client-{next(self._numbers)}")

    def client(self, argv, kill=""):
        """Run a command to its end, or to the instant at which it is killed."""
        return self.start(argv, kill).ended()

    def deploy(self, *names, kill=""):
        """`pyinfra inventory.py deploys/node.py` on these hosts, or on all."""
        return self.start_deploy(*names, kill=kill).ended()

    def start_deploy(self, *names, kill=""):
        """The same, under way."""
        limits = [word for name in names for word in ("--limit", name)]
        deploy = ROOT / "deploys" / "node.py"
        return self.start([BIN / "pyinfra", "inventory.py", deploy, "-y", *limits], kill)

    def upgrade(self, name, commit, kill=""):
        """`bramble upgrade` of one host."""
        return self.client([BIN / "bramble", "upgrade", name, "--to", commit], kill)
