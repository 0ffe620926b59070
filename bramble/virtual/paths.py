"""Where virtual Pis live on this machine: state that may not be lost, cache that may."""

import os
from pathlib import Path


def state_dir() -> Path:
    """Return the folder of keys, known_hosts and nodes; BRAMBLE_STATE names another parent."""
    return Path(os.environ.get("BRAMBLE_STATE", "/var/lib/bramble")) / "virtual"


def cache_dir() -> Path:
    """Return the folder of what can be made again (root file systems, ccache)."""
    return Path(os.environ.get("BRAMBLE_CACHE", "/var/cache/bramble"))


def nodes_dir() -> Path:
    return state_dir() / "nodes"


def node_dir(name: str) -> Path:
    return nodes_dir() / name


def snapshots_dir() -> Path:
    """Return the folder of frozen copies of nodes' files, which the clones made from them share."""
    return state_dir() / "snapshots"


def ccache_dir() -> Path:
    return cache_dir() / "ccache"


def key_path() -> Path:
    return state_dir() / "id_ed25519"


def known_hosts_path() -> Path:
    return state_dir() / "known_hosts"
