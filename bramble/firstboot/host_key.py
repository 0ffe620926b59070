"""An SSH host key made on this computer, so that the first contact is with a node that is known."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bramble.firstboot.wanted import HostKey

KIND = "ssh-ed25519"


def make(hostname: str) -> HostKey:
    """Return a new key, which is nowhere yet."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return HostKey(private, f"{public.decode()} root@{hostname}")
