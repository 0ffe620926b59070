"""What is read beside settings is read once for all hosts of a run, and by nothing that only decides."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bramble import fleet
from bramble.llama import lock as engine_lock
from bramble.llama.lock import Lock
from bramble.plan import make
from tests.unit.good_node import PI5, ROLES, settings

DEMO = str(Path(__file__).parents[2] / "models" / "bramble-demo-q8_0.gguf")
MODEL = {"name": "demo", "url": None, "path": DEMO, "sha256": "d" * 64}
HOSTS = [f"pi5-{number}" for number in range(20)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An inventory of twenty hosts with one model, and with a lock."""
    model = {name: value for name, value in MODEL.items() if value}
    hosts = ", ".join(f"{name}: " for name in HOSTS)
    text = f"hosts: {{{hosts}}}\nsettings:\n  model: {json.dumps(model)}\n"
    (tmp_path / "fleet.yml").write_text(text)
    engine_lock.write(tmp_path, Lock(commit="1" * 40))
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    return tmp_path


def test_a_run_reads_the_locks_and_the_models_header_once(folder, monkeypatch):
    read, header = [], []
    real_read, real_header = engine_lock.read, fleet.header
    monkeypatch.setattr(engine_lock, "read", lambda at: read.append(at) or real_read(at))
    monkeypatch.setattr(fleet, "header", lambda file: header.append(file) or real_header(file))
    fleet._local.cache_clear()
    inventory = fleet.load(folder)
    several = [fleet.of_data(name, host.values)[1] for name, host in inventory.hosts.items()]
    assert (read, header) == ([folder], [DEMO])
    assert {found.engine.commit for found in several} == {"1" * 40}
    assert all(found.files[Path(DEMO)].dims for found in several)


def test_a_lock_that_a_command_wrote_meanwhile_is_read_again(folder):
    assert fleet.prepare(folder, ()).engine.commit == "1" * 40
    engine_lock.write(folder, Lock(commit="2" * 40))
    assert fleet.prepare(folder, ()).engine.commit == "2" * 40


def test_settings_and_plans_are_made_without_a_look_at_any_file(monkeypatch):
    node = settings(model=MODEL)
    prepared = fleet.prepare(Path("/inventory"), (node,))
    make("pi5-a", node, PI5, ROLES, prepared)  # templates are read once in a process

    def refused(*_args, **_options):
        raise AssertionError("a file was looked at")

    for name in ("open", "stat", "read_text", "read_bytes", "is_file", "exists"):
        monkeypatch.setattr(Path, name, refused)
    assert make("pi5-a", settings(model=MODEL), PI5, ROLES, prepared).roles["serving"].fit


SLOW = ("bramble.audit.judge", "jinja2", "paramiko")
WAIVER = "{what: base.system_is_supported, owner: me, reason: a test, until: 2999-01-01}"


def imported_by_a_load(folder):
    code = (
        "import sys; from pathlib import Path; from bramble import fleet; fleet.load(Path(sys.argv[1]));"
        f"print([name for name in {SLOW} if name in sys.modules])"
    )
    argv = [sys.executable, "-c", code, str(folder)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_a_load_imports_nothing_slow_that_the_inventory_does_not_need(folder):
    assert imported_by_a_load(folder) == "[]\n"
    with (folder / "fleet.yml").open("a") as text:
        text.write(f"  audit: {{waivers: [{WAIVER}]}}\n")
    assert imported_by_a_load(folder) == "['bramble.audit.judge']\n"
