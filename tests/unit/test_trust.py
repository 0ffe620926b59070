"""Trust in SSH keys: what known_hosts holds, what is replaced, and what is refused."""

import socket
import threading

import paramiko
import pytest
from click.testing import CliRunner

from bramble import trust
from bramble.cli import main
from bramble.settings import Ssh
from bramble.ssh import SshError


@pytest.fixture(scope="module")
def keys():
    return [paramiko.ECDSAKey.generate() for _ in range(2)]


@pytest.fixture
def server(keys):
    """An SSH server on loopback that shows the first key; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        transports = []

        def serve():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                transport = paramiko.Transport(connection)
                transport.add_server_key(keys[0])
                transport.start_server(event=threading.Event(), server=paramiko.ServerInterface())
                transports.append(transport)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        for transport in transports:
            transport.close()


@pytest.fixture
def folder(tmp_path, server):
    (tmp_path / "fleet.yml").write_text(
        f"hosts: {{pi: {{ssh: {{address: 127.0.0.1, port: {server}}}}}}}\n"
        f"settings: {{model: {{name: m, url: 'http://h/m', sha256: '{'0' * 64}'}}}}\n"
    )
    return tmp_path


def bramble(folder, *words, given=""):
    return CliRunner().invoke(main, words, input=given, env={"BRAMBLE_INVENTORY": str(folder)})


def ssh(folder, port):
    return Ssh(address="127.0.0.1", port=port, known_hosts=folder / "known_hosts")


def test_the_offered_key_is_the_servers(folder, server, keys):
    assert trust.offered_key("pi", ssh(folder, server)) == keys[0]


def test_a_closed_port_is_told_with_its_address(folder):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SshError, match=rf"pi \(127\.0\.0\.1:{port}\) shows no SSH key"):
        trust.offered_key("pi", ssh(folder, port))


def test_a_confirmed_key_is_kept_and_known(folder, server, keys):
    done = bramble(folder, "trust", "pi", given="y\n")
    assert done.exit_code == 0
    assert trust.fingerprint(keys[0]) in done.output
    assert trust.known_key(ssh(folder, server)) == keys[0]


def test_a_declined_key_is_not_kept(folder, server):
    done = bramble(folder, "trust", "pi", given="n\n")
    assert done.exit_code == 1
    assert trust.known_key(ssh(folder, server)) is None


def test_a_fingerprint_that_differs_is_refused(folder, server):
    done = bramble(folder, "trust", "pi", "--fingerprint", "SHA256:other")
    assert done.exit_code == 2
    assert "not SHA256:other; nothing was changed" in done.output
    assert trust.known_key(ssh(folder, server)) is None


def test_a_changed_key_needs_replace(folder, server, keys):
    trust.keep(ssh(folder, server), keys[1])
    refused = bramble(folder, "trust", "pi", given="y\n")
    assert refused.exit_code == 2
    assert "--replace" in refused.output
    assert trust.known_key(ssh(folder, server)) == keys[1]
    replaced = bramble(folder, "trust", "pi", "--replace", given="y\n")
    assert replaced.exit_code == 0
    assert trust.known_key(ssh(folder, server)) == keys[0]


def test_other_hosts_lines_and_comments_stay(folder, server, keys):
    file = folder / "known_hosts"
    other = f"pi4-b {keys[1].get_name()} {keys[1].get_base64()}"
    file.write_text(f"# the fleet\n{other}\n")
    trust.keep(ssh(folder, server), keys[0])
    assert file.read_text().splitlines()[:2] == ["# the fleet", other]
    assert trust.known_key(ssh(folder, server)) == keys[0]
