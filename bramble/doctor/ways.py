"""Look at what this computer logs in with: keys, the agent, and the hosts' keys in known_hosts."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import paramiko

from bramble.doctor.finding import HERE, Finding, ok, unknown, wrong
from bramble.settings import SshSettings
from bramble.ssh import known_hosts
from bramble.ssh.config import ConfigError, Target, target
from bramble.ssh.keys import load
from bramble.ssh.problems import key_problem

_USUAL = ("id_ed25519", "id_ecdsa", "id_rsa")
_LOCKED = "it has a passphrase"
_MAKE = "`ssh-keygen -t ed25519` makes one, and `ssh-copy-id` brings it to a host"


def findings(hosts: Mapping[str, SshSettings]) -> Iterator[Finding]:
    """Yield how the way to these hosts is, each key once."""
    there: dict[str, Target] = {}
    for host, ssh in hosts.items():
        try:
            there[host] = target(ssh)
        except ConfigError as error:
            yield wrong(
                HERE,
                "~/.ssh/config",
                str(error),
                "mend that line; `ssh -G HOST` reads the file too",
            )
            return
    agent, count = _agent(any(ssh.key is None for ssh in hosts.values()))
    yield agent
    yield from _keys(hosts, there, count)
    for file in dict.fromkeys(ssh.known_hosts for ssh in hosts.values()):
        yield from _known_hosts(file)
    yield from (_trusted(host, ssh, there[host]) for host, ssh in hosts.items())


def _agent(is_asked: bool) -> tuple[Finding, int]:
    """Return how the agent is, with the number of its keys; without one there may be keys in files."""
    what, place = "SSH agent", os.environ.get("SSH_AUTH_SOCK")
    if not is_asked:
        return ok(HERE, what, "none is asked: the inventory names the keys"), 0
    if not place:
        return ok(HERE, what, "there is none"), 0
    try:
        # paramiko tells an agent that is gone from one without keys by nothing.
        with socket.socket(socket.AF_UNIX) as there:
            there.connect(place)
        agent = paramiko.Agent()
        count = len(agent.get_keys())
        agent.close()
    except (OSError, paramiko.SSHException) as error:
        found = f"nothing answers at SSH_AUTH_SOCK ({place}): {error}"
        remedy = '`eval "$(ssh-agent)"` starts one, `ssh-add` gives it your key'
        return wrong(HERE, what, found, remedy), 0
    return ok(HERE, what, f"{count} key{'' if count == 1 else 's'}"), count


def _keys(
    hosts: Mapping[str, SshSettings], there: Mapping[str, Target], in_agent: int
) -> Iterator[Finding]:
    """Yield how each key is that is named somewhere, and whether there is any other."""
    named = {ssh.key: True for ssh in hosts.values() if ssh.key}
    for one in there.values():
        named |= {key: False for key in one.keys if key not in named}
    for path, alone in named.items():
        yield _key(path, alone)
    if all(one.keys for one in there.values()):
        return
    usual = [path for name in _USUAL if (path := Path("~/.ssh").expanduser() / name).is_file()]
    found_there = [_key(path, False) for path in usual if path not in named]
    # Where another key opens, one with a passphrase is in nobody's way.
    opens = in_agent or any(one.status == "ok" for one in found_there)
    yield from (one for one in found_there if not (opens and one.found.startswith(_LOCKED)))
    if not usual and not in_agent:
        found = "the inventory names none for some hosts, and neither an agent nor ~/.ssh has one"
        yield wrong(HERE, "SSH key", found, _MAKE)


def _key(path: Path, alone: bool) -> Finding:
    """Look at a private key; one that is tried alone (`alone`) must be without a passphrase."""
    what = f"SSH key {path}"
    if problem := key_problem(path) if alone else None:
        return wrong(HERE, what, problem, _MAKE)
    if not path.is_file():
        return wrong(HERE, what, "~/.ssh/config names it, and it is not there", _MAKE)
    status = path.stat()
    if status.st_uid != os.geteuid():
        return wrong(HERE, what, "it belongs to somebody else", f"`sudo chown $USER {path}`")
    if (mode := stat.S_IMODE(status.st_mode)) & 0o077:
        return wrong(HERE, what, f"others may use it (mode {mode:04o})", f"`chmod 600 {path}`")
    try:
        key = load(path)
    except paramiko.PasswordRequiredException:
        return _encrypted(path, what)
    if key is None:
        return wrong(HERE, what, "it is no private key (Ed25519, ECDSA or RSA)", _MAKE)
    return ok(HERE, what, key.get_name())


def _encrypted(path: Path, what: str) -> Finding:
    """Look whether the agent has a key that nobody is asked the passphrase of in a run."""
    remedy = f'`eval "$(ssh-agent)"` where none runs, then `ssh-add {path}`'
    public = path.with_name(f"{path.name}.pub")
    if not os.environ.get("SSH_AUTH_SOCK"):
        return wrong(HERE, what, f"{_LOCKED}, and there is no agent", remedy)
    try:
        agent = paramiko.Agent()
        held = {key.get_base64() for key in agent.get_keys()}
        agent.close()
        words = public.read_text(encoding="utf-8").split()
    except (OSError, paramiko.SSHException, UnicodeDecodeError) as error:
        return unknown(HERE, what, f"{_LOCKED}; whether the agent has it: {error}", remedy)
    if held.intersection(words):
        return ok(HERE, what, f"{_LOCKED}, and the agent has it")
    return wrong(HERE, what, f"{_LOCKED}, and the agent does not have it", remedy)


def _known_hosts(file: Path) -> Iterator[Finding]:
    what = f"known_hosts {file}"
    try:
        lines, damaged = known_hosts.trusted(file), known_hosts.damaged(file)
    except OSError as error:
        yield wrong(HERE, what, f"it cannot be read: {error.strerror}", f"`chmod u+r {file}`")
        return
    if damaged:
        named = ", ".join(map(str, damaged[:10]))
        found = f"no key is in line {named}: such lines count for nothing"
        yield wrong(HERE, what, found, f"`sed -i {damaged[0]}d {file}`, the others after it")
    else:
        yield ok(HERE, what, f"{len(lines)} key{'' if len(lines) == 1 else 's'}")


def _trusted(host: str, ssh: SshSettings, there: Target) -> Finding:
    kinds = known_hosts.keys(ssh.known_hosts, there.name)
    if kinds:
        return ok(host, "trust", f"known_hosts has its key ({', '.join(kinds)})")
    return wrong(
        host, "trust", f"{ssh.known_hosts} has no key of {there.name}", f"`bramble trust {host}`"
    )
