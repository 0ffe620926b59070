"""Why a host cannot be reached over SSH, in one sentence with what to do; nothing is connected to here.

why("pi5-a", ssh, error)   for whatever paramiko, a socket or pyinfra raised
key_problem(path)          for the private key on this computer, before anything is connected
"""

from __future__ import annotations

import base64
import errno
import hashlib
import re
import socket
from pathlib import Path

import paramiko
from paramiko.ssh_exception import BadHostKeyException, NoValidConnectionsError

from bramble.settings import SshSettings
from bramble.ssh.config import ConfigError, Target, target
from bramble.ssh.keys import load

_SILENT = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT)
_ENDED = (EOFError, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


def why(host: str, ssh: SshSettings, error: BaseException) -> str:
    """Say why a connection to a host failed, be the cause itself or pyinfra's wrapper of it given."""
    try:
        there = target(ssh)
    except ConfigError as unread:
        return str(unread)
    cause = error
    while not _is_known(cause) and isinstance(cause.__cause__ or cause.__context__, Exception):
        cause = cause.__cause__ or cause.__context__ or cause
    return (
        _of_trust(host, ssh, there, cause)
        # With jump hosts, this computer's own network reaches only the first.
        or _of_network(there.jumps[0] if there.jumps else there, cause)
        or _of_session(there, cause)
    )


def _is_known(error: BaseException) -> bool:
    return isinstance(error, OSError | EOFError | paramiko.SSHException)


def fingerprint(key: paramiko.PKey) -> str:
    """Return the key's fingerprint as OpenSSH prints it."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def changed(host: str, ssh: SshSettings, offered: paramiko.PKey, known: paramiko.PKey) -> str:
    """Say that a host shows another key than the trusted one."""
    return (
        f"it shows the SSH key {fingerprint(offered)}, and {ssh.known_hosts} has {fingerprint(known)}: "
        f"if its card was flashed again, run `bramble trust {host} --replace`; "
        "if not, somebody else may be answering"
    )


def _of_trust(host: str, ssh: SshSettings, there: Target, error: BaseException) -> str | None:
    said = str(error)
    if isinstance(error, BadHostKeyException):
        if error.hostname != there.address:
            return (
                f"the jump host {error.hostname} shows another SSH key than ~/.ssh/known_hosts has; "
                f"if that is right, run `ssh-keygen -R {error.hostname}` and `ssh {error.hostname}`"
            )
        return changed(host, ssh, error.key, error.expected_key)
    words = re.findall(r"[^\s']+", said) if "known_hosts" in said else []
    # pyinfra asks on the terminal whether a jump host is to be trusted, and there is none in a run.
    asked = isinstance(error, EOFError) and "reading a line" in said
    jumps = [jump.address for jump in there.jumps if asked or jump.name in words]
    if jumps:
        return (
            f"~/.ssh/known_hosts has no key of the jump host {jumps[0]}: run `ssh {jumps[0]}` once"
        )
    if there.name in words:
        return f"{ssh.known_hosts} has no key of it: run `bramble trust {host}` first"
    return None


def _of_network(there: Target, error: BaseException) -> str | None:
    if isinstance(error, socket.gaierror | UnicodeError):
        return (
            f"there is no host {there.address}: set ssh.address to its IP address, or to a name that "
            "this computer or ~/.ssh/config knows"
        )
    refused = isinstance(error, ConnectionRefusedError)
    if isinstance(error, NoValidConnectionsError):
        refused = any(isinstance(one, ConnectionRefusedError) for one in error.errors.values())
    if refused:
        return (
            f"nothing listens at {there.shown}: see that sshd runs there (Raspberry Pi OS starts it "
            "where a file `ssh` lies on the boot partition), and that ssh.port is right"
        )
    silent = isinstance(error, NoValidConnectionsError) or getattr(error, "errno", None) in _SILENT
    if silent or isinstance(error, TimeoutError):
        return (
            f"{there.shown} does not answer: see that it is on and on this network, and that "
            "ssh.address is right"
        )
    return None


def _of_session(there: Target, error: BaseException) -> str:
    said = " ".join(str(error).split())
    if isinstance(error, paramiko.PasswordRequiredException):
        return "its private key is encrypted: add it to an agent (`ssh-add`) and leave ssh.key out"
    if isinstance(error, paramiko.AuthenticationException):
        account = there.user or "this account"
        or_jump = " (or a jump host on the way its own)" if there.jumps else ""
        keys = " or ".join(map(str, there.keys)) or "the agent's keys and those in ~/.ssh"
        return (
            f"{account}@{there.address} does not take {keys}{or_jump}: put the public key there "
            f"(`ssh-copy-id {account}@{there.address}`), or set ssh.user or ssh.key"
        )
    if isinstance(error, paramiko.ChannelException) and there.jumps:
        return (
            f"the jump host {there.jumps[-1].address} does not reach {there.shown}: see that it is on, "
            "and that the jump host knows it by this address"
        )
    if isinstance(error, FileNotFoundError) and error.filename:
        return (
            f"there is no {error.filename}, which ~/.ssh/config names: correct it, or set ssh.key"
        )
    silent = isinstance(error.__context__, TimeoutError) and "protocol banner" in said
    if silent or "No existing session" in said:
        return (
            f"{there.shown} takes connections and then says nothing: it may hang or lack memory; look "
            "at its screen, or give it more time by ssh.connect_timeout_s"
        )
    if isinstance(error, _ENDED) or "protocol banner" in said:
        return (
            f"what answers at {there.shown} ended the connection before it was one of SSH: see that "
            "sshd is up (`systemctl status ssh` there) and that ssh.port is its port; run again"
        )
    return f"SSH to {there.shown} failed: {said or type(error).__name__}"


def key_problem(path: Path) -> str | None:
    """Say what is wrong with a private key that the inventory names; return None where nothing is."""
    if not path.is_file():
        return f"there is no file {path} on this computer: write where the private key is"
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if text.startswith(("ssh-", "ecdsa-", "sk-")):
        return f"{path} is a public key: name the private one, without .pub"
    try:
        key = load(path)
    except paramiko.PasswordRequiredException:
        return (
            f"{path} is encrypted, and nobody is asked in a run: add it to an agent "
            "(`ssh-add`) and leave ssh.key out"
        )
    if key is None:
        return f"{path} is no private key (Ed25519, ECDSA or RSA); `ssh-keygen` makes one"
    return None
