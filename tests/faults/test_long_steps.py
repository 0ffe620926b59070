"""The client killed or asleep in the middle of an upload, and of a long step, which goes on without it.

What is uploaded and fetched is a model, on a node without an engine: sent over SSH from this computer,
or by the node from an address of this computer that never ends until it is told to hurry.
"""

import hashlib
import re
import signal
import time

import pytest

from bramble.pyinfra.connector import ALIVE_EVERY_S
from bramble.settings import SILENCE_S
from bramble.virtual.model import GATEWAY
from tests.faults import looks
from tests.faults.dripping import dripping
from tests.faults.kill_points import on
from tests.faults.project import Project
from tests.nodes.fleet import ROOT, wait_until

pytestmark = pytest.mark.nodes

NAME = "vpi-59"
FIRST, OTHER = (ROOT / "models" / f"bramble-demo-{kind}.gguf" for kind in ("q8_0", "f16"))
SENT = "/var/tmp/bramble-model-"
FETCH = "systemctl list-units --plain --no-legend 'bramble-fetch-*' | cut -d' ' -f1"
FOLLOWED = "an earlier run's work is still under way: following it"
KILLS, KILLS_THOROUGH = 2, 25


@pytest.fixture(scope="module")
def wanting(tmp_path_factory):
    """A project whose node is to have a model: the first, or the other one from somewhere."""
    folder = tmp_path_factory.mktemp("long-steps")

    def wanting(**source):
        project = Project(folder / f"project-{len(list(folder.iterdir()))}", folder / "store")
        own = {"node": {"roles": ["base", "model"]}}
        if source:
            sha256 = hashlib.sha256(OTHER.read_bytes()).hexdigest()
            own["model"] = {"name": "other", "sha256": sha256, "path": None} | source
        project.write([NAME], {NAME: own})
        return project

    return wanting


@pytest.fixture(scope="module")
def made(virtual_pis, wanting):
    """A node that has the first model."""
    virtual_pis.up(NAME)
    done = wanting().deploy()
    assert done.code == 0, done.said
    yield NAME
    virtual_pis.down(NAME)


@pytest.fixture
def node(made):
    """That node, without the other model."""
    on(made, "rm -f /var/lib/bramble/models/other-*")
    return made


@pytest.fixture
def kills(request):
    return KILLS_THOROUGH if request.config.getoption("--thorough") else KILLS


def models(name):
    """The node's models, by their sha256."""
    return {state[-64:] for path, state in looks.files(name).items() if path.endswith(".gguf")}


@pytest.mark.fault("F2")
def test_an_upload_that_is_killed_in_any_part_of_it_changes_nothing(
    node, wanting, kills, record_property
):
    project, before = wanting(path=str(OTHER)), looks.files(node)
    wrong = []
    for part in range(1, kills + 1):
        ended = project.deploy(kill=f"amid 3 {part / (kills + 1)}")
        assert ended.code == -signal.SIGKILL, ended.said
        assert re.fullmatch(f"send {SENT}.*", ended.commands[-1])
        now = looks.files(node)
        assert [path for path in now if path.startswith(SENT)], "nothing was sent"
        differing = {p for p in now.keys() | before.keys() if now.get(p) != before.get(p)}
        wrong += [f"{part}: {path}" for path in differing if not path.startswith(SENT)]
    record_property("kill_points", kills)
    record_property("half_written", len(wrong))
    assert wrong == []
    done = project.deploy()
    assert done.code == 0, done.said
    assert models(node) >= {
        hashlib.sha256(file.read_bytes()).hexdigest() for file in (FIRST, OTHER)
    }
    assert [path for path in looks.files(node) if path.startswith(SENT)] == []
    assert project.deploy().of("end")[0]["changed"] == []


def fetching(name):
    """The unit that fetches a model: the same one as long as it is not begun anew."""
    return on(name, f"systemctl show -p InvocationID -p ActiveState $({FETCH})").stdout


@pytest.mark.fault("F2")
def test_a_long_step_goes_on_however_often_its_client_is_killed_and_is_not_begun_again(
    node, wanting, kills, record_property
):
    before, units = models(node), set()
    with dripping(OTHER.read_bytes(), GATEWAY) as server:
        project = wanting(url=server.url)
        for number in range(kills + 1):
            client, sent = project.start_deploy(), server.sent_bytes
            wait_until(lambda n=sent: server.sent_bytes > n, 120, "more of the file")
            if number:
                wait_until(lambda c=client: FOLLOWED in c.said, 120, "the next run")
            if number == kills:
                break
            client.send(signal.SIGKILL)
            assert client.ended().code == -signal.SIGKILL
            units.add(fetching(node))
            assert models(node) == before
        server.hurry.set()
        done = client.ended()
    record_property("kill_points", kills)
    assert done.code == 0, done.said
    assert server.requests == 1
    (unit,) = units
    assert "ActiveState=active" in unit
    assert len(models(node)) == len(before) + 1
    assert project.deploy().of("end")[0]["changed"] == []


@pytest.mark.thorough
@pytest.mark.fault("F26")
@pytest.mark.parametrize("ends", ["wakes up", "is killed"])
def test_a_long_step_ends_while_its_client_sleeps_and_is_not_begun_again(node, wanting, ends):
    with dripping(OTHER.read_bytes(), GATEWAY) as server:
        project = wanting(url=server.url)
        client = project.start_deploy()
        wait_until(lambda: server.sent_bytes, 120, "the fetch")
        client.send(signal.SIGSTOP)
        server.hurry.set()
        wait_until(lambda: not on(node, FETCH).stdout, 60, "the end of the fetch")
        # Longer than the client waits for any answer.
        time.sleep(ALIVE_EVERY_S + SILENCE_S + 1)
        client.send(signal.SIGCONT if ends == "wakes up" else signal.SIGKILL)
        ended = client.ended()
        assert ended.code == (0 if ends == "wakes up" else -signal.SIGKILL), ended.said
        for _ in range(2):
            done = project.deploy()
            assert done.code == 0, done.said
        assert done.of("end")[0]["changed"] == []
        assert server.requests == 1
