"""What spoils what base proves, what hides it from a look, and where its checks do not apply."""

from dataclasses import replace

from bramble.roles.base.sudo import ASKS, rule
from bramble.snapshot import Boot, Login, Output, Snapshot
from bramble.system.parse import Mount
from tests.unit.good_node import node_plan
from tests.unit.looks import WHY, plain, with_command, with_file, with_unit_named
from tests.unit.roles.base.good import (
    CLOCK_STATE,
    CLOUD_INSTANCE,
    CLOUD_SETTINGS,
    KEY,
    KEYS,
    PERIODIC,
    SSHD_FILE,
    SSHD_PROCESS,
    SUDO_FILE,
    TRIAL,
    UPGRADES_TIMER,
)
from tests.unit.spoiled import GOOD, NO_FILES, Cases, Exceptions, Node, edited

UPGRADES = "/etc/apt/apt.conf.d/99-bramble-unattended-upgrades"


def clock_says(**changes: str) -> Snapshot:
    """A good look but for what is reported the clock."""
    return replace(GOOD, clock=CLOCK_STATE | changes)


def off_by(seconds: int) -> Snapshot:
    """A look at a node that no NTP server was reached from, and whose clock is ahead by this."""
    look = clock_says(NTPSynchronized="no")
    return replace(look, taken_at_s=look.taken_at_s + seconds)


def with_keys(text: str, mode: int = 0o600) -> Snapshot:
    """A good look but for the account's keys."""
    seen = replace(plain(text, mode), owner="pi", group="pi")
    return replace(GOOD, login=Login("pi", KEYS, seen))


def with_sshd(words: str) -> Snapshot:
    """The look at an sshd that was started with more words."""
    title = SSHD_PROCESS.argv[0].replace("-D", f"-D {words}")
    return with_unit_named(GOOD, "ssh.service", process=replace(SSHD_PROCESS, argv=(title,)))


FAULTS: Cases = {
    "system_is_supported": {
        "forky": replace(GOOD, system=replace(GOOD.system, codename="forky")),
        "half-upgraded": replace(GOOD, system=replace(GOOD.system, codename="trixie")),
        "32 bits": replace(GOOD, system=replace(GOOD.system, architecture="armhf", long_bit=32)),
        "overlayroot": replace(GOOD, boot=Boot("overlayroot=tmpfs", None, None)),
        "an overlay in memory": replace(
            GOOD,
            mounts=(Mount("/", "overlay", "overlay", ("rw", "upperdir=/media/root-rw/overlay")),),
        ),
    },
    "packages_are_installed": {
        "one is missing": replace(GOOD, packages={**GOOD.packages, "curl": None}),
        "another role's is missing": replace(GOOD, packages={**GOOD.packages, "cmake": None}),
        "one was never heard of": replace(GOOD, packages={}),
    },
    "clock_is_right": {
        "NTP switched off": clock_says(NTP="no", NTPSynchronized="no"),
        "years behind": off_by(-(10**8)),
        "two minutes ahead": off_by(120),
        "no word of NTP": replace(off_by(-90), clock=WHY),
    },
    "dpkg_is_consistent": {
        "half installed": with_command(
            GOOD,
            "dpkg --audit",
            Output(0, "The following packages are only half installed:\n htop   a viewer\n"),
        ),
        "killed": with_file(GOOD, "/var/lib/dpkg/updates/0001", plain("")),
        "no database": with_command(GOOD, "dpkg --audit", Output(2, "")),
    },
    "upgrades_are_as_planned": {
        "told off": with_command(
            GOOD, PERIODIC, Output(0, 'APT::Periodic::Unattended-Upgrade "0";\n')
        ),
        "not told": with_command(GOOD, PERIODIC, Output(0, 'APT::Periodic "";\n')),
        "not installed": replace(GOOD, packages={**GOOD.packages, "unattended-upgrades": None}),
        "no timer": with_unit_named(GOOD, UPGRADES_TIMER, enabled="masked"),
        "a timer that was stopped": with_unit_named(GOOD, UPGRADES_TIMER, active="inactive"),
        "no lists": with_unit_named(GOOD, "apt-daily.timer", enabled="disabled"),
        "on, and planned off": Node(GOOD, plan=node_plan(base={"unattended_upgrades": False})),
    },
    "hostname_is_as_planned": {
        "another": replace(GOOD, system=replace(GOOD.system, hostname="raspberrypi")),
        "not in hosts": with_file(GOOD, "/etc/hosts", plain("127.0.1.1\traspberrypi\n")),
        "no hosts": with_file(GOOD, "/etc/hosts", None),
    },
    "cloud_init_keeps_the_name": {
        "another name": with_file(
            GOOD, CLOUD_INSTANCE, plain('{"v1": {"local_hostname": "raspberrypi"}}')
        ),
    },
    "timezone_is_as_planned": {"another": clock_says(Timezone="Europe/London")},
    "keys_are_there": {
        "no file": replace(GOOD, login=Login("pi", KEYS, None)),
        "another key": with_keys("ssh-ed25519 AAAAother you\n"),
        "commented out": with_keys(f"#{KEY}\n"),
        "open to all": with_keys(f"{KEY}\n", 0o666),
        "others too": Node(
            with_keys(f"{KEY}\nssh-ed25519 AAAAother you\n"),
            plan=node_plan(base={"exclusive_keys": True}),
        ),
    },
    "sshd_configuration_is_valid": {
        "a broken line": with_command(GOOD, "sshd -T", Output(255, "line 3: Bad configuration"))
    },
    "sshd_has_its_options": {
        "passwords": with_command(
            GOOD,
            "sshd -T",
            Output(0, "passwordauthentication yes\nkbdinteractiveauthentication no\n"),
        ),
        "by another way": with_command(
            GOOD,
            "sshd -T",
            Output(0, "passwordauthentication no\nkbdinteractiveauthentication yes\n"),
        ),
        "on its command line": with_sshd("-o PasswordAuthentication=yes"),
        "on that of its next start": with_file(
            GOOD, "/etc/default/ssh", plain("SSHD_OPTS='-oPasswordAuthentication=yes -4'\n")
        ),
    },
    "sudo_asks_as_planned": {
        "it asks": with_command(GOOD, ASKS, Output(1, "sudo: a password is required\n")),
        "it does not, and is to": Node(GOOD, plan=node_plan(base={"passwordless_sudo": False})),
    },
    "files_are_as_written": {
        "apt told otherwise": edited(UPGRADES, "1", "0"),
        "sshd's options removed": with_file(GOOD, SSHD_FILE, None),
        "sshd's options open to all": with_file(
            GOOD, SSHD_FILE, plain(GOOD.file(SSHD_FILE).text, 0o666)
        ),
        "the name taken out of hosts": with_file(
            GOOD, "/etc/hosts", plain("127.0.0.1 localhost\n")
        ),
        "a key removed": replace(GOOD, login=Login("pi", KEYS, None)),
        "sudo's rule removed": with_file(GOOD, SUDO_FILE, None),
        "sudo's rule of another": with_file(GOOD, SUDO_FILE, plain(rule("me"), 0o440)),
        "sudo's rule open to all": with_file(GOOD, SUDO_FILE, plain(rule("pi"), 0o666)),
        "sshd's options on trial": with_file(GOOD, TRIAL, plain("failed=0\n", 0o600)),
    },
}

BLIND: Cases = {
    "files_are_as_written": {"no files": NO_FILES, "no login": replace(GOOD, login=WHY)},
    "system_is_supported": {"no system": replace(GOOD, system=WHY)},
    "packages_are_installed": {"no packages": replace(GOOD, packages=WHY)},
    "clock_is_right": {
        "neither clock": replace(GOOD, asked_at_s=0, clock=WHY),
    },
    "dpkg_is_consistent": {
        "no answer": with_command(GOOD, "dpkg --audit", WHY),
        "no files": NO_FILES,
    },
    "upgrades_are_as_planned": {
        "no packages": replace(GOOD, packages=WHY),
        "no units": replace(GOOD, units=WHY),
        "no answer": with_command(GOOD, PERIODIC, WHY),
    },
    "hostname_is_as_planned": {
        "no system": replace(GOOD, system=WHY),
        "no hosts": with_file(GOOD, "/etc/hosts", WHY),
    },
    "cloud_init_keeps_the_name": {
        "no unit": replace(GOOD, units=WHY),
        "no settings": with_command(GOOD, CLOUD_SETTINGS, WHY),
        "no metadata": with_file(GOOD, CLOUD_INSTANCE, WHY),
    },
    "timezone_is_as_planned": {"no answer": replace(GOOD, clock=WHY)},
    "keys_are_there": {"no login": replace(GOOD, login=WHY)},
    "sshd_configuration_is_valid": {"no answer": with_command(GOOD, "sshd -T", WHY)},
    "sudo_asks_as_planned": {
        "no answer": with_command(GOOD, ASKS, WHY),
        "root by another way": with_command(GOOD, ASKS, Output(2, WHY.why)),
        "no setpriv": with_command(GOOD, ASKS, Output(127, WHY.why)),
    },
    "sshd_has_its_options": {
        "no answer": with_command(GOOD, "sshd -T", WHY),
        "a broken configuration": with_command(GOOD, "sshd -T", Output(255, WHY.why)),
        "no defaults": with_file(GOOD, "/etc/default/ssh", WHY),
        "no units": replace(GOOD, units=WHY),
    },
}

SKIPPED: Exceptions = {
    "upgrades_are_as_planned": (
        (Node(GOOD, plan=node_plan(base={"unattended_upgrades": None})), "they are on"),
    ),
    "hostname_is_as_planned": ((Node(GOOD, plan=node_plan(base={"hostname": None})), "not set"),),
    "cloud_init_keeps_the_name": (
        (Node(GOOD, plan=node_plan(base={"hostname": None})), "not set"),
        (with_file(GOOD, "/etc/cloud/cloud-init.disabled", plain("")), "or it is off"),
        (with_unit_named(GOOD, "cloud-init.service", load="not-found"), "there is no cloud-init"),
        (with_unit_named(GOOD, "cloud-init.service", enabled="masked"), "or it is off"),
    ),
    "timezone_is_as_planned": (
        (Node(GOOD, plan=node_plan(base={"timezone": None})), "it is Europe/Vienna"),
    ),
    "keys_are_there": ((Node(GOOD, plan=node_plan(base={"authorized_keys": []})), "empty"),),
    "sshd_configuration_is_valid": ((with_command(GOOD, "sshd -T", None), "no sshd"),),
    "sudo_asks_as_planned": (
        (Node(GOOD, plan=node_plan(base={"passwordless_sudo": None})), "is not set"),
        (replace(GOOD, login=Login("root", "/root/.ssh/authorized_keys", None)), "as root"),
    ),
    "sshd_has_its_options": ((Node(GOOD, plan=node_plan(base={"ssh": {}})), "sets nothing"),),
}
