"""~/.ssh/config is read as pyinfra reads it: who is trusted and asked is who is deployed to."""

import json
import os
import subprocess
import sys

import pytest

from bramble.settings import SshSettings
from bramble.ssh.config import ConfigError, target

CONFIGS = {
    "nothing": "",
    "a host": "Host mypi\n  HostName 192.0.2.7\n  Port 2222\n  User jane.doe\n",
    "a pattern": "Host my* !myother\n  HostName %h.lan\n  User SkyUser\n",
    "the first wins": "Host mypi\n  Port 1\nHost *\n  Port 2\n  HostName 192.0.2.8\n",
    "an equals sign and quotes": 'Host mypi\n  HostName=192.0.2.9\n  IdentityFile "~/.ssh/a key"\n',
    "an include": "Include more\nHost *\n  Port 99\n",
    "includes by a pattern": "Include conf.d/*.conf\n",
    "a match": "Match host mypi\n  User matched\nMatch originalhost other\n  User other\n",
    "a match of a command": "Match exec true\n  User executed\nHost mypi\n  HostName 192.0.2.5\n",
    "a command": "Host mypi\n  ProxyCommand cat proxy %h %p\n  HostName 192.0.2.6\n",
}
PYINFRA = """
import json, sys
from pyinfra.connectors.sshuserclient.client import SSHClient
for file in sys.argv[1:]:
    address, cfg, *_ = SSHClient().parse_config("mypi", {}, ssh_config_file=file)
    command = getattr(cfg.pop("sock", None), "cmd", None)
    keys = cfg.get("key_filename")
    print(json.dumps([address, cfg["port"], cfg.get("username") or "pi", keys or [], command]))
"""


def files_below(home):
    """A home with files that configurations include."""
    ssh = home / ".ssh"
    (ssh / "conf.d").mkdir(parents=True)
    (ssh / "more").write_text("Host mypi\n  HostName 192.0.2.10\n  Include conf.d/*.conf\n")
    (ssh / "conf.d" / "1.conf").write_text("Host mypi\n  User included\n  Port 2200\n")
    return ssh


@pytest.fixture
def home(tmp_path, monkeypatch):
    """That home, as this process' own."""
    files_below(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def by_pyinfra(tmp_path_factory):
    """What pyinfra reads in each configuration, in one process: its import takes a second."""
    place = tmp_path_factory.mktemp("home")
    ssh = files_below(place)
    files = [ssh / f"config-{number}" for number, _ in enumerate(CONFIGS)]
    for file, text in zip(files, CONFIGS.values(), strict=True):
        file.write_text(text)
    argv = [sys.executable, "-c", PYINFRA, *map(str, files)]
    environment = {**os.environ, "HOME": str(place)}
    ran = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    # Tokens stand for folders of that home.
    lines = ran.stdout.replace(str(place), "HOME").splitlines()
    return dict(zip(CONFIGS, map(json.loads, lines), strict=True))


@pytest.mark.parametrize("what", CONFIGS)
def test_a_host_is_where_pyinfra_finds_it(home, by_pyinfra, what):
    (home / ".ssh" / "config").write_text(CONFIGS[what])
    found = target(SshSettings(address="mypi"))
    keys = [str(key).replace(str(home), "HOME") for key in found.keys]
    command = found.command.split() if found.command else None
    assert [found.address, found.port, found.user, keys, command] == by_pyinfra[what]


def test_what_the_inventory_says_wins(home):
    (home / ".ssh" / "config").write_text(CONFIGS["a host"] + "  IdentityFile ~/.ssh/its\n")
    found = target(SshSettings(address="mypi", port=22, user="pi", key=home / "mine"))
    assert (found.address, found.port, found.user) == ("192.0.2.7", 22, "pi")
    assert found.keys == (home / "mine",)


def test_jumps_are_taken_apart_with_what_the_file_says_of_them(home):
    (home / ".ssh" / "config").write_text(
        "Host mypi\n  ProxyJump jane@door:2222,[fd00::1],far\nHost far\n  HostName 192.0.2.3\n"
        "  Port 23\n  User root\nHost straight\n  ProxyJump none\n"
    )
    jumps = target(SshSettings(address="mypi")).jumps
    assert [(jump.user, jump.address, jump.port) for jump in jumps] == [
        ("jane", "door", 2222),
        (None, "[fd00::1]", 22),
        ("root", "192.0.2.3", 23),
    ]
    assert target(SshSettings(address="straight")).jumps == ()


@pytest.mark.parametrize("text", ["Include config\n", "Host mypi\n  Port twelve\n", "Host\n"])
def test_a_file_that_cannot_be_read_is_named(home, text):
    (home / ".ssh" / "config").write_text(text)
    with pytest.raises(ConfigError, match=r"\.ssh/config cannot be read: "):
        target(SshSettings(address="mypi"))
