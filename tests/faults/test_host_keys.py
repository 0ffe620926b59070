"""A host whose key is unknown or another one: nobody logs in to it, and nothing is run there."""

import paramiko
import pytest
from click.testing import CliRunner

from bramble.cli import main
from tests.deploys.ssh_double import Server, run, write_inventory

MODEL = {"name": "toy", "url": "http://models.example.org/toy.gguf", "sha256": "d" * 64}

pytestmark = pytest.mark.fault("F24")
OTHER = paramiko.ECDSAKey.generate()
SAID = {
    "unknown": "run `bramble trust healthy` first",
    "another": "bramble trust healthy --replace",
}


@pytest.fixture
def server():
    made = Server("healthy")
    yield made
    made.close()


@pytest.fixture(params=["unknown", "another"])
def refused(request, server, tmp_path):
    """An inventory that does not know the server's key, or knows the one that it had before."""
    folder = tmp_path / "inventory"
    write_inventory(folder, [server], {"model": MODEL})
    before = f"[127.0.0.1]:{server.port} {OTHER.get_name()} {OTHER.get_base64()}\n"
    (folder / "known_hosts").write_text(before if request.param == "another" else "")
    return folder, SAID[request.param]


@pytest.mark.parametrize("deploy", ["deploys/node.py", "deploys/verify.py"])
def test_a_deploy_refuses_it_before_any_login(refused, server, deploy):
    folder, said = refused
    done, events = run(folder, deploy)
    assert done.returncode == 1
    assert said in done.stdout
    assert server.connections
    assert server.logins == []
    (end,) = [event for event in events if event["event"] == "end"]
    assert end["failed"] == ["healthy"]


@pytest.mark.parametrize("words", [("plan",), ("ask", "hello", "--host")])
def test_a_command_refuses_it_before_any_login(refused, server, monkeypatch, words):
    folder, said = refused
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(folder))
    done = CliRunner().invoke(main, [*words, "healthy"])
    assert done.exit_code == 1
    assert said in done.output
    assert server.logins == []


def test_once_it_is_known_it_is_logged_in_to(server, tmp_path):
    """What the others do not see can be seen."""
    folder = tmp_path / "inventory"
    write_inventory(folder, [server], {"model": MODEL})
    run(folder, "deploys/verify.py")
    assert server.logins == ["pi"]
