"""A planned node, and a look at it that shows everything as planned: tests spoil one thing each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import good_memory

from bramble import registry
from bramble.board import Board
from bramble.fleet import prepare
from bramble.plan import NodePlan, make
from bramble.snapshot import (
    Answer,
    Boot,
    DeviceTree,
    FileState,
    Login,
    Output,
    Snapshot,
    System,
    Unit,
    Unknown,
    read,
)
from bramble.system import parse
from bramble.system.process import Process, Program

RECORDED = Path(__file__).parent / "recorded"
MODEL_SHA256 = "d" * 64
SERVER_SHA256 = "b" * 64
UNIT = "llama-server.service"
FOLDERS = (
    *("/", "/opt", "/opt/bramble", "/opt/bramble/engine", "/opt/bramble/engine/releases"),
    *("/opt/bramble/engine/current/bin", "/var", "/var/lib", "/var/lib/bramble"),
    "/var/lib/bramble/models",
)
GOVERNOR_UNIT = "bramble-governor.service"
GOVERNOR = "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor"
WATCHDOG = "/sys/class/watchdog/watchdog0"
SHOW = "systemctl show -p RuntimeWatchdogUSec -p RebootWatchdogUSec"
DETECT = "systemd-detect-virt --container"
SSD = "usb-Samsung_PSSD_T7_S5TANS0R123456A-0:0"
SSD_UUID = "0b1f3d1c-6a51-4a0c-9a35-2f1f0f5a1d11"
SSD_LINK = f"/dev/disk/by-id/{SSD}"
FSTAB = """proc            /proc           proc    defaults          0       0
PARTUUID=4e639091-01  /boot/firmware  vfat    defaults          0       2
PARTUUID=4e639091-02  /               ext4    defaults,noatime  0       1
"""
SSD_LINES = f"""# bramble: storage.ssd; change the inventory, not the next line
UUID={SSD_UUID} /mnt/ssd ext4 defaults,noatime,nofail,x-systemd.device-timeout=90s 0 2
"""
SSD_UNIT = "mnt-ssd.mount"
VERIFY = "findmnt --verify --tab-file /etc/fstab"
ROUTE = "ip -json route show default"
ADDRESSES = "hostname -I"
KERNEL_LOG = (
    "journalctl -k -b -q --no-pager -o cat -n 2000 --case-sensitive=no -g '^Linux version |error|abort|"
    "reset|fail|offline|timed out|timing out|timeout|read-only|corrupt|is down|not ready|shut ?down|"
    "disconnect|stuck|dead|died|lost|frozen|uas_eh_|uas_zap'"
)
BEGINNING = "Linux version 6.12.25+rpt-rpi-2712 (serge@raspberrypi.com) (gcc-12) #1 SMP PREEMPT\n"
SYSFS_USB = "../devices/platform/scb/fd500000.pcie/0000:01:00.0/usb2/2-1"
CMDLINE = "console=tty1 root=PARTUUID=4e639091-02 rootwait cgroup_enable=memory psi=1\n"
CONFIG = (
    "arm_boost=1\n\n[all]\narm_freq=2000\ndtparam=pciex1_gen=3\n"
    "dtparam=fan_temp0=45000\ndtparam=fan_temp1=55000\n"
    "dtparam=fan_temp2=62000\ndtparam=fan_temp3=70000\n"
)
EEPROM = """BOOTLOADER: up to date
   CURRENT: Wed  5 Nov 17:37:18 UTC 2025 (1762364238)
    LATEST: Wed  5 Nov 17:37:18 UTC 2025 (1762364238)
   RELEASE: default (/lib/firmware/raspberrypi/bootloader-2712/default)
            Use raspi-config to change the release.
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMRsTu0eTyjs6XYFjKNEtbOmOlEdWAIMxuzt3pL22Tvm me"
KEYS = "/home/pi/.ssh/authorized_keys"
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
CLOUD_INSTANCE = "/run/cloud-init/instance-data.json"
TRIP = "/sys/class/thermal/thermal_zone0/trip_point_{}_temp"
# What llama.cpp's system_info names on a Cortex-A76 and on a Cortex-A72 (under qemu-aarch64).
SMOKE = {
    "system_info": dict.fromkeys(
        ["NEON", "ARM_FMA", "FP16_VA", "DOTPROD", "OPENMP", "REPACK"], "1"
    ),
    "kleidiai": {},
    "buffers": ["CPU_Mapped", "CPU_REPACK"],
}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "base": {
        "packages": ["htop"],
        "unattended_upgrades": True,
        "hostname": "inventory",
        "timezone": "Europe/Vienna",
        "authorized_keys": [KEY],
        "ssh": {"password_authentication": False},
    },
    "power": {"governor": "performance", "fan": {"levels_c": [45, 55, 62, 70]}},
    "storage": {"log2ram": "on"},
    "boot": {"config": {"arm_freq": "2000", "dtparam=pciex1_gen": "3"}},
    "engine": {"build_number": 11300},
    "model": {
        "name": "toy-q4_0",
        "url": "http://models.example.org/toy-q4_0.gguf",
        "sha256": MODEL_SHA256,
    },
    "serving": {"question": "What is 2+2?", "expect": "4"},
}
A76 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm asimddp"
PI5 = Board(
    model="Raspberry Pi 5 Model B Rev 1.0",
    kind="pi5",
    architecture="arm64",
    codename="bookworm",
    cpu_part="0xd0b",
    cpu_features=frozenset(A76.split()),
    cores=4,
    memory_mib=8063,
    page_size=16384,
)


def recorded(name: str) -> str:
    """The text of a recorded output."""
    return (RECORDED / name).read_text(encoding="utf-8")


def recorded_look() -> dict[str, Any]:
    """What the probe printed on a virtual Pi before its first deploy."""
    look: dict[str, Any] = json.loads(recorded("probe.container-bookworm-amd64.json"))
    return look


ROLES = registry.in_order(
    registry.role(name)
    for name in (
        *("base", "storage", "memory", "power", "boot", "engine", "model", "serving", "watchdog"),
    )
)
"""The roles that the good node has: another one has a good node of its own."""


def settings(**changes: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of these roles, with some values changed; local paths are below /inventory."""
    return {
        role.name: role.settings.model_validate(
            {**SETTINGS.get(role.name, {}), **changes.get(role.name, {})},
            context={"folder": Path("/inventory"), "host": "pi5-a"},
        )
        for role in ROLES
    }


def node_plan(board: Board = PI5, **changes: Mapping[str, Any]) -> NodePlan:
    """The plan of a node with these settings."""
    sections = settings(**changes)
    return make("pi5-a", sections, board, ROLES, prepare(Path("/inventory"), (sections,)))


def props(serving: Any) -> Mapping[str, Any]:
    """What the server says of itself: a slot gets what was padded for it."""
    slot = {"n_ctx": -(-serving.ctx_tokens // serving.slots // 256) * 256}
    return {"build_info": serving.build_info, "default_generation_settings": slot}


def good_look(plan: NodePlan) -> Snapshot:
    """A look at a node of this plan that has nothing left to do."""
    engine, model, serving = (plan.roles[name] for name in ("engine", "model", "serving"))
    manifest = json.dumps({"binaries": dict.fromkeys(engine.targets, SERVER_SHA256)})
    good = {"release": engine.release, **serving.identity, "tokens_per_second": 9.5, "at": "then"}
    verified = {"sha256": model.sha256, "size": 10**9, "mtime_ns": 7}
    files = {
        file.path: plain(file.text, file.mode)
        for role in plan.roles.values()
        for file in role.files
    }
    files |= {
        "/opt/bramble/engine/current": link(f"releases/{engine.release}"),
        "/opt/bramble/engine/previous": None,
        "/opt/bramble/engine/good.json": plain(json.dumps(good)),
        f"{engine.folder}/manifest.json": plain(manifest),
        f"{engine.folder}/smoke.json": plain(json.dumps(SMOKE)),
        **{
            f"/opt/bramble/engine/current/bin/{name}": replace(
                plain("", 0o755), sha256=SERVER_SHA256, text=None
            )
            for name in engine.targets
        },
        **dict.fromkeys(FOLDERS, FileState("directory", 0o755, "root", "root", 4096, 1)),
        # Above the hash limit, as real models are: known by its stamp.
        model.path: FileState("file", 0o644, "root", "root", 10**9, 7),
        model.stamp: plain(json.dumps(verified)),
        model.folder: link("/mnt/ssd/bramble/models"),
        **dict.fromkeys((f"{model.folder}{way}" for way in ("/.", "/..")), FOLDER),
        f"{model.folder}.card": None,
        **dict.fromkeys(("/var/lib/bramble", "/var/lib", "/var", "/", "/mnt/ssd"), FOLDER),
        "/etc/llama.cpp/config.ini": None,
        GOVERNOR: plain("performance\n"),
        "/sys/class/thermal/thermal_zone0/temp": plain("48300\n"),
        f"{WATCHDOG}/state": plain("active\n"),
        f"{WATCHDOG}/timeout": plain("300\n"),
        f"{WATCHDOG}/identity": plain("Broadcom BCM2835 Watchdog timer\n"),
        "/etc/default/ssh": plain("# Options to pass to sshd\nSSHD_OPTS=\n"),
        CLOUD_INSTANCE: plain('{"v1": {"local_hostname": "pi5-a"}}'),
        "/etc/hosts": plain("127.0.0.1\tlocalhost\n127.0.1.1\tpi5-a\n"),
        "/etc/fstab": plain(FSTAB + SSD_LINES),
        SSD_LINK: link("../../sda"),
        "/sys/block/sda": link(f"{SYSFS_USB}/2-1:1.0/host0/target0:0:0/0:0:0:0/block/sda"),
        "/sys/bus/usb/devices/2-1/idVendor": plain("04e8\n"),
        "/sys/bus/usb/devices/2-1/idProduct": plain("4001\n"),
        "/sys/bus/usb/drivers/uas/2-1:1.0": link(f"../../../../{SYSFS_USB}/2-1:1.0"),
        "/sys/fs/ext4/sda/errors_count": plain("0\n"),
        "/sys/fs/cgroup/cgroup.controllers": plain("cpuset cpu io memory pids\n"),
        "/proc/pressure/memory": plain("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
        **good_memory.files(plain),
    }
    files |= {
        TRIP.format(number): plain(f"{degrees}000\n")
        for number, degrees in enumerate((110, 45, 55, 62, 70))
    }
    files["/etc/ssh/sshd_config.d/00-bramble.conf"] = plain(plan.roles["base"].sshd_text or "")
    files |= dict.fromkeys(
        (
            "/boot/firmware/pieeprom.upd",
            "/boot/firmware/recovery.bin",
            "/etc/default/rpi-eeprom-update",
            "/run/bramble/reboot/config.txt",
            "/run/bramble/reboot/eeprom",
            "/etc/cloud/cloud-init.disabled",
        )
    )
    from good_logs import with_logs

    look = Snapshot(
        taken_at_s=1_795_225_725,
        asked_at_s=1_795_225_724.5,
        answered_at_s=1_795_225_727.2,
        device_tree=DeviceTree(
            plan.board.model, ("raspberrypi,5-model-b", "brcm,bcm2712"), 0xD04170, 5000
        ),
        system=_system(plan.board),
        boot=Boot(f"cgroup_disable=memory {CMDLINE}", CMDLINE, CONFIG),
        clock=CLOCK_STATE,
        login=Login("pi", KEYS, replace(plain(f"{KEY}\n", 0o600), owner="pi", group="pi")),
        memory_kib={
            "MemTotal": plan.board.memory_mib * 1024,
            "MemAvailable": plan.board.memory_mib * 900,
        },
        mounts=(
            parse.Mount("/", "ext4", "/dev/mmcblk0p2", ("rw", "noatime")),
            parse.Mount("/mnt/ssd", "ext4", "/dev/sda", ("rw", "noatime")),
        ),
        swaps=good_memory.SWAPS,
        swap_makers=good_memory.MAKERS,
        disks=(card(), disk("/dev/sda", mountpoints=("/mnt/ssd",), **OURS)),
        programs={
            "llama-server": (Program(4711, f"{serving.program}", "llama", f"/system.slice/{UNIT}"),)
        },
        sockets=(parse.Socket("0.0.0.0", 22), parse.Socket(serving.host, serving.port)),
        units={
            UNIT: _service(plan),
            **{
                timer: Unit("loaded", "active", "waiting", "enabled", False, 0, "success", None)
                for timer in ("apt-daily.timer", UPGRADES_TIMER)
            },
            SSD_UNIT: Unit(
                "loaded",
                "active",
                "mounted",
                "generated",
                False,
                0,
                "success",
                None,
                {"RequiredBy": ""},
            ),
            "ssh.service": Unit(
                "loaded", "active", "running", "enabled", False, 0, "success", SSHD_PROCESS
            ),
            "cloud-init.service": Unit(
                "loaded", "active", "exited", "enabled", False, 0, "success", None
            ),
            GOVERNOR_UNIT: Unit("loaded", "active", "exited", "enabled", False, 0, "success", None),
            **good_memory.UNITS,
        },
        packages=dict.fromkeys((*plan.packages, "unattended-upgrades"), "1.0-1"),
        files=files,
        users={"llama": {"uid": 998, "home": "/", "shell": "/usr/sbin/nologin"}},
        http={
            f"{serving.url}/health": Answer(200, '{"status":"ok"}'),
            f"{serving.url}/props": Answer(200, json.dumps(props(serving))),
        },
        commands={
            "vcgencmd get_throttled": Output(0, "throttled=0x0\n"),
            "vcgencmd measure_temp": Output(0, "temp=48.3'C\n"),
            SHOW: Output(0, "RuntimeWatchdogUSec=5min\nRebootWatchdogUSec=5min\n"),
            "dpkg --audit": Output(0, ""),
            CLOUD_SETTINGS: Output(0, "manage_etc_hosts: true\n"),
            PERIODIC: Output(0, 'APT::Periodic "";\nAPT::Periodic::Unattended-Upgrade "1";\n'),
            "sshd -T": Output(0, "passwordauthentication no\nkbdinteractiveauthentication no\n"),
            DETECT: Output(1, "none\n"),
            "rpi-eeprom-update": Output(0, EEPROM),
            **good_memory.COMMANDS,
            VERIFY: Output(0, "\nSuccess, no errors or warnings detected\n"),
            KERNEL_LOG: Output(0, BEGINNING),
            ADDRESSES: Output(0, "10.0.0.7 \n"),
            ROUTE: Output(
                0, '[{"dst":"default","gateway":"192.168.1.1","dev":"eth0","metric":100}]'
            ),
        },
        free_bytes={"/mnt/ssd": 400 << 30},
    )
    return with_logs(look, plan)


OURS: Mapping[str, Any] = {"fstype": "ext4", "label": "bramble-ssd", "uuid": SSD_UUID}
"""What lsblk tells of the file system that bramble makes."""


def disk(path: str, **changes: Any) -> parse.Disk:
    """A blank USB disk of 500 GB, but for some of it."""
    blank = {
        "kind": "disk",
        "transport": "usb",
        "size_bytes": 500_107_862_016,
        "fstype": None,
        "label": None,
        "uuid": None,
        "mountpoints": (),
        "model": "PSSD T7",
        "serial": "S5TANS0R123456A",
        "read_only": False,
    }
    return parse.Disk(path=path, **{**blank, **changes})


def card() -> parse.Disk:
    """The SD card that the node is booted from."""
    shape = {"kind": "part", "transport": None, "model": None, "serial": None}
    boot = disk("/dev/mmcblk0p1", fstype="vfat", mountpoints=("/boot/firmware",), **shape)
    root = disk("/dev/mmcblk0p2", fstype="ext4", mountpoints=("/",), **shape)
    return disk("/dev/mmcblk0", **{**shape, "kind": "disk"}, table="dos", parts=(boot, root))


def with_disks(look: Snapshot, *disks: parse.Disk) -> Snapshot:
    """The same look, but for the disks besides the card."""
    return replace(look, disks=(card(), *disks))


def plain(text: str, mode: int = 0o644) -> FileState:
    """The state of a plain file of root's."""
    from bramble.plan import File

    size, sha256 = len(text.encode()), File(path="", text=text).sha256
    return FileState("file", mode, "root", "root", size, 1, sha256=sha256, text=text)


FOLDER = FileState("directory", 0o755, "root", "root", 4096, 1)


def link(target: str) -> FileState:
    """The state of a symbolic link."""
    return FileState("link", 0o777, "root", "root", len(target), 1, target=target)


def _service(plan: NodePlan) -> Unit:
    """The service as systemd and the kernel told of it on a virtual Pi, with this plan's own words."""
    serving = plan.roles["serving"]
    found = read(json.loads(recorded("probe.container-bookworm-amd64-serving.json"))).unit(UNIT)
    assert isinstance(found, Unit)
    assert isinstance(found.process, Process)
    process = replace(
        found.process,
        exe=f"{serving.release_folder}/bin/llama-server",
        exe_sha256=SERVER_SHA256,
        uid=998,
        argv=tuple(word for flag in serving.argv for word in flag.split()),
        environ={"BRAMBLE_PLAN": serving.plan_id},
    )
    return replace(found, process=process)


def _system(board: Board) -> System:
    return System(
        os_id="debian",
        codename=board.codename,
        rpi_issue="Raspberry Pi reference 2025-05-13",
        architecture=board.architecture,
        long_bit=64,
        page_size=board.page_size,
        machine="aarch64",
        kernel="6.12.25+rpt-rpi-2712",
        cores=board.cores,
        cpu_part=board.cpu_part,
        cpu_features=board.cpu_features,
        boot_id="6b229fa2-d2fb-4f1c-a460-931ee6b6ce3a",
        hostname="pi5-a",
    )


def with_file(look: Snapshot, path: str, seen: FileState | Unknown | None) -> Snapshot:
    """The same look, but for what stands at one path."""
    assert isinstance(look.files, Mapping)
    return replace(look, files={**look.files, path: seen})


def with_boot(look: Snapshot, **changes: Any) -> Snapshot:
    """The same look, but for some of what the firmware and the kernel were told."""
    assert isinstance(look.boot, Boot)
    return replace(look, boot=replace(look.boot, **changes))


def with_command(look: Snapshot, line: str, said: Output | Unknown | None) -> Snapshot:
    """The same look, but for what one command said."""
    assert isinstance(look.commands, Mapping)
    return replace(look, commands={**look.commands, line: said})


def with_unit(look: Snapshot, **changes: Any) -> Snapshot:
    """The same look, but for some properties of the service's unit."""
    return with_unit_named(look, UNIT, **changes)


def with_unit_named(look: Snapshot, name: str, **changes: Any) -> Snapshot:
    """The same look, but for some properties of a unit."""
    unit = look.unit(name)
    assert isinstance(unit, Unit)
    assert isinstance(look.units, Mapping)
    return replace(look, units={**look.units, name: replace(unit, **changes)})


def with_process(look: Snapshot, **changes: Any) -> Snapshot:
    """The same look, but for some properties of the service's process."""
    process = look.process(UNIT)
    assert isinstance(process, Process)
    return with_unit(look, process=replace(process, **changes))


def with_answer(look: Snapshot, url: str, answer: Answer | Unknown) -> Snapshot:
    """The same look, but for the answer of one URL."""
    assert isinstance(look.http, Mapping)
    return replace(look, http={**look.http, url: answer})


def in_container(look: Snapshot) -> Snapshot:
    """The same look from inside of a container, which sees its host's hardware."""
    return with_command(look, DETECT, Output(0, "systemd-nspawn\n"))
