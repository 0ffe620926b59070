"""What somebody may have done to files and lines that roles own, and what hides it from a look."""

from __future__ import annotations

from dataclasses import replace

from good_node import (
    CMDLINE,
    CONFIG,
    DETECT,
    FSTAB,
    PI5,
    good_look,
    in_container,
    link,
    node_plan,
    plain,
    with_boot,
    with_command,
    with_file,
)

from bramble.plan import NodePlan
from bramble.snapshot import Login, Snapshot, Unknown

PLAN = node_plan()
GOOD = good_look(PLAN)
WHY = Unknown("permission denied")


def edited(path: str, before: str, after: str) -> Snapshot:
    """A good look but for some words of a file."""
    text = GOOD.file(path).text
    assert before in text
    return with_file(GOOD, path, plain(text.replace(before, after)))


SERVER = "/etc/systemd/system/llama-server.service"
UPGRADES = "/etc/apt/apt.conf.d/99-bramble-unattended-upgrades"
SSHD = "/etc/ssh/sshd_config.d/00-bramble.conf"
JOURNAL = "/etc/systemd/journald.conf.d/99-bramble.conf"
SYSCTL = "/etc/sysctl.d/99-bramble-memory.conf"
SWAP = "/etc/systemd/system/mnt-ssd-swapfile.swap"
GOVERNOR = "/etc/systemd/system/bramble-governor.service"
WATCHDOG = "/etc/systemd/system.conf.d/99-bramble-watchdog.conf"
PIN = "/etc/apt/preferences.d/bramble-log2ram"

FAULTS: dict[str, dict[str, Snapshot]] = {
    "base.files_are_as_written": {
        "apt told otherwise": edited(UPGRADES, "1", "0"),
        "sshd's options removed": with_file(GOOD, SSHD, None),
        "sshd's options open to all": with_file(GOOD, SSHD, plain(GOOD.file(SSHD).text, 0o666)),
        "the name taken out of hosts": with_file(
            GOOD, "/etc/hosts", plain("127.0.0.1 localhost\n")
        ),
        "a key removed": replace(GOOD, login=Login("pi", "/home/pi/.ssh/authorized_keys", None)),
    },
    "storage.files_are_as_written": {
        "the journal told otherwise": edited(JOURNAL, "volatile", "persistent"),
        "our line of fstab": with_file(GOOD, "/etc/fstab", plain(FSTAB)),
        "the root's access times": edited("/etc/fstab", "defaults,noatime  0", "defaults  0"),
        "the repository's pin": with_file(GOOD, PIN, None),
    },
    "memory.files_are_as_written": {
        "values for the next boot": edited(SYSCTL, "vm.swappiness", "#vm.swappiness"),
        "the swap file's unit": edited(SWAP, "Priority=10", "Priority=200"),
    },
    "power.files_are_as_written": {
        "the governor of the next boot": edited(GOVERNOR, "performance", "powersave"),
        "a link": with_file(GOOD, GOVERNOR, link("/dev/null")),
    },
    "boot.lines_are_as_written": {
        "a token that the next boot lacks": with_boot(
            GOOD, cmdline_txt=CMDLINE.replace(" cgroup_enable=memory", "")
        ),
        "a later value": with_boot(GOOD, cmdline_txt=CMDLINE.replace("\n", " psi=0\n")),
        "a value of config.txt": with_boot(GOOD, config_txt=f"{CONFIG}arm_freq=1500\n"),
    },
    "serving.files_are_as_written": {
        "an argument": edited(SERVER, "--ctx-size 2048", "--ctx-size 256"),
        "the sandbox": edited(SERVER, "ProtectHome=yes", "ProtectHome=no"),
        "no restart": edited(SERVER, "Restart=on-failure", "Restart=no"),
        "root's no more": with_file(GOOD, SERVER, replace(GOOD.file(SERVER), owner="llama")),
    },
    "watchdog.files_are_as_written": {
        "shorter at the next boot": edited(WATCHDOG, "300", "10"),
        "removed": with_file(GOOD, WATCHDOG, None),
    },
}

BLIND: dict[str, dict[str, Snapshot]] = {
    name: {"no files": replace(GOOD, files=WHY)}
    for name in FAULTS
    if name != "boot.lines_are_as_written"
}
BLIND["base.files_are_as_written"]["no login"] = replace(GOOD, login=WHY)
BLIND["storage.files_are_as_written"]["no disks"] = replace(GOOD, disks=WHY)
BLIND["memory.files_are_as_written"] |= {
    "no mounts": replace(GOOD, mounts=WHY),
    "perhaps a container": with_command(GOOD, DETECT, WHY),
}
BLIND["boot.lines_are_as_written"] = {"no boot": replace(GOOD, boot=WHY)}

MINI_PC = node_plan(replace(PI5, kind="other", model="not a Raspberry Pi"))
SKIPPED: dict[str, tuple[tuple[Snapshot, NodePlan, str], ...]] = {
    "memory.files_are_as_written": ((in_container(GOOD), PLAN, "a container (systemd-nspawn)"),),
    "boot.lines_are_as_written": ((GOOD, MINI_PC, "edited on a Raspberry Pi"),),
}
