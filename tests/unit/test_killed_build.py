"""A build on this computer that is killed leaves no compile behind, whichever process was killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bramble import computer
from bramble.llama import store

ROOT = Path(__file__).parents[2]
WITHIN_S = 30
pytestmark = pytest.mark.skipif(
    not computer.is_linux(), reason="nothing is compiled here but on Linux"
)
SOURCE = {"kind": "git", "commit": "0" * 40, "url": "http://git.example.org"}
QUERY = {
    "manifest": {"release": "abc", "soc": "cortex-a72"},
    "source": SOURCE,
    "options": {},
    "targets": ["toy"],
    "jobs": 1,
}
BUILD = f"from bramble.llama import builder; builder._build({QUERY!r}, False, {{}}, print)"
# Each leaves its number, and says no more: what ends it is no line that nobody reads.
SLEEPS = (
    "#!/bin/sh\necho $$ > {pids}/{name}.new\nmv {pids}/{name}.new {pids}/{name}\nexec sleep 1000\n"
)
CONFIGURES = """#!/bin/sh
while [ "$1" != -B ]; do shift; done
mkdir -p "$2"
echo 'TOY:BOOL=ON' > "$2/CMakeCache.txt"
printf 'rule toy\\n  command = %s\\nbuild toy: toy\\n' {compiler} > "$2/build.ninja"
"""


class Computer:
    """The programs of a build as a test puts them in place, and the processes that they became."""

    def __init__(self, folder: Path):
        self.bin, self.pids, self.home = (folder / name for name in ("bin", "pids", "store"))
        for made in (self.bin, self.pids, self.home / "work" / "src"):
            made.mkdir(parents=True)
        stamp = json.dumps(SOURCE, sort_keys=True)
        (self.home / "work" / "src" / ".bramble-source").write_text(stamp)
        self.parent = None

    def has(self, name: str, text: str) -> None:
        file = self.bin / name
        file.write_text(text.format(pids=self.pids, name=name, compiler=self.bin / "compiler"))
        file.chmod(0o755)

    def builds(self, until: str) -> int:
        """Begin a build; return the number of the process of this program, once it runs."""
        path = f"{self.bin}:{os.environ['PATH']}"
        more = {"PATH": path, store.VARIABLE: str(self.home), "PYTHONPATH": str(ROOT)}
        self.parent = subprocess.Popen(
            [sys.executable, "-c", BUILD],
            env={**os.environ, **more},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until((self.pids / until).exists, f"{until} did not start")
        return int((self.pids / until).read_text())

    def end(self) -> None:
        for pid in [int(file.read_text()) for file in self.pids.iterdir()]:
            if runs(pid):
                os.kill(pid, signal.SIGKILL)
        if self.parent:
            self.parent.kill()
            self.parent.wait()


def runs(pid: int) -> bool:
    """Whether such a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, problem: str) -> None:
    until = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < until, problem
        time.sleep(0.02)


@pytest.fixture
def here(tmp_path):
    made = Computer(tmp_path)
    yield made
    made.end()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("killed", ["the command", "the nodes' program"])
def test_the_tool_that_runs_ends_with_what_started_it(here, killed):
    here.has("cmake", CONFIGURES)
    here.has("ninja", SLEEPS)
    tool = here.builds("ninja")
    program = parent_of(tool)
    os.kill(here.parent.pid if killed == "the command" else program, signal.SIGKILL)
    wait_until(lambda: not runs(tool), "ninja went on")
    wait_until(lambda: not runs(program), "the nodes' program went on")


def test_a_configuration_ends_with_the_command(here):
    here.has("cmake", SLEEPS)
    tool = here.builds("cmake")
    here.parent.kill()
    wait_until(lambda: not runs(tool), "cmake went on")


@pytest.mark.skipif(not shutil.which("ninja"), reason="no ninja here")
def test_ninja_takes_its_compilers_along(here):
    """Each is in a process group of its own, so nothing that ends a group would."""
    here.has("cmake", CONFIGURES)
    here.has("compiler", SLEEPS)
    compiler = here.builds("compiler")
    here.parent.kill()
    wait_until(lambda: not runs(compiler), "the compiler went on")
