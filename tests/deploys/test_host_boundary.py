"""One host's fault stays with that host: SSH servers that misbehave, in one run with a healthy one."""

import os
import re
from pathlib import Path

import pytest
from ssh_double import FAULTS, Server, run, write_inventory

import bramble

ROOT = Path(bramble.__file__).parents[1]
MODEL = {"name": "toy", "url": "http://models.example.org/toy.gguf", "sha256": "d" * 64}
HEALTHY = "healthy"
# What each is told to have, and what to do where that is known.
TOLD = {
    "wants a sudo password": "sudo asks pi for a password, .*base.passwordless_sudo",
    "says nothing at all": "takes connections and then says nothing",
    "opens no channel": "opened no channel within 15 s",
    "closes as a channel opens": "the connection was closed",
    "starts no command": "opened no channel within 15 s",
    "answers with no object": "its answer to the look cannot be read: list and not an object",
    "hangs in the middle": "said nothing after 'looking at mountinfo' for 25 s",
    "freezes in the middle": "the node has answered nothing for 15 s",
}


@pytest.fixture(scope="module")
def servers():
    made = [Server(faulty) for faulty in (HEALTHY, *FAULTS)]
    yield made
    for server in made:
        server.close()


@pytest.fixture(scope="module")
def verified(servers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("boundary") / "inventory"
    write_inventory(folder, servers, {"model": MODEL})
    return run(folder, "deploys/verify.py")


@pytest.mark.fault("F27")
def test_the_healthy_host_is_checked(verified):
    done, events = verified
    checked = {entry["host"] for entry in events if entry["event"] == "result"}
    assert HEALTHY in checked, done.stdout
    assert HEALTHY in {entry["host"] for entry in events if entry["event"] == "figures"}


@pytest.mark.fault("F27")
def test_every_host_that_fails_is_named_at_the_end(verified):
    done, events = verified
    (end,) = [entry for entry in events if entry["event"] == "end"]
    faulty = {faulty.replace(" ", "-") for faulty in TOLD}
    assert faulty <= set(end["failed"]), done.stdout
    assert end["complete"]
    assert done.returncode == 1


@pytest.mark.fault("F5")
@pytest.mark.parametrize("faulty", TOLD)
def test_each_fault_is_told_of_its_own_host(verified, faulty):
    done, _ = verified
    name = faulty.replace(" ", "-")
    lines = re.findall(rf"^.*\[{name}\] (.*)$", done.stdout, re.MULTILINE)
    assert any(re.search(TOLD[faulty], line) for line in lines), done.stdout


def test_nothing_unforeseen_is_met(verified):
    done, _ = verified
    assert "Traceback" not in done.stdout
    assert "bramble met something" not in done.stdout


def test_a_node_that_freezes_is_given_up_where_the_kernel_does_not_end_connections(
    servers, tmp_path
):
    """macOS has no TCP_USER_TIMEOUT: there SSH's own requests tell."""
    folder = tmp_path / "inventory"
    frozen = [s for s in servers if s.faulty in (HEALTHY, "freezes in the middle")]
    write_inventory(folder, frozen, {"model": MODEL}, silence_s=7)
    done, events = run(folder, "deploys/verify.py", PYTHONPATH=str(ROOT / "tests" / "portable"))
    assert "the node has answered nothing for 7 s" in done.stdout
    assert HEALTHY in {entry["host"] for entry in events if entry["event"] == "result"}, done.stdout


MISSPELT = "from bramble.deploys import own, role, verify\n"
WATCHDOG = "no role 'watchdgo'; did you mean 'watchdog'?"


@pytest.mark.parametrize(
    ("deploy", "options", "said"),
    [
        ('verify("serving", "watchdgo")', (), WATCHDOG),
        ('role("watchdgo")', (), WATCHDOG),
        ('own(before="watchdgo")', (), WATCHDOG),
        ('own(after="watchdgo")', (), WATCHDOG),
        ("deploys/revert.py", ("role=memry",), "no role 'memry' here; did you mean 'memory'?"),
        (
            "deploys/revert.py",
            ("rol=memory",),
            "--data rol: no deploy of bramble's reads it; did you",
        ),
        ("deploys/revert.py", (), "no role is named (`--data role=ROLE`); known: "),
    ],
)
def test_a_misspelt_name_is_told_with_the_one_that_was_meant(
    servers, tmp_path, deploy, options, said
):
    (tmp_path / "own.py").write_text(f"{MISSPELT}{deploy}\n")
    folder = tmp_path / "inventory"
    write_inventory(folder, [s for s in servers if s.faulty == HEALTHY], {"model": MODEL})
    path = deploy if "/" in deploy else str(tmp_path / "own.py")
    done, _ = run(folder, path, *(word for one in options for word in ("--data", one)))
    assert said in done.stdout
    assert done.returncode == 1


UPLOAD = """
from io import StringIO

from pyinfra.api import FunctionCommand, operation
from pyinfra.operations import files

from bramble.pyinfra.run import gather_facts

gather_facts()
files.put(name="A stock upload", src=StringIO("text"), dest="/tmp/bramble-test-upload", _sudo=False)
"""


def test_an_upload_that_stands_still_fails_its_host_alone(servers, tmp_path):
    deploy = tmp_path / "upload.py"
    deploy.write_text(UPLOAD)
    folder = tmp_path / "inventory"
    write_inventory(
        folder, [s for s in servers if s.faulty in (HEALTHY, "takes no file")], {"model": MODEL}
    )
    done, _ = run(folder, str(deploy))
    assert "[takes-no-file] " in done.stdout
    assert "none of it moved for 15 s" in done.stdout


def test_a_look_as_a_fact_ends_no_other_hosts_run(servers, tmp_path):
    page = (ROOT / "docs/how-to/mix-with-pyinfra.md").read_text()
    (example,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.S) if "Look" in code]
    (tmp_path / "own.py").write_text(example)
    folder = tmp_path / "inventory"
    several = (HEALTHY, "wants a sudo password", "answers with no object", "hangs in the middle")
    write_inventory(folder, [s for s in servers if s.faulty in several], {"model": MODEL})
    done, _ = run(folder, str(tmp_path / "own.py"))
    assert f"{HEALTHY} runs Linux {os.uname().release}" in done.stdout
    assert "answers-with-no-object its answer to the look cannot be read: list" in done.stdout
    for failed in ("wants-a-sudo-password", "hangs-in-the-middle"):
        assert f"{failed} the look could not be taken" in done.stdout
        assert re.search(rf"\[{failed}\].*could not load fact", done.stdout), done.stdout
