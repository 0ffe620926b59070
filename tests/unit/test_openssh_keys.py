"""A key that is told to be whole without paramiko is one that paramiko loads."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from bramble.ssh import keys, openssh
from bramble.ssh.problems import key_problem

ROOT = Path(__file__).parents[2]
SEED_BYTES = 32


def written(file, key, password=None):
    """The key as ssh-keygen writes it."""
    cipher = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    form = serialization.PrivateFormat.OpenSSH
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, cipher))
    return file


@pytest.fixture
def whole(tmp_path):
    return written(tmp_path / "id", ed25519.Ed25519PrivateKey.generate())


def loads(file):
    try:
        return keys.load(file) is not None
    except paramiko.PasswordRequiredException:
        return False


def test_a_whole_key_is_told_to_be(whole):
    assert openssh.is_whole(whole)
    assert loads(whole)


def test_what_only_paramiko_can_tell_is_left_to_it(tmp_path, whole):
    encrypted = written(tmp_path / "a", ed25519.Ed25519PrivateKey.generate(), b"x")
    other = written(tmp_path / "b", ec.generate_private_key(ec.SECP256R1()))
    (tmp_path / "c").write_text("PuTTY-User-Key-File-3: ssh-ed25519\n")
    for file in (encrypted, other, tmp_path / "c", tmp_path / "nothing", tmp_path):
        assert not openssh.is_whole(file)
    whole.with_name("id-cert.pub").write_text("ssh-ed25519-cert-v01@openssh.com AAAA\n")
    assert not openssh.is_whole(whole)


def spoiled(whole, file):
    """Each byte of a key in turn, and a file where that byte is another."""
    first, *lines, last = whole.read_text().split("\n")[:-1]
    data = base64.b64decode("".join(lines))
    for at in range(len(data)):
        other = bytearray(data)
        other[at] ^= 0x55
        file.write_text(f"{first}\n{base64.b64encode(other).decode()}\n{last}\n")
        yield at, file


def seed_of(whole):
    """Which bytes of a key are its secret."""
    data = base64.b64decode("".join(whole.read_text().split("\n")[1:-2]))
    begin = data.rindex(b"\0\0\0\x40", 0, len(data) - 2 * SEED_BYTES) + 4
    return range(begin, begin + SEED_BYTES)


def test_one_that_is_damaged_anywhere_but_in_its_secret_is_not_told_to_be_whole(tmp_path, whole):
    """Whether the secret belongs to the key shows where it is loaded: when a host is connected to."""
    seed = seed_of(whole)
    for at, file in spoiled(whole, tmp_path / "spoiled"):
        assert at in seed or loads(file) or not openssh.is_whole(file), at


def test_a_key_that_is_damaged_anywhere_is_usable_or_none_in_words(tmp_path, whole):
    """paramiko itself fails with its own assertions, and with IndexError."""
    seed = seed_of(whole)
    for at, file in spoiled(whole, tmp_path / "spoiled"):
        said = key_problem(file)
        assert said is None or "is no private key" in said or "is encrypted" in said
        assert said or at not in seed


def test_one_that_is_cut_off_anywhere_is_not_told_to_be_whole(tmp_path, whole):
    text, cut = whole.read_text().rstrip(), tmp_path / "cut"
    for size in range(len(text)):
        cut.write_text(text[:size])
        assert not openssh.is_whole(cut)
        cut.write_text(f"{text[:size]}\n{openssh._END}\n")
        assert loads(cut) or not openssh.is_whole(cut)


@pytest.mark.parametrize("is_whole", [True, False])
def test_paramiko_is_imported_for_a_key_that_is_not_told_to_be_whole_alone(whole, is_whole):
    if not is_whole:
        whole.write_text("no key")
    program = (
        "import sys; from pathlib import Path; from types import SimpleNamespace as N\n"
        "from collections import namedtuple\n"
        "from bramble.cli import driver\n"
        f"ssh = N(key=Path({str(whole)!r}))\n"
        "source = namedtuple('Source', 'layer file line')('fleet', Path('fleet.yml'), 7)\n"
        "host = N(settings={'ssh': ssh}, sources={('ssh', 'key'): source})\n"
        "print(driver.key_problems({'pi5-a': host}), 'paramiko' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith(f"{not is_whole}\n")
    assert ("is no private key" in done.stdout) is not is_whole
