"""Failures of SSH in a sentence: the real thing fails, through the commands that people run."""

import socket
import threading

import paramiko
import pytest
from click.testing import CliRunner
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.ssh_util import raise_connect_error

from bramble.cli import main
from bramble.settings import SshSettings
from bramble.ssh.client import SshError, connect
from bramble.ssh.problems import key_problem, why
from tests.unit.ssh_server import serving

REMEDY = {
    "nobody": "see that sshd runs there",
    "unknown": "set ssh.address to its IP address",
    "no SSH": "ended the connection before it was one of SSH",
    "silent": "takes connections and then says nothing",
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home without keys, agent, and ~/.ssh/config."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def broken():
    """Addresses with ports at which something else than SSH is met, by what that is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()[1]
    with (
        socket.create_server(("127.0.0.1", 0)) as closing,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):

        def close():
            while True:
                try:
                    closing.accept()[0].close()
                except OSError:
                    return

        thread = threading.Thread(target=close)
        thread.start()
        yield {
            "nobody": ("127.0.0.1", nobody),
            "unknown": ("no-such-host.invalid", 22),
            "no SSH": ("127.0.0.1", closing.getsockname()[1]),
            "silent": ("127.0.0.1", silent.getsockname()[1]),
        }
        closing.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("what", REMEDY)
@pytest.mark.parametrize("words", [("trust", "pi"), ("ask", "2+2?")], ids=["trust", "ask"])
def test_a_host_that_cannot_be_reached_is_told_in_one_line_with_what_to_do(
    tmp_path, broken, what, words, caplog, capfd
):
    address, port = broken[what]
    (tmp_path / "fleet.yml").write_text(
        f"hosts: {{pi: {{ssh: {{address: {address}, port: {port}, connect_timeout_s: 1}}}}}}\n"
        f"settings: {{model: {{name: m, url: 'http://h/m', sha256: '{'0' * 64}'}}}}\n"
    )
    done = CliRunner().invoke(main, words, env={"BRAMBLE_INVENTORY": str(tmp_path)})
    assert (done.exit_code, done.stdout) == (1, "")
    last = done.stderr.splitlines()[-1]
    assert REMEDY[what] in last
    assert "pi" in last
    # paramiko prints tracebacks of its threads through logging.
    assert "Traceback" not in done.output + capfd.readouterr().err
    assert [entry for entry in caplog.records if entry.name.startswith("paramiko")] == []


@pytest.fixture(scope="module")
def keys():
    return [paramiko.ECDSAKey.generate() for _ in range(2)]


def refused(folder, port, **changes):
    """Why a server at this port cannot be logged in to."""
    values = {"address": "127.0.0.1", "port": port, "known_hosts": folder / "known_hosts"} | changes
    with pytest.raises(SshError) as caught:
        connect("pi", SshSettings(**values))
    return str(caught.value)


def test_a_host_without_a_key_a_changed_one_and_a_refused_account_each_have_their_own_remedy(
    tmp_path, keys
):
    file = tmp_path / "known_hosts"
    with serving(keys[0]) as port:
        assert refused(tmp_path, port).endswith("has no key of it: run `bramble trust pi` first")
        file.write_text(f"[127.0.0.1]:{port} {keys[1].get_name()} {keys[1].get_base64()}\n")
        assert "run `bramble trust pi --replace`" in refused(tmp_path, port)
        file.write_text(f"[127.0.0.1]:{port} {keys[0].get_name()} {keys[0].get_base64()}\n")
        mine = tmp_path / "mine"
        keys[1].write_private_key_file(str(mine))
        said = refused(tmp_path, port, user="jane.doe", key=mine)
        assert f"jane.doe@127.0.0.1 does not take {mine}: put the public key there" in said


def test_of_a_host_behind_a_jump_it_is_told_which_of_the_two_is_in_the_way(
    tmp_path, home, keys, broken
):
    _, nobody = broken["nobody"]
    guest = home / ".ssh" / "guest"
    keys[1].write_private_key_file(str(guest))
    file = home / ".ssh" / "config"
    text = f"Host *\n  IdentityFile {guest}\nHost mypi\n  HostName 127.0.0.1\n"
    with serving(keys[0], guest=keys[1]) as jump:
        known = f"[127.0.0.1]:{jump} {keys[0].get_name()} {keys[0].get_base64()}\n"
        (home / ".ssh" / "known_hosts").write_text(known)
        file.write_text(f"{text}  ProxyJump me@127.0.0.1:{jump}\n")
        said = refused(tmp_path, nobody, address="mypi")
        assert f"the jump host 127.0.0.1 does not reach 127.0.0.1:{nobody}" in said
    file.write_text(f"{text}  ProxyJump me@127.0.0.1:{nobody}\n")
    said = refused(tmp_path, 22, address="mypi")
    assert f"nothing listens at 127.0.0.1:{nobody}" in said


def raises_as_pyinfra_does():
    """Its own error, with the one that it was made of as the context."""
    key = paramiko.ECDSAKey.generate()
    try:
        raise paramiko.BadHostKeyException("h", key, key)
    except paramiko.SSHException as error:
        raise_connect_error(None, "SSH host key error", error)


def test_what_pyinfra_raises_of_it_is_told_in_the_same_words():
    with pytest.raises(ConnectError) as caught:
        raises_as_pyinfra_does()
    assert "--replace" in why("pi", SshSettings(address="h"), caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no file"),
        ("ssh-ed25519 AAAA me\n", "is a public key: name the private one, without .pub"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", "is no private key"),
        ("encrypted", "add it to an agent (`ssh-add`)"),
        ("whole", None),
    ],
)
def test_a_key_of_the_inventory_that_opens_nothing_is_told_before_anything_is_connected(
    tmp_path, keys, text, said
):
    file = tmp_path / "id"
    if text in ("encrypted", "whole"):
        keys[0].write_private_key_file(str(file), password="x" if text == "encrypted" else None)
    elif text:
        file.write_text(text)
    reported = key_problem(file)
    assert reported is None if said is None else said in reported
