"""What a good node shows of base: the clock, the names, apt's timers, and who may log in."""

from dataclasses import replace

from bramble.plan import NodePlan
from bramble.render import render
from bramble.roles.base import cloud
from bramble.roles.base.sudo import ASKS, rule
from bramble.snapshot import Login, Output, Snapshot
from bramble.system.parse import Socket
from bramble.system.process import Process
from bramble.testing.roles import unit
from tests.unit.looks import plain

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMRsTu0eTyjs6XYFjKNEtbOmOlEdWAIMxuzt3pL22Tvm me"
KEYS = "/home/pi/.ssh/authorized_keys"
SSHD_FILE = "/etc/ssh/sshd_config.d/00-bramble.conf"
SUDO_FILE = "/etc/sudoers.d/zz-bramble"
TRIAL = "/var/lib/bramble/ssh-undo/undo.sh"
CLOCK_STATE = {"Timezone": "Europe/Vienna", "CanNTP": "yes", "NTP": "yes", "NTPSynchronized": "yes"}
PERIODIC = "apt-config dump APT::Periodic"
UPGRADES_TIMER = "apt-daily-upgrade.timer"
SSHD_PROCESS = Process(
    "/usr/sbin/sshd",
    "5" * 64,
    0,
    ("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",),
    {},
)
CLOUD_SETTINGS = (
    "sh -c 'grep -Ehs ^manage_etc_hosts: /etc/cloud/cloud.cfg /etc/cloud/cloud.cfg.d/*.cfg "
    "/var/lib/cloud/instance/cloud-config.txt'"
)
CLOUD_STATUS = "cloud-init status"
CLOUD_INSTANCE = "/run/cloud-init/instance-data.json"
SETTINGS = {
    "packages": ["htop"],
    "unattended_upgrades": True,
    "hostname": "inventory",
    "timezone": "Europe/Vienna",
    "authorized_keys": [KEY],
    "ssh": {"password_authentication": False},
    "passwordless_sudo": True,
}


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    return Snapshot(
        clock=CLOCK_STATE,
        login=Login("pi", KEYS, replace(plain(f"{KEY}\n", 0o600), owner="pi", group="pi")),
        sockets=(Socket("0.0.0.0", 22, (35,)),),
        units={
            **dict.fromkeys(("apt-daily.timer", UPGRADES_TIMER), unit(sub="waiting")),
            "ssh.service": unit(process=SSHD_PROCESS),
            "cloud-init.service": unit(sub="exited"),
            "cloud-init-network.service": unit("inactive", "", load="not-found"),
        },
        packages={"unattended-upgrades": "1.0-1"},
        files={
            SSHD_FILE: plain(plan.roles["base"].sshd_text or ""),
            TRIAL: None,
            SUDO_FILE: replace(plain(rule("pi")), mode=0o440),
            "/etc/default/ssh": plain("# Options to pass to sshd\nSSHD_OPTS=\n"),
            CLOUD_INSTANCE: plain('{"v1": {"local_hostname": "pi5-a"}}'),
            "/etc/cloud/cloud-init.disabled": None,
            cloud.OVERRIDE: plain(render("base/cloud-init.cfg.j2")),
            "/etc/hosts": plain("127.0.0.1\tlocalhost\n127.0.1.1\tpi5-a\n"),
        },
        commands={
            "dpkg --audit": Output(0, ""),
            ASKS: Output(0, ""),
            CLOUD_SETTINGS: Output(0, "manage_etc_hosts: true\n"),
            CLOUD_STATUS: Output(0, "\nstatus: done\n"),
            PERIODIC: Output(0, 'APT::Periodic "";\nAPT::Periodic::Unattended-Upgrade "1";\n'),
            "sshd -T": Output(0, "passwordauthentication no\nkbdinteractiveauthentication no\n"),
        },
    )
