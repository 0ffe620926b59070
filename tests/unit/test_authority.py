"""Certificates of the fleet's own authority: a client of TLS takes them for what they are for alone."""

import datetime
import socket
import ssl
import stat
import threading

import pytest
from click.testing import CliRunner
from cryptography import x509

from bramble.access import authority, certificates
from bramble.access.authority import AuthorityError
from bramble.cli import main

NOW = datetime.datetime.now(datetime.UTC)
NAMES = ("pi5-a.home.arpa", "pi5-a", "127.0.0.1")


def talk(pem, ca, name):
    """Make a TLS connection to a server with this certificate, as a client that trusts `ca` does."""
    offered = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    offered.load_cert_chain(pem)
    client = ssl.create_default_context(cafile=str(ca))
    here, there = socket.socketpair()

    def serve():
        try:
            with offered.wrap_socket(there, server_side=True) as served:
                served.recv(1)
        except (ssl.SSLError, OSError):
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname=name) as connection:
            connection.sendall(b"x")
            return connection.version()
    finally:
        here.close()
        thread.join()


def test_a_client_that_trusts_the_authority_takes_each_name_and_no_other(tmp_path):
    pem = authority.issue(tmp_path, "pi5-a", NAMES, NOW)
    ca = tmp_path / "tls" / "ca.crt"
    for name in NAMES:
        assert talk(pem, ca, name) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for 'pi5-b'"):
        talk(pem, ca, "pi5-b")
    assert authority.names_of(pem) == NAMES


def test_another_fleets_authority_is_not_believed(tmp_path):
    for fleet in ("one", "two"):
        (tmp_path / fleet).mkdir()
    pem = authority.issue(tmp_path / "one", "pi5-a", NAMES, NOW)
    authority.issue(tmp_path / "two", "pi5-a", NAMES, NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        talk(pem, tmp_path / "two" / "tls" / "ca.crt", "pi5-a")


def test_the_authority_stays_and_keys_are_for_their_owner_alone(tmp_path):
    first = authority.issue(tmp_path, "pi5-a", NAMES, NOW)
    ca = (tmp_path / "tls" / "ca.crt").read_bytes()
    before = first.read_bytes()
    authority.issue(tmp_path, "pi5-b", ["pi5-b"], NOW)
    authority.issue(tmp_path, "pi5-a", NAMES, NOW)
    assert (tmp_path / "tls" / "ca.crt").read_bytes() == ca
    assert first.read_bytes() != before
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in first.parent.iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "pi5-a.pem": 0o600, "pi5-b.pem": 0o600}
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700


def test_a_certificate_lasts_397_days_and_never_longer_than_its_authority(tmp_path):
    pem = authority.issue(tmp_path, "pi5-a", NAMES, NOW)
    whole = x509.load_pem_x509_certificate(pem.read_bytes())
    assert (whole.not_valid_after_utc - NOW).days in (396, 397)
    late = NOW + datetime.timedelta(days=authority.AUTHORITY_DAYS - 30)
    pem = authority.issue(tmp_path, "pi5-a", NAMES, late)
    short = x509.load_pem_x509_certificate(pem.read_bytes())
    assert (short.not_valid_after_utc - late).days <= 30


@pytest.mark.parametrize("spoil", ["gone", "another", "nonsense"])
def test_an_authority_without_its_key_is_told_and_never_made_anew(tmp_path, spoil):
    pem = authority.issue(tmp_path, "pi5-a", NAMES, NOW)
    key, before = pem.parent / "ca.key", pem.read_bytes()
    if spoil == "gone":
        key.unlink()
    elif spoil == "another":
        key.write_bytes(before)
    else:
        key.write_text("nonsense")
    with pytest.raises(AuthorityError, match=r"ca\.key.*restore both from your backup"):
        authority.issue(tmp_path, "pi5-a", NAMES, NOW)
    assert pem.read_bytes() == before


def test_what_is_there_is_read_by_hosts_with_the_authoritys_certificate_and_not_its_key(tmp_path):
    pem = authority.issue(tmp_path, "pi5-a", NAMES, NOW)
    found, ca = certificates.read(tmp_path)
    assert found == {"pi5-a": pem.read_text()}
    assert ca == (pem.parent / "ca.crt").read_text()
    assert certificates.read(tmp_path / "elsewhere") == ({}, None)


def test_the_command_makes_one_for_all_names_of_a_host(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    (tmp_path / "fleet.yml").write_text(
        "settings: {model: {name: m, url: http://localhost/m.gguf, sha256: '" + "1" * 64 + "'}}\n"
        "hosts:\n  pi5-a:\n    ssh: {address: 192.168.1.41}\n"
        "    serving: {expose: tls, edge: {name: llm.lan}}\n"
    )
    done = CliRunner().invoke(main, ["tls", "issue", "pi5-a", "--name", "other.lan"])
    assert done.exit_code == 0, done.output
    assert authority.names_of(tmp_path / "tls" / "pi5-a.pem") == (
        *("llm.lan", "pi5-a", "pi5-a.local", "192.168.1.41", "other.lan"),
    )
    assert "tls/ca.crt" in done.output
    (tmp_path / "tls" / "ca.key").write_text("nonsense")
    done = CliRunner().invoke(main, ["tls", "issue", "pi5-a"])
    assert done.exit_code == 2
    assert "no certificate was made" in done.output
