"""What a good node shows of its logs: a journal in memory, and log2ram from its repository."""

from __future__ import annotations

from dataclasses import replace

from bramble.plan import NodePlan
from bramble.roles.storage import journal, log2ram, log_rotation
from bramble.snapshot import FileState, Output, Snapshot
from bramble.system.parse import Mount
from bramble.testing.roles import unit
from tests.unit.looks import plain

UNIT = "log2ram.service"
IN_MEMORY = "/run/log/journal/0123456789abcdef0123456789abcdef"
MEMORY = Mount("/var/log", "tmpfs", "log2ram", ("rw", "nosuid", "size=131072k", "mode=755"))
ON_DISK = Mount("/var/hdd.log", "ext4", "/dev/mmcblk0p2", ("rw", "noatime"))
USAGE = journal.usage_of("volatile")
URL = "http://packages.azlux.fr/debian"
CONFIG = """# /etc/systemd/journald.conf
[Journal]
#Storage=auto
Storage=persistent

# /usr/lib/systemd/journald.conf.d/40-rpi-volatile-storage.conf
[Journal]
Storage=volatile

# /etc/systemd/journald.conf.d/99-bramble.conf
[Journal]
Storage=volatile
RuntimeMaxUse=64M
SystemMaxUse=64M
"""
SAID = '{"__REALTIME_TIMESTAMP":"1795235644014046","MAX_USE":"67108864"}\n'
# As apt 2.6 prints it on a virtual Pi, with this repository's URL.
POLICY = f"""Package files:
 100 /var/lib/dpkg/status
     release a=now
  -1 {URL} bookworm/main arm64 Packages
     release o=test,a=bookworm,n=bookworm,c=main,b=arm64
     origin packages.azlux.fr
 500 http://mirror.example.org/debian bookworm/main arm64 Packages
     release v=12.15,o=Debian,a=oldstable,n=bookworm,l=Debian,c=main,b=arm64
     origin mirror.example.org
Pinned packages:
     log2ram -> 1.7.2 with priority 500
"""


def look(plan: NodePlan) -> Snapshot:
    """What the plan left on a node of all that it wants of logs."""
    desired = plan.roles["storage"].logs.log2ram
    owned = [*desired.files, *(desired.repository.files if desired.repository else ())]
    files = {file.path: plain(file.text) for file in owned}
    if desired.repository:
        files[desired.repository.keyring] = plain("")
    rule = plain("/var/log/log2ram.log {}")
    files |= {log_rotation.PACKAGES_OWN: rule, log_rotation.RULE: None}
    if desired.repository is None:  # Debian's has it in a folder
        folder = FileState("directory", 0o755, "root", "root", 4096, 1)
        text = log_rotation.rule().text
        files |= {log_rotation.PACKAGES_OWN: folder, log_rotation.RULE: plain(text)}
    files[IN_MEMORY] = FileState("directory", 0o2755, "root", "systemd-journal", 60, 1)
    return Snapshot(
        files=files,
        commands={
            journal.CONFIG: Output(0, CONFIG),
            journal.SAID: Output(0, SAID),
            USAGE: Output(0, "Archived and active journals take up 24.0M in the file system.\n"),
            log2ram.POLICY: Output(0, POLICY),
        },
        units={UNIT: unit(sub="exited")},
        packages={"log2ram": "1.7.2", "rsync": "3.2.7-1", "rsyslog": None},
        mounts=(ON_DISK, MEMORY),
        free_bytes={"/var/log": 100 << 20},
    )


def remounted(look: Snapshot, *on_top: Mount) -> Snapshot:
    """The same look, but for what is mounted on /var/log."""
    return replace(look, mounts=(*(m for m in look.mounts if m != MEMORY), *on_top))
