"""The client killed before and after each remote command of a first provisioning and of an upgrade.

Each instant has a node of its own, which must then be whole, and converge in one run. `make test` has
the instants that decide something; `--thorough` (make faults) has all of them.
"""

import itertools
import json
import shutil
import tarfile

import pytest

from bramble.llama import lock as engine_lock
from bramble.llama import store
from bramble.virtual import paths, source
from tests.faults import kill_points, looks
from tests.faults.kill_points import Reference, Tally
from tests.faults.killed_runs import NEXT, Provisioning, Upgrade
from tests.faults.project import Project
from tests.nodes.fleet import as_json

pytestmark = pytest.mark.nodes

SOURCE, *NAMES = (f"vpi-{number}" for number in range(50, 58))
SETTINGS = {
    "engine": {"source": {"archive": None, "git": {}}, "recipe": "cross"},
    "base": {
        "timezone": "Europe/Vienna",
        "unattended_upgrades": False,
        "ssh": {"password_authentication": False},
    },
    "boot": {"config": {"arm_freq": "2000"}},
}
COMPILES = {"node": {"roles": ["base", "engine"]}, "engine": {"recipe": "native"}}


@pytest.fixture(scope="module")
def thorough(request):
    return request.config.getoption("--thorough")


@pytest.fixture(scope="module")
def compiled(virtual_pis, tmp_path_factory):
    """A release that a node compiled; virtual Pis' cache keeps it, as its name says what it is."""
    source.fetch(print)
    virtual_pis.up(SOURCE)
    project = Project(tmp_path_factory.mktemp("compile"), paths.cache_dir() / "engine")
    project.write([SOURCE], {SOURCE: COMPILES})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(store.VARIABLE, str(project.store))
        if (found := store.find(release := planned(project))) is None:
            done = project.deploy(SOURCE)
            assert done.code == 0, done.said
            found = store.find(release)
            virtual_pis.up(SOURCE)
    return found


@pytest.fixture(scope="module")
def new_project(compiled, tmp_path_factory):
    """A project of these hosts; the store of them all is for this compile, and lasts as it does."""
    folder = tmp_path_factory.mktemp("killed")
    kept = paths.cache_dir() / "renamed" / compiled.sha256[:16]
    kept.mkdir(parents=True, exist_ok=True)
    number = itertools.count(1)

    def new(*names, **base):
        made = Project(folder / f"project-{next(number)}", kept)
        own = SETTINGS | {"base": SETTINGS["base"] | base}
        made.write(names, dict.fromkeys(names, own))
        return made

    return new


@pytest.fixture(scope="module")
def releases(compiled, new_project):
    """Have the store hold what is provisioned and what is upgraded to: one compile by two names."""
    project = new_project(SOURCE)
    renamed(project, compiled)
    engine_lock.write(project.folder, engine_lock.Lock(commit=NEXT))
    renamed(project, compiled)


def planned(project):
    """The release that is planned for a node that has none."""
    (plan,) = as_json(project.bramble("plan", SOURCE, "--json"))["plans"]
    (why,) = [s["why"] for s in plan["steps"] if s["step"] == "Install llama.cpp"]
    return why.split()[1]


def renamed(project, compiled):
    """Have the planned release in the project's store: the programs of another one."""
    release, unpacked = planned(project), project.root / "unpacked"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(store.VARIABLE, str(project.store))
        if store.find(release):
            return
        with tarfile.open(compiled.path) as archive:
            archive.extractall(unpacked, filter="data")
        manifest = json.loads((unpacked / "manifest.json").read_text()) | {"release": release}
        (unpacked / "manifest.json").write_text(json.dumps(manifest))
        store.add(unpacked)
        shutil.rmtree(unpacked)


@pytest.fixture(scope="module")
def provisioning(releases, new_project):
    """A first provisioning that nobody kills; its node is what upgrades begin with."""
    project = new_project(SOURCE, hostname=Provisioning.HOSTNAME)
    before = looks.files(SOURCE)
    done = project.deploy(SOURCE)
    assert done.code == 0, done.said
    return Reference(done.commands, before, looks.files(SOURCE))


@pytest.fixture(scope="module")
def upgrading(provisioning, virtual_pis, new_project):
    """An upgrade that nobody kills."""
    name = NAMES[0]
    virtual_pis.up(name, clone_of=SOURCE)
    before = looks.files(name)
    done = new_project(name).upgrade(name, NEXT)
    assert done.code == 0, done.said
    return Reference(done.commands, before, looks.files(name))


@pytest.fixture
def kill_at_each(new_project, virtual_pis, thorough, record_property):
    """Kill the client at each instant of a run, or at those that decide something."""

    def kill(run, reference):
        commands, tally = reference.commands, Tally()
        meant = (
            kill_points.points(commands) if thorough else kill_points.chosen(commands, run.CHOSEN)
        )
        for points in (meant[at : at + len(NAMES)] for at in range(0, len(meant), len(NAMES))):
            names = NAMES[: len(points)]
            begun = run.begun(names, virtual_pis, new_project, SOURCE)
            kill_points.killed(begun, points, names, reference, tally)
        tally.hand_over(record_property)
        assert tally.kill_points == len(meant)

    return kill


@pytest.mark.fault("F1")
def test_a_first_provisioning_killed_at_any_command(provisioning, kill_at_each):
    kill_at_each(Provisioning, provisioning)


@pytest.mark.fault("F1")
def test_an_upgrade_killed_at_any_command(upgrading, kill_at_each):
    kill_at_each(Upgrade, upgrading)
