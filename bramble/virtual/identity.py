"""What differs from node to node: keys, host name, machine id, the proxy's address."""

import uuid
from pathlib import Path

from bramble.virtual import paths, spec
from bramble.virtual.commands import run
from bramble.virtual.layers import Upper
from bramble.virtual.model import SSH_PORT, address_of, port_of

PI = 1000
HOST_KEY = "ssh_host_ed25519_key"


def ensure_client_key() -> None:
    """Ensure there is the key pair that logs in to every virtual Pi of this machine."""
    key = paths.key_path()
    key.parent.mkdir(parents=True, exist_ok=True)
    if not key.is_file():
        make_key(key, "bramble-virtual")


def make_key(path: Path, comment: str) -> None:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))


def write(node: spec.Spec, upper: Upper, proxy_url: str) -> None:
    """Write all that may not be the same on two nodes into a new node's files.

    A clone has the files of another node below these; each of them is written again.
    """
    name = node.name
    host_key = ensure_host_key(node)
    upper.write("etc/hostname", f"{name}\n".encode())
    upper.write("etc/hosts", f"127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n".encode())
    upper.write("etc/machine-id", f"{uuid.uuid4().hex}\n".encode(), mode=0o444)
    upper.write(f"etc/ssh/{HOST_KEY}", host_key.read_bytes(), mode=0o600)
    upper.write(f"etc/ssh/{HOST_KEY}.pub", host_key.with_suffix(".pub").read_bytes())
    public = paths.key_path().with_suffix(".pub").read_bytes()
    upper.write("home/pi/.ssh/authorized_keys", public, mode=0o600, owner=PI)
    rule = f'Acquire::http::Proxy "{proxy_url}";\nAcquire::https::Proxy "{proxy_url}";\n'
    upper.write("etc/apt/apt.conf.d/00proxy", rule.encode())


def ensure_host_key(node: spec.Spec) -> Path:
    """Ensure the node has an SSH host key; return its path.

    It is made outside the node, so that known_hosts has it before the first boot.
    """
    host_key = node.folder / HOST_KEY
    if not host_key.is_file():
        make_key(host_key, f"root@{node.name}")
    return host_key


def known_hosts_line(name: str, public_key: str) -> str:
    """Return one line for the name and address of a node, or the address and port of a machine."""
    kind, key = public_key.split()[:2]
    address, port = address_of(name), port_of(name)
    hosts = f"{name},{address}" if port == SSH_PORT else f"[{address}]:{port}"
    return f"{hosts} {kind} {key}\n"


def write_known_hosts() -> None:
    """Write known_hosts again from the nodes that exist, so that it never holds an old key."""
    lines = []
    for name in spec.all_names():
        public = paths.node_dir(name) / f"{HOST_KEY}.pub"
        if public.is_file():
            lines.append(known_hosts_line(name, public.read_text()))
    path = paths.known_hosts_path()
    partial = path.with_suffix(".partial")
    partial.write_text("".join(lines))
    partial.rename(path)
