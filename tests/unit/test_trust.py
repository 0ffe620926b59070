"""Trust in SSH keys: what known_hosts holds, what is replaced, and what is refused."""

import socket

import paramiko
import pytest
from click.testing import CliRunner
from paramiko.hostkeys import HostKeys

from bramble.cli import main
from bramble.settings import SshSettings
from bramble.ssh import known_hosts, trust
from bramble.ssh.client import SshError
from bramble.ssh.problems import fingerprint
from tests.unit.ssh_server import serving


@pytest.fixture(scope="module")
def keys():
    return [paramiko.ECDSAKey.generate() for _ in range(2)]


@pytest.fixture(scope="module")
def rsa():
    return paramiko.RSAKey.generate(2048)


@pytest.fixture
def server(keys, rsa):
    """An SSH server on loopback that shows the first key, or an RSA one where that is asked for."""
    with serving(keys[0], rsa) as port:
        yield port


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home without anybody's own ~/.ssh/config."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path, server):
    return fleet(tmp_path, f"address: 127.0.0.1, port: {server}")


def fleet(folder, ssh):
    (folder / "fleet.yml").write_text(
        f"hosts: {{pi: {{ssh: {{{ssh}, connect_timeout_s: 120}}}}}}\n"
        f"settings: {{model: {{name: m, url: 'http://h/m', sha256: '{'0' * 64}'}}}}\n"
    )
    return folder


def bramble(folder, *words, given=""):
    return CliRunner().invoke(main, words, input=given, env={"BRAMBLE_INVENTORY": str(folder)})


def ssh(folder, port):
    return SshSettings(address="127.0.0.1", port=port, known_hosts=folder / "known_hosts")


def trusted(folder, port):
    """The keys of the server in known_hosts, as the library that connects for pyinfra reads them."""
    file = known_hosts.for_pyinfra(folder / "known_hosts")
    found = HostKeys(str(file)).lookup(f"[127.0.0.1]:{port}") if file.exists() else None
    return list(found.values()) if found else []


def line(name, key):
    return f"{name} {key.get_name()} {key.get_base64()}"


def test_the_offered_key_is_the_servers(folder, server, keys):
    assert trust.offered_key("pi", ssh(folder, server)) == keys[0]


def test_a_closed_port_is_told_with_its_address_and_what_to_do(folder):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    reported = rf"pi shows no SSH key: nothing listens at 127\.0\.0\.1:{port}: see that sshd runs"
    with pytest.raises(SshError, match=reported):
        trust.offered_key("pi", ssh(folder, port))


def test_a_confirmed_key_is_kept_and_known(folder, server, keys):
    done = bramble(folder, "trust", "pi", given="y\n")
    assert done.exit_code == 0
    assert fingerprint(keys[0]) in done.output
    assert trusted(folder, server) == [keys[0]]
    assert "is trusted already" in bramble(folder, "trust", "pi").output


def test_a_declined_key_is_not_kept(folder, server):
    done = bramble(folder, "trust", "pi", given="n\n")
    assert done.exit_code == 1
    assert trusted(folder, server) == []


def test_a_fingerprint_that_differs_is_refused(folder, server):
    done = bramble(folder, "trust", "pi", "--fingerprint", "SHA256:other")
    assert done.exit_code == 1
    assert "not SHA256:other; nothing was changed" in done.output
    assert trusted(folder, server) == []


@pytest.mark.parametrize("hashed", [False, True])
def test_a_changed_key_needs_replace_and_then_is_the_only_one(folder, server, keys, rsa, hashed):
    name = f"[127.0.0.1]:{server}"
    written = HostKeys.hash_host(name) if hashed else name
    old = [line(written, keys[1]), line(f"other,{name}", rsa), line("other", keys[1])]
    (folder / "known_hosts").write_text("\n".join(old) + "\n")
    refused = bramble(folder, "trust", "pi", given="y\n")
    assert refused.exit_code == 1
    assert "run `bramble trust pi --replace`" in refused.output
    assert fingerprint(keys[1]) in refused.output
    replaced = bramble(folder, "trust", "pi", "--replace", given="y\n")
    assert replaced.exit_code == 0
    assert trusted(folder, server) == [keys[0]]
    left = (folder / "known_hosts").read_text().splitlines()
    assert left == [line("other", rsa), line("other", keys[1]), line(name, keys[0])]


def test_a_host_that_is_trusted_by_a_key_of_another_type_is_trusted(folder, server, rsa):
    (folder / "known_hosts").write_text(line(f"[127.0.0.1]:{server}", rsa) + "\n")
    done = bramble(folder, "trust", "pi")
    assert (done.exit_code, done.stdout) == (0, f"pi is trusted already: {fingerprint(rsa)}\n")


def test_a_revoked_key_is_not_trusted(folder, server, keys):
    (folder / "known_hosts").write_text(f"@revoked {line('*', keys[0])}\n")
    done = bramble(folder, "trust", "pi", given="y\n")
    assert done.exit_code == 1
    assert "as @revoked: make new keys there" in done.output
    assert trusted(folder, server) == []


def test_lines_that_are_not_of_the_host_stay_as_they_are(folder, server, keys):
    file = folder / "known_hosts"
    kept = [
        "# the fleet",
        "",
        line("pi4-b", keys[1]) + "  with a comment",
        f"@cert-authority {line(f'[127.0.0.1]:{server}', keys[1])}",
        "|1|no base64|at all ssh-rsa AAAA",
        line("127.0.0.1", keys[1]),
    ]
    file.write_text("\n".join(kept) + "\n")
    file.chmod(0o600)
    trust.keep(ssh(folder, server), keys[0])
    assert file.read_text().splitlines()[:-1] == kept
    assert trusted(folder, server) == [keys[0]]
    assert file.stat().st_mode & 0o777 == 0o600


def test_pyinfra_reads_what_stands_after_a_marked_line_and_no_revoked_key(folder, keys, rsa):
    """Its library stops at the first mark, and would take a revoked key."""
    file = folder / "known_hosts"
    marked = [f"@cert-authority {line('[10.77.0.11]:2222', keys[1])}", f"@revoked {line('*', rsa)}"]
    file.write_text("\n".join([*marked, line("a", keys[0]), line("b", rsa)]) + "\n")
    made = HostKeys(str(known_hosts.for_pyinfra(file)))
    assert (list(made.lookup("a").values()), made.lookup("b")) == ([keys[0]], None)
    file.write_text(f"# no marks\n\n{line('a', keys[0])} comment\n")
    assert known_hosts.for_pyinfra(file) == file


def test_a_known_hosts_that_is_a_link_stays_one(folder, server, keys, tmp_path):
    (tmp_path / "shared").write_text("")
    (folder / "known_hosts").symlink_to(tmp_path / "shared")
    trust.keep(ssh(folder, server), keys[0])
    assert (folder / "known_hosts").is_symlink()
    assert trusted(folder, server) == [keys[0]]


def test_of_several_lines_of_one_type_the_first_counts_as_for_pyinfra(folder, server, keys):
    name = f"[127.0.0.1]:{server}"
    (folder / "known_hosts").write_text(f"{line(name, keys[1])}\n{line(name, keys[0])}\n")
    assert known_hosts.keys(folder / "known_hosts", name) == {
        keys[1].get_name(): keys[1].get_base64()
    }
    assert bramble(folder, "trust", "pi").exit_code == 1


# Hosts that only ~/.ssh/config knows


def write_config(home, text):
    (home / ".ssh" / "config").write_text(text)


def test_a_host_of_ssh_config_is_trusted_by_the_address_that_it_names(tmp_path, home, server, keys):
    fleet(tmp_path, "address: mypi")
    write_config(home, f"Host mypi\n  HostName 127.0.0.1\n  Port {server}\n")
    assert bramble(tmp_path, "trust", "pi", given="y\n").exit_code == 0
    assert trusted(tmp_path, server) == [keys[0]]


def test_a_host_behind_a_jump_is_trusted_and_its_jump_is_that_of_ssh(tmp_path, home, server, keys):
    fleet(tmp_path, "address: mypi")
    guest = paramiko.ECDSAKey.generate()
    guest.write_private_key_file(str(home / ".ssh" / "guest"))
    with serving(keys[1], guest=guest) as jump:
        write_config(
            home,
            f"Host door\n  HostName 127.0.0.1\n  Port {jump}\n  IdentityFile ~/.ssh/guest\n"
            f"Host mypi\n  HostName localhost\n  Port {server}\n  ProxyJump jane@door\n",
        )
        refused = bramble(tmp_path, "trust", "pi", given="y\n")
        assert refused.exit_code == 1
        assert "~/.ssh/known_hosts has no key of the jump host 127.0.0.1" in refused.output
        (home / ".ssh" / "known_hosts").write_text(f"{line(f'[127.0.0.1]:{jump}', keys[1])}\n")
        done = bramble(tmp_path, "trust", "pi", given="y\n")
    assert done.exit_code == 0, done.output
    assert line(f"[localhost]:{server}", keys[0]) in (tmp_path / "known_hosts").read_text()
