"""Which nodes are checked: those of --hosts, or all of the inventory."""

import tempfile
from pathlib import Path

from bramble.fleet import load
from bramble.inventory import folder, presence
from bramble.testing.over_testinfra import ssh_config


def pytest_configure(config):
    """Give testinfra the inventory's hosts, with their keys, ports and trust as an ssh_config."""
    if config.option.ssh_config:
        return  # somebody's own
    inventory = load(folder())
    file = Path(tempfile.mkdtemp(prefix="bramble-"), "ssh_config")
    file.write_text(ssh_config(inventory), encoding="utf-8")
    config.option.ssh_config = str(file)
    named = [word for word in (config.option.hosts or "").split(",") if word]
    absent = presence.absent(inventory.hosts)
    specs = named or [name for name in inventory.hosts if name not in absent]
    config.option.hosts = ",".join(s if "://" in s else f"ssh://{s}" for s in specs)
