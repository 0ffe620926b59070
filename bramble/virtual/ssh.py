"""How a virtual Pi is reached."""

from bramble.virtual import kinds, paths
from bramble.virtual.model import VirtualNode

USER = "pi"


def ssh_argv(node: VirtualNode, *command: str) -> list[str]:
    """Return the ssh call for a node: our key, our known_hosts, strict, and with time-outs."""
    silence_s = kinds.BACKENDS[node.kind].patience.ssh_silence_s
    options = {
        "Port": str(node.port),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(paths.known_hosts_path()),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": str(silence_s // 2),
        # A node that hangs or reboots must not hold the call.
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": str(silence_s // 5),
    }
    flags = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    # -F none: a person's own ssh configuration may hold a proxy or another user.
    target = [f"{USER}@{node.address}", *(("--", *command) if command else ())]
    return ["ssh", "-F", "none", "-i", str(paths.key_path()), *flags, *target]
