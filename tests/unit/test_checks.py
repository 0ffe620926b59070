"""Every check, seen passing on a good node, failing on a planted fault, and unknown when it cannot tell.

A check without a planted fault proves nothing: the last tests here fail when one is added to a role
without its faults and its blind spot being added below.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType

import log_faults
import memory_faults
import owned_faults
import pytest
from good_node import (
    BEGINNING,
    CLOCK_STATE,
    CLOUD_INSTANCE,
    CLOUD_SETTINGS,
    CONFIG,
    DETECT,
    EEPROM,
    FOLDER,
    FSTAB,
    GOVERNOR,
    GOVERNOR_UNIT,
    KERNEL_LOG,
    KEY,
    KEYS,
    OURS,
    PERIODIC,
    PI5,
    ROLES,
    SHOW,
    SMOKE,
    SSD_LINES,
    SSD_LINK,
    SSD_UUID,
    SSHD_PROCESS,
    TRIP,
    UNIT,
    UPGRADES_TIMER,
    VERIFY,
    WATCHDOG,
    disk,
    good_look,
    in_container,
    link,
    node_plan,
    plain,
    with_answer,
    with_boot,
    with_command,
    with_disks,
    with_file,
    with_process,
    with_unit,
    with_unit_named,
)

from bramble.checks import (
    Check,
    Finding,
    Result,
    check,
    checks_of,
    exit_code,
    expect,
    run_all,
    skip,
    unknown,
)
from bramble.plan import NodePlan
from bramble.snapshot import Answer, Boot, FileState, Login, Output, Snapshot, Unknown
from bramble.system.parse import Mount, Socket
from bramble.system.process import Program

PLAN = node_plan()
GOOD = good_look(PLAN)
ENGINE, MODEL, SERVING = (PLAN.roles[name] for name in ("engine", "model", "serving"))
MODEL_FILE = Path(MODEL.path).name
CATALOGUE = {f"{role.name}.{found.name}": found for role in ROLES for found in role.checks}
RIGHT_ANSWER = {"answer": " 2+2 is 4.", "tokens_per_second": 9.5, "build": "b11300"}
WHY = Unknown("permission denied")
CURRENT = "/opt/bramble/engine/current"
SMOKED = f"{ENGINE.folder}/smoke.json"
STRAY = "/etc/llama.cpp/config.ini"
GATE = "/opt/bramble/engine/good.json"
PASSED = json.loads(GOOD.file(GATE).text)
PROPS = f"{SERVING.url}/props"
HEALTH = f"{SERVING.url}/health"
CONTROLLERS = "/sys/fs/cgroup/cgroup.controllers"
PRESSURE = "/proc/pressure/memory"
CONTAINER = "systemd-detect-virt --container"
CONFIG_STAMP = "/run/bramble/reboot/config.txt"
STAGED = "/boot/firmware/pieeprom.upd"
RECOVERY = "/boot/firmware/recovery.bin"
NO_BOOT = replace(GOOD, boot=WHY)


@dataclass
class Node:
    """A node that shows one look and always gives one answer."""

    snapshot: Snapshot
    answer: object = None
    plan: NodePlan = PLAN
    on_disk: object = None

    def ask(self, url, question):
        assert (url, question) == (SERVING.url, SERVING.question)
        return RIGHT_ANSWER if self.answer is None else self.answer

    def read_back(self, path):
        assert path == MODEL.path
        return self.on_disk


def clock_says(**changes: str) -> Snapshot:
    """A good look but for what is told of the clock."""
    return replace(GOOD, clock=CLOCK_STATE | changes)


def off_by(seconds: int) -> Snapshot:
    """A look at a node that no NTP server was reached from, and whose clock is ahead by this."""
    look = clock_says(NTPSynchronized="no")
    return replace(look, taken_at_s=look.taken_at_s + seconds)


def with_keys(text: str, mode: int = 0o600) -> Snapshot:
    """A good look but for the account's keys."""
    seen = replace(plain(text, mode), owner="pi", group="pi")
    return replace(GOOD, login=Login("pi", KEYS, seen))


def throttled(bits: str) -> Snapshot:
    """A good look but for what get_throttled says."""
    return with_command(GOOD, "vcgencmd get_throttled", Output(0, f"throttled={bits}\n"))


def hot(degrees: str) -> Snapshot:
    """A good look but for the temperature."""
    return with_command(GOOD, "vcgencmd measure_temp", Output(0, f"temp={degrees}'C\n"))


def watchdog_times(runtime: str, reboot: str = "5min") -> Snapshot:
    """A good look but for systemd's times."""
    said = f"RuntimeWatchdogUSec={runtime}\nRebootWatchdogUSec={reboot}\n"
    return with_command(GOOD, SHOW, Output(0, said))


def with_supply(milliamperes: int | None) -> Snapshot:
    """A good look but for the supply."""
    return replace(GOOD, device_tree=replace(GOOD.device_tree, psu_ma=milliamperes))


def with_sshd(words: str) -> Snapshot:
    """The look at an sshd that was started with more words."""
    title = SSHD_PROCESS.argv[0].replace("-D", f"-D {words}")
    return with_unit_named(GOOD, "ssh.service", process=replace(SSHD_PROCESS, argv=(title,)))


def of_board(look: Snapshot, revision: int) -> Snapshot:
    """The look at a board of another revision code."""
    return replace(look, device_tree=replace(look.device_tree, revision=revision))


def blind_vitals() -> dict[str, Snapshot]:
    """No way to the board's words on its supply and clock."""
    no_files = replace(GOOD, files=WHY)
    return {
        "neither way": with_command(no_files, "vcgencmd get_throttled", None),
        "no command": with_command(GOOD, "vcgencmd get_throttled", WHY),
    }


def mounted_with(options: str, target: str = "/mnt/ssd") -> Snapshot:
    """A good look but for the options of one mount."""
    changed = tuple(
        replace(mount, options=tuple(options.split(","))) if mount.target == target else mount
        for mount in GOOD.mounts
    )
    return replace(GOOD, mounts=changed)


NVME = replace(
    with_file(GOOD, "/dev/disk/by-id/nvme-WD_SN740_1", link("../../nvme0n1")),
    disks=(disk("/dev/nvme0n1", transport="nvme", mountpoints=("/mnt/ssd",), **OURS),),
)


def logged(*lines: str) -> Snapshot:
    """A good look but for what the kernel's log says of disks."""
    text = BEGINNING + "".join(f"{line}\n" for line in lines)
    return with_command(GOOD, KERNEL_LOG, Output(0, text))


def with_fstab(lines: str) -> Snapshot:
    """A good look but for what fstab has instead of the SSD."""
    return with_file(GOOD, "/etc/fstab", plain(f"{FSTAB}{lines}\n"))


def verified(said: str, text: str = FSTAB + SSD_LINES) -> Snapshot:
    """A good look but for an fstab and what findmnt has against it."""
    return with_command(with_file(GOOD, "/etc/fstab", plain(text)), VERIFY, Output(1, said))


def blind_ssd(**more: Snapshot) -> dict[str, Snapshot | Node]:
    """No way to the disks."""
    return {
        "no disks": replace(GOOD, disks=WHY),
        "no files": replace(GOOD, files=WHY),
        "no fstab": with_file(GOOD, "/etc/fstab", WHY),
    } | more


def started(before: str, after: str) -> Snapshot:
    """A good look but for some words of the process' arguments."""
    argv = " ".join(GOOD.process(UNIT).argv)
    assert before in argv
    return with_process(GOOD, argv=tuple(argv.replace(before, after).split()))


def with_variable(name: str) -> Snapshot:
    """A good look but for a variable in the process' environment."""
    return with_process(GOOD, variables=(*GOOD.process(UNIT).variables, name))


def with_properties(**changes: str) -> Snapshot:
    """A good look but for what systemd has of the unit in memory."""
    return with_unit(GOOD, properties={**GOOD.unit(UNIT).properties, **changes})


def with_status(**changes: str) -> Snapshot:
    """A good look but for what the kernel says of the process."""
    return with_process(GOOD, status={**GOOD.process(UNIT).status, **changes})


def without_mount(target: str) -> Snapshot:
    """A good look but for a place that the process is kept from."""
    mounts = GOOD.process(UNIT).mounts
    assert any(mount.target == target for mount in mounts)
    return with_process(GOOD, mounts=tuple(m for m in mounts if m.target != target))


def owned_by(user: str, path: str) -> Snapshot:
    """A good look but for whose one path is."""
    return with_file(GOOD, path, replace(GOOD.file(path), owner=user))


def with_mode(mode: int, path: str, group: str = "root") -> Snapshot:
    """A good look but for who may write one path."""
    return with_file(GOOD, path, replace(GOOD.file(path), mode=mode, group=group))


def answering(**answer: object) -> Node:
    return Node(GOOD, RIGHT_ANSWER | answer)


def available(mib: int) -> Snapshot:
    """A good look but for the memory that is available."""
    return replace(GOOD, memory_kib={**GOOD.memory_kib, "MemAvailable": mib * 1024})


PI4_FAN = node_plan(replace(PI5, kind="pi4"), power={"fan": {"gpio_pin": 14, "on_above_c": 55}})

# A model whose dimensions are known, as its file is on this computer.
DEMO = {
    "name": "demo",
    "url": None,
    "path": str(Path(__file__).parents[2] / "models" / "bramble-demo-q8_0.gguf"),
}
KNOWN = node_plan(model=DEMO)
TINY = replace(PI5, memory_mib=360)
SMALL, WARNED = node_plan(TINY, model=DEMO), node_plan(TINY, model={**DEMO, "fit": "warn"})


def slot_context(tokens: object) -> Answer:
    """What /props says of a slot."""
    return Answer(200, json.dumps({"default_generation_settings": {"n_ctx": tokens}}))


def of_size(size: int) -> FileState:
    """A model's file, which is never read."""
    return replace(plain(""), size_bytes=size, sha256=None, text=None)


# Each check with what makes it fail, by name.
FAULTS: dict[str, dict[str, Snapshot | Node]] = {
    "base.system_is_supported": {
        "trixie": replace(GOOD, system=replace(GOOD.system, codename="trixie")),
        "32 bits": replace(GOOD, system=replace(GOOD.system, architecture="armhf", long_bit=32)),
        "overlayroot": replace(GOOD, boot=Boot("overlayroot=tmpfs", None, None)),
        "an overlay in memory": replace(
            GOOD,
            mounts=(Mount("/", "overlay", "overlay", ("rw", "upperdir=/media/root-rw/overlay")),),
        ),
    },
    "base.packages_are_installed": {
        "one is missing": replace(GOOD, packages={**GOOD.packages, "curl": None}),
        "another role's is missing": replace(GOOD, packages={**GOOD.packages, "cmake": None}),
        "one was never heard of": replace(GOOD, packages={}),
    },
    "base.clock_is_right": {
        "NTP switched off": clock_says(NTP="no", NTPSynchronized="no"),
        "years behind": off_by(-(10**8)),
        "two minutes ahead": off_by(120),
        "no word of NTP": replace(off_by(-90), clock=WHY),
    },
    "base.dpkg_is_consistent": {
        "half installed": with_command(
            GOOD,
            "dpkg --audit",
            Output(0, "The following packages are only half installed:\n htop   a viewer\n"),
        ),
        "killed": with_file(GOOD, "/var/lib/dpkg/updates/0001", plain("")),
        "no database": with_command(GOOD, "dpkg --audit", Output(2, "")),
    },
    "base.upgrades_are_as_planned": {
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
    "base.hostname_is_as_planned": {
        "another": replace(GOOD, system=replace(GOOD.system, hostname="raspberrypi")),
        "not in hosts": with_file(GOOD, "/etc/hosts", plain("127.0.1.1\traspberrypi\n")),
        "no hosts": with_file(GOOD, "/etc/hosts", None),
    },
    "base.cloud_init_keeps_the_name": {
        "another name": with_file(
            GOOD, CLOUD_INSTANCE, plain('{"v1": {"local_hostname": "raspberrypi"}}')
        ),
    },
    "base.timezone_is_as_planned": {"another": clock_says(Timezone="Europe/London")},
    "base.keys_are_there": {
        "no file": replace(GOOD, login=Login("pi", KEYS, None)),
        "another key": with_keys("ssh-ed25519 AAAAother you\n"),
        "commented out": with_keys(f"#{KEY}\n"),
        "open to all": with_keys(f"{KEY}\n", 0o666),
        "others too": Node(
            with_keys(f"{KEY}\nssh-ed25519 AAAAother you\n"),
            plan=node_plan(base={"exclusive_keys": True}),
        ),
    },
    "base.sshd_configuration_is_valid": {
        "a broken line": with_command(GOOD, "sshd -T", Output(255, "line 3: Bad configuration"))
    },
    "base.sshd_has_its_options": {
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
    "power.fan_has_its_temperatures": {
        "the firmware's": with_file(GOOD, TRIP.format(1), plain("50000\n")),
        "no fan on a Pi 4": Node(GOOD, plan=PI4_FAN),
    },
    "power.nothing_is_overclocked": {
        "the clock": with_boot(GOOD, config_txt=f"{CONFIG}arm_freq=2800\n"),
        "no number": with_boot(GOOD, config_txt=f"{CONFIG}arm_freq=fast\n"),
        "the voltage": with_boot(GOOD, config_txt=f"{CONFIG}over_voltage_delta=50000\n"),
        "the warranty bit": with_boot(GOOD, config_txt="force_turbo=1\nover_voltage=2\n"),
        "for this model": with_boot(GOOD, config_txt="[pi5]\narm_freq=2800\n"),
        "for this type": with_boot(GOOD, config_txt="[board-type=0x17]\narm_freq=2800\n"),
        "turbo for this model": with_boot(GOOD, config_txt="[pi5]\nforce_turbo=1\n"),
        "in a file that is included": with_boot(
            GOOD, config_txt="include usercfg.txt\n", included={"usercfg.txt": "arm_freq=2800\n"}
        ),
        "the graphics": with_boot(GOOD, config_txt="gpu_freq=1000\n"),
        "the memory": with_boot(GOOD, config_txt="sdram_freq=5000\n"),
        "the least clock": with_boot(GOOD, config_txt="arm_freq_min=2800\n"),
        "a Pi 4 that is not made for 1800": Node(
            of_board(with_boot(GOOD, config_txt="arm_freq=1800\n"), 0xC03112), plan=PI4_FAN
        ),
    },
    "serving.model_fits": {
        "by its file's size": with_file(GOOD, MODEL.path, of_size(9 * 10**9)),
        "by its dimensions": Node(GOOD, plan=SMALL),
    },
    "serving.context_is_as_planned": {
        "capped": with_answer(GOOD, PROPS, slot_context(512)),
        "shared": Node(GOOD, plan=node_plan(serving={"ctx_tokens": 8192, "slots": 2})),
        "no JSON": with_answer(GOOD, PROPS, Answer(200, "<html>")),
        "JSON of another form": with_answer(GOOD, PROPS, Answer(200, "[]")),
        "no number": with_answer(GOOD, PROPS, slot_context("2048")),
    },
    "serving.memory_is_enough": {
        "too little": available(900),
        "known dimensions": Node(
            replace(good_look(KNOWN), memory_kib={"MemAvailable": 0}), plan=KNOWN
        ),
        "room for the weights but not for the context": with_unit(available(1000), process=None),
    },
    "storage.ssd_is_there": {
        "pulled out": with_file(with_disks(GOOD), SSD_LINK, None),
        "another disk in its place": with_disks(GOOD, disk("/dev/sda")),
        "not formatted": with_file(with_disks(GOOD, disk("/dev/sda")), "/etc/fstab", plain(FSTAB)),
        "read-only, and needed": Node(
            with_disks(GOOD, disk("/dev/sda", read_only=True, **OURS)),
            plan=node_plan(storage={"ssd": {"required": True}}),
        ),
        "a network's file system in its place, and needed": Node(
            with_fstab("nas:/models /mnt/ssd nfs4 _netdev 0 0"),
            plan=node_plan(storage={"ssd": {"required": True}}),
        ),
        "a disk in fstab that is away": with_file(
            with_disks(GOOD),
            "/etc/fstab",
            plain(f'{FSTAB}UUID="{SSD_UUID}" /mnt/ssd ext4 nofail\n'),
        ),
    },
    "storage.ssd_is_mounted_by_its_uuid": {
        "not mounted": with_disks(GOOD, disk("/dev/sda", **OURS)),
        "by its name": with_file(
            GOOD, "/etc/fstab", plain(f"{FSTAB}/dev/sda /mnt/ssd ext4 nofail 0 2\n")
        ),
        "not in fstab": with_file(GOOD, "/etc/fstab", plain(FSTAB)),
    },
    "storage.ssd_options_are_in_force": {
        "an older fstab": with_unit_named(GOOD, "mnt-ssd.mount", needs_reload=True),
        "access times": mounted_with("rw,relatime"),
        "a boot needs it": with_unit_named(
            GOOD, "mnt-ssd.mount", properties={"RequiredBy": "local-fs.target"}
        ),
        "not mounted": with_disks(GOOD, disk("/dev/sda", **OURS)),
    },
    "storage.ssd_is_writable": {
        "read-only": mounted_with("ro,noatime"),
        "errors that ext4 counted": with_file(GOOD, "/sys/fs/ext4/sda/errors_count", plain("3\n")),
        "not mounted": with_disks(GOOD, disk("/dev/sda", **OURS)),
    },
    "storage.ssd_had_no_errors": {
        "an error of ext4": logged("EXT4-fs error (device sda): ext4_find_entry:1683: inode #2"),
        "a read that failed": logged("blk_update_request: I/O error, dev sda, sector 2048 op 0x0"),
        "a write that failed": logged(
            "Buffer I/O error on dev sda, logical block 2129920, lost sync page write"
        ),
        "an NVMe that resets": with_command(
            NVME,
            KERNEL_LOG,
            Output(0, "nvme nvme0: controller is down; will reset: CSTS=0xffffffff\n"),
        ),
        "a journal that was aborted": logged("Aborting journal on device sda-8."),
        "a file system that was remounted": logged(
            "EXT4-fs (sda): Remounting filesystem read-only"
        ),
    },
    "storage.other_disks_had_no_errors": {
        "a card that fails": logged("mmcblk0: error -110 sending status command, retrying"),
        "a disk that is gone": logged("I/O error, dev sdb, sector 0 op 0x0:(READ) flags 0x0"),
        "errors that ext4 counted on the card": with_file(
            GOOD, "/sys/fs/ext4/mmcblk0p2/errors_count", plain("2\n")
        ),
    },
    "storage.ssd_has_free_space": {
        "nearly full": replace(GOOD, free_bytes={"/mnt/ssd": 1 << 30}),
        "full": replace(GOOD, free_bytes={"/mnt/ssd": 0}),
    },
    "storage.fstab_is_sound": {
        "a broken line": with_fstab("UUID=1-2 /mnt/x"),
        "a line without its type": with_fstab("UUID=1-2 /mnt/x rw,noatime,nofail 0 2"),
        "a blank in the options": with_fstab("UUID=1-2 /mnt/x ext4 nofail, noatime 0 2"),
        "two lines for one folder": with_fstab("tmpfs /tmp tmpfs rw\ntmpfs /tmp/ tmpfs ro"),
        "one swap in two lines": with_fstab("UUID=1 none swap sw\nUUID=1 none swap pri=5"),
        "a disk that is not there": verified(
            "/srv\n   [E] unreachable on boot required source: UUID=1-2\n",
            f"{FSTAB}UUID=1-2 /srv ext4 defaults 0 2\n",
        ),
        "no fstab": with_file(GOOD, "/etc/fstab", None),
    },
    "storage.root_has_no_access_times": {"access times": mounted_with("rw,relatime", "/")},
    "storage.usb_disk_is_not_reset": {
        "a reset": logged("usb 2-1: reset SuperSpeed USB device number 2 using xhci_hcd"),
        "an aborted command": logged(
            "sd 0:0:0:0: [sda] tag#5 uas_eh_abort_handler 0 uas-tag 6 inflight: CMD OUT"
        ),
        "a reset at high speed": logged(
            "usb 2-1: reset high-speed USB device number 2 using xhci_hcd"
        ),
        "a bridge that was gone": logged("usb 2-1: USB disconnect, device number 2"),
        "a reset of the bridge": logged("scsi host0: uas_eh_device_reset_handler start"),
    },
    "power.voltage_is_enough": {
        "undervoltage": throttled("0x1"),
        "and throttled": throttled("0x50005"),
    },
    "power.clock_is_not_held_down": {
        "capped": throttled("0x2"),
        "throttled": throttled("0x50005"),
        "hot": throttled("0xe0008"),
    },
    "power.nothing_was_throttled_since_boot": {
        "undervoltage": throttled("0x10000"),
        "all": throttled("0xf0000"),
    },
    "power.temperature_is_moderate": {"hot": hot("84.5"), "a little too warm": hot("70.1")},
    "power.governor_is_in_force": {
        "not after the next boot": with_unit_named(GOOD, GOVERNOR_UNIT, enabled="disabled"),
        "an older unit": with_unit_named(GOOD, GOVERNOR_UNIT, needs_reload=True),
        "another": with_file(GOOD, GOVERNOR, plain("ondemand\n")),
        "another on one group": with_file(
            GOOD, GOVERNOR.replace("policy0", "policy4"), plain("powersave\n")
        ),
        "nothing that scales a Pi's clock": with_file(GOOD, GOVERNOR, None),
    },
    "power.supply_is_rated_for_a_pi_5": {"3 A": with_supply(3000)},
    "watchdog.times_are_in_force": {
        "off": watchdog_times("0"),
        "the vendor's": watchdog_times("1min", "2min"),
        "another at a reboot": watchdog_times("5min", "10min"),
        "no end": watchdog_times("infinity"),
    },
    "watchdog.device_is_armed": {
        "not armed": with_file(GOOD, f"{WATCHDOG}/state", plain("inactive\n")),
        "another time": with_file(GOOD, f"{WATCHDOG}/timeout", plain("12\n")),
        "a Pi without one": with_file(GOOD, f"{WATCHDOG}/state", None),
        "a program's": with_file(GOOD, f"{WATCHDOG}/identity", plain("Software Watchdog\n")),
    },
    "boot.kernel_has_its_parameters": {
        "not given": with_boot(GOOD, proc_cmdline="cgroup_disable=memory root=PARTUUID=1-02\n"),
        "one of two": with_boot(GOOD, proc_cmdline="psi=1\n"),
        "undone by a later one": with_boot(
            GOOD, proc_cmdline="psi=1 cgroup_enable=memory cgroup_disable=memory\n"
        ),
        "a later value": with_boot(GOOD, proc_cmdline="cgroup_enable=memory psi=1 psi=0\n"),
        "only in the file": with_boot(GOOD, proc_cmdline="root=PARTUUID=4e639091-02\n"),
    },
    "boot.cmdline_txt_is_one_line": {
        "a second line": with_boot(GOOD, cmdline_txt="root=PARTUUID=1-02\npsi=1\n"),
        "a blank line first": with_boot(GOOD, cmdline_txt="\nroot=PARTUUID=1-02\n"),
        "empty": with_boot(GOOD, cmdline_txt="\n"),
        "not there": with_boot(GOOD, cmdline_txt=None),
    },
    "boot.memory_controller_is_there": {
        "disabled": with_file(GOOD, CONTROLLERS, plain("cpuset cpu io pids\n")),
        "none at all": with_file(GOOD, CONTROLLERS, plain("")),
        "no version 2": with_file(GOOD, CONTROLLERS, None),
    },
    "boot.pressure_is_told": {"not told": with_file(GOOD, PRESSURE, None)},
    "boot.config_txt_has_the_planned_values": {
        "another value": with_boot(GOOD, config_txt="arm_freq=1800\ndtparam=pciex1_gen=3\n"),
        "a later value": with_boot(GOOD, config_txt=f"{CONFIG}arm_freq=1500\n"),
        "on some boards only": with_boot(GOOD, config_txt=CONFIG.replace("[all]", "[pi4]")),
        "commented out": with_boot(GOOD, config_txt=CONFIG.replace("arm_freq", "#arm_freq")),
        "no value": with_boot(GOOD, config_txt=""),
        "no file": with_boot(GOOD, config_txt=None),
    },
    "boot.bootloader_is_current": {
        "old": with_command(
            GOOD, "rpi-eeprom-update", Output(1, EEPROM.replace("up to date", "update available"))
        ),
        "staged": with_file(with_file(GOOD, STAGED, plain("")), RECOVERY, plain("")),
    },
    "boot.no_reboot_is_pending": {
        "config.txt was changed": with_file(GOOD, CONFIG_STAMP, plain("")),
        "cmdline.txt was changed": with_boot(GOOD, proc_cmdline="root=PARTUUID=4e639091-02\n"),
    },
    "engine.release_is_whole": {
        "no manifest": replace(
            GOOD, files={p: f for p, f in GOOD.files.items() if not p.endswith("manifest.json")}
        ),
        "no program": with_file(GOOD, f"{CURRENT}/bin/llama-server", None),
        "a damaged program": with_file(GOOD, f"{CURRENT}/bin/llama-server", plain("damaged")),
        "another program replaced": with_file(
            GOOD, f"{CURRENT}/bin/llama-bench", plain("#!/bin/sh\n", 0o755)
        ),
        "another program gone": with_file(GOOD, f"{CURRENT}/bin/llama-fit-params", None),
        "a library beside them": with_file(GOOD, f"{CURRENT}/bin/libggml.so", plain("")),
        "a link to another": with_file(GOOD, f"{CURRENT}/bin/llama-bench", link("/tmp/x")),
        "a damaged manifest": with_file(GOOD, f"{ENGINE.folder}/manifest.json", plain('{"bin')),
    },
    "engine.release_is_current": {
        "another release": with_file(GOOD, CURRENT, link("releases/000000000000")),
        "no link": with_file(GOOD, CURRENT, None),
        "a folder": with_file(GOOD, CURRENT, replace(link(""), kind="directory", target=None)),
    },
    "engine.release_has_what_was_planned": {
        "never read back": replace(
            GOOD, files={p: f for p, f in GOOD.files.items() if p != SMOKED}
        ),
        "half a record": with_file(GOOD, SMOKED, plain('{"system_info": {')),
        "another record": with_file(GOOD, SMOKED, plain('{"system_info": {"DOTPROD": "1"}}')),
        "compiled for any Arm": with_file(
            GOOD, SMOKED, plain(json.dumps(SMOKE | {"system_info": {"NEON": "1"}}))
        ),
    },
    "engine.releases_belong_to_root": {
        "the service's": owned_by("llama", "/opt/bramble/engine/releases"),
        "open to all": with_mode(0o777, "/opt/bramble/engine/current/bin"),
        "its group's": with_mode(0o775, "/opt/bramble", group="pi"),
        "what leads there": owned_by("pi", "/opt"),
    },
    "model.model_belongs_to_root": {
        "the service's folder": owned_by("llama", "/var/lib/bramble/models"),
        "the service's file": owned_by("llama", MODEL.path),
        "the service's word that it was verified": owned_by("llama", MODEL.stamp),
        "a folder open to all": with_mode(0o757, "/var/lib/bramble"),
    },
    "model.models_are_on_their_disk": {
        "on the card beside an SSD": with_file(GOOD, MODEL.folder, FOLDER),
        "on an SSD that is gone": replace(GOOD, mounts=()),
    },
    "model.model_is_the_pinned_one": {
        "not there": with_file(GOOD, MODEL.path, None),
        "another content": with_file(GOOD, MODEL.path, plain("another")),
        "never verified": with_file(GOOD, MODEL.stamp, None),
        "touched since": with_file(GOOD, MODEL.path, replace(GOOD.file(MODEL.path), mtime_ns=8)),
        "a bit flipped on the disk": Node(GOOD, on_disk="e" * 64),
        "a disk that does not read": Node(GOOD, on_disk="cannot be read: Input/output error"),
    },
    "serving.unit_is_active": {
        "stopped": with_unit(GOOD, active="inactive", sub="dead", process=None),
        "failed": with_unit(GOOD, active="failed", sub="failed", process=None),
        "restarting": with_unit(GOOD, active="activating", sub="auto-restart", process=None),
        "over": with_unit(GOOD, active="active", sub="exited", process=None),
    },
    "serving.unit_is_enabled": {
        "disabled": with_unit(GOOD, enabled="disabled"),
        "masked": with_unit(GOOD, enabled="masked"),
        "no such unit": with_unit(GOOD, enabled="", load="not-found"),
    },
    "serving.process_runs_the_plan": {
        "another context": started("--ctx-size 2048", "--ctx-size 256"),
        "an argument more": started("--metrics", "--metrics --api-key hunter2"),
        "an argument less": started("--no-slots ", ""),
        "the other way round": started("--no-ui --no-slots", "--no-slots --no-ui"),
        "an argument of its environment": with_variable("LLAMA_ARG_N_PREDICT"),
        "a key of its environment": with_variable("LLAMA_API_KEY"),
        "a library before its own": with_variable("LD_PRELOAD"),
        "another plan": with_process(GOOD, environ={"BRAMBLE_PLAN": "000000000000"}),
        "no plan": with_process(GOOD, environ={}),
        "no process": with_unit(GOOD, process=None),
        "the model file before": with_process(GOOD, gone=(PLAN.roles["model"].path,)),
        "the model file before, on the SSD": with_process(GOOD, gone=(f"/mnt/ssd/x/{MODEL_FILE}",)),
        "the model from the card": with_process(
            GOOD, models=(f"{MODEL.folder}.card/{MODEL_FILE}",)
        ),
    },
    "serving.unit_is_loaded_as_written": {
        "a drop-in": with_properties(DropInPaths=f"/etc/systemd/system/{UNIT}.d/x.conf"),
        "a drop-in for all": with_properties(DropInPaths="/etc/systemd/system/service.d/x.conf"),
        "another file": with_properties(FragmentPath=f"/run/systemd/system/{UNIT}"),
        "an older unit in memory": with_unit(GOOD, needs_reload=True),
        "homes": with_properties(ProtectHome="no"),
        "no restart": with_properties(Restart="no"),
        "last to be killed": with_properties(OOMScoreAdjust="-900"),
        "a capability": with_properties(AmbientCapabilities="cap_sys_admin"),
        "any address": with_properties(IPAddressDeny=""),
        "other calls": with_properties(SystemCallFilter="read write mount"),
        "every call": with_properties(SystemCallFilter=""),
        "all calls but one": with_properties(SystemCallFilter="~read"),
        "another user": with_properties(User="pi"),
        "a longer wait": with_properties(RestartUSec="1min 5s"),
        "not found": with_unit(GOOD, load="not-found", process=None),
    },
    "serving.sandbox_holds_the_process": {
        "new privileges": with_status(NoNewPrivs="0"),
        "every call": with_status(Seccomp="0"),
        "a capability": with_status(CapEff="0000000000200000"),
        "files for all": with_status(Umask="0022"),
        "not told": with_process(GOOD, status={}),
        "last to be killed": with_process(GOOD, oom_score_adj=-900),
        "many tasks": with_process(GOOD, tasks_max="max"),
        "systemd's own users": with_process(GOOD, own_namespaces=("mnt", "uts")),
        "no file system of its own": with_process(GOOD, mounts=GOOD.mounts),
        "homes": without_mount("/home"),
        "its temporary files": without_mount("/tmp"),
        "devices": without_mount("/dev"),
        "no process": with_unit(GOOD, process=None),
    },
    "serving.no_other_server_runs": {
        "on another port": replace(
            GOOD,
            programs={"llama-server": (Program(99, "/tmp/llama-server", "pi", "/user.slice"),)},
            sockets=(*GOOD.sockets, Socket("0.0.0.0", 9999, (99,))),
        ),
        "without a port": replace(
            GOOD,
            programs={"llama-server": (Program(9, "/opt/llama-server", "root", "/a.service"),)},
        ),
    },
    "serving.build_is_the_running_one": {
        "another path": with_process(GOOD, exe="/usr/bin/llama-server"),
        "a deleted program": with_process(GOOD, exe=f"{SERVING.program} (deleted)"),
        "another content": with_process(GOOD, exe_sha256="0" * 64),
        "no process": with_unit(GOOD, process=None),
        "no record": with_file(GOOD, f"{ENGINE.folder}/manifest.json", None),
        "a record without it": with_file(GOOD, f"{ENGINE.folder}/manifest.json", plain("{}")),
    },
    "serving.build_says_its_commit": {
        "another commit": with_answer(GOOD, PROPS, Answer(200, '{"build_info": "b1-abc"}')),
        "no build": with_answer(GOOD, PROPS, Answer(200, "{}")),
        "no JSON": with_answer(GOOD, PROPS, Answer(200, "<html>")),
        "JSON of another form": with_answer(GOOD, PROPS, Answer(200, "[]")),
        "nothing listens": with_answer(GOOD, PROPS, Answer(0, "refused")),
    },
    "serving.release_passed_the_gate": {
        "never": with_file(GOOD, GATE, None),
        "another release": with_file(GOOD, GATE, plain('{"release": "000000000000"}')),
        "another model": with_file(GOOD, GATE, plain(json.dumps(PASSED | {"model": "e" * 64}))),
        "other arguments": with_file(GOOD, GATE, plain(json.dumps(PASSED | {"argv": "0"}))),
        "another board": with_file(GOOD, GATE, plain(json.dumps(PASSED | {"board": "pi4"}))),
        "a damaged note": with_file(GOOD, GATE, plain('{"rel')),
    },
    "serving.port_is_bound_as_planned": {
        "open to the network": replace(GOOD, sockets=(Socket("0.0.0.0", SERVING.port),)),
        "open to IPv6 too": replace(GOOD, sockets=(*GOOD.sockets, Socket("::", SERVING.port))),
        "nothing listens": replace(GOOD, sockets=(Socket("0.0.0.0", 22),)),
        "somebody else's": replace(GOOD, sockets=(Socket("127.0.0.1", SERVING.port, (99,)),)),
        "somebody else too": replace(
            GOOD, sockets=(Socket("127.0.0.1", SERVING.port, (5523, 99)),)
        ),
        "another port": replace(GOOD, sockets=(Socket("127.0.0.1", SERVING.port + 1),)),
    },
    "serving.health_is_ok": {
        "loading": with_answer(GOOD, HEALTH, Answer(503, "")),
        "nothing listens": with_answer(GOOD, HEALTH, Answer(0, "refused")),
    },
    "serving.model_answers": {
        "a wrong answer": answering(answer="five"),
        "an empty answer": answering(answer="  "),
        "no server": Node(GOOD, {"problem": "URLError: refused"}),
    },
    "serving.no_stray_configuration": {
        "there": with_file(GOOD, STRAY, plain("[server]\n")),
        "a link": with_file(GOOD, STRAY, link("/tmp/x")),
    },
    "serving.process_is_unprivileged": {
        "no such user": replace(GOOD, users={"llama": None}),
        "root": replace(GOOD, users={"llama": {"uid": 0, "shell": "/usr/sbin/nologin"}}),
        "a person": replace(GOOD, users={"llama": {"uid": 1000, "shell": "/usr/sbin/nologin"}}),
        "another user's process": with_process(GOOD, uid=0),
        "no process": with_unit(GOOD, process=None),
        "one who may log in": replace(GOOD, users={"llama": {"uid": 998, "shell": "/bin/bash"}}),
    },
}

FAULTS |= log_faults.FAULTS | owned_faults.FAULTS

# Each check with what leaves it unable to tell.
BLIND_LOG = {
    "log": with_command(GOOD, KERNEL_LOG, WHY),
    "container": with_command(GOOD, DETECT, WHY),
}
BLIND: dict[str, dict[str, Snapshot | Node]] = {
    "base.system_is_supported": {"no system": replace(GOOD, system=WHY)},
    "base.packages_are_installed": {"no packages": replace(GOOD, packages=WHY)},
    "base.clock_is_right": {
        "neither clock": replace(GOOD, asked_at_s=0, clock=WHY),
    },
    "base.dpkg_is_consistent": {
        "no answer": with_command(GOOD, "dpkg --audit", WHY),
        "no files": replace(GOOD, files=WHY),
    },
    "base.upgrades_are_as_planned": {
        "no packages": replace(GOOD, packages=WHY),
        "no units": replace(GOOD, units=WHY),
        "no answer": with_command(GOOD, PERIODIC, WHY),
    },
    "base.hostname_is_as_planned": {
        "no system": replace(GOOD, system=WHY),
        "no hosts": with_file(GOOD, "/etc/hosts", WHY),
    },
    "base.cloud_init_keeps_the_name": {
        "no unit": replace(GOOD, units=WHY),
        "no settings": with_command(GOOD, CLOUD_SETTINGS, WHY),
        "no metadata": with_file(GOOD, CLOUD_INSTANCE, WHY),
    },
    "base.timezone_is_as_planned": {"no answer": replace(GOOD, clock=WHY)},
    "base.keys_are_there": {"no login": replace(GOOD, login=WHY)},
    "base.sshd_configuration_is_valid": {"no answer": with_command(GOOD, "sshd -T", WHY)},
    "base.sshd_has_its_options": {
        "no answer": with_command(GOOD, "sshd -T", WHY),
        "a broken configuration": with_command(GOOD, "sshd -T", Output(255, WHY.why)),
        "no defaults": with_file(GOOD, "/etc/default/ssh", WHY),
        "no units": replace(GOOD, units=WHY),
    },
    "power.fan_has_its_temperatures": {
        "perhaps a container": with_command(GOOD, DETECT, WHY),
        "no files": replace(GOOD, files=WHY),
        "no trip point": with_file(GOOD, TRIP.format(2), WHY),
    },
    "power.nothing_is_overclocked": {
        "no boot": NO_BOOT,
        "no device tree": replace(GOOD, device_tree=WHY),
    },
    "serving.model_fits": {"no model": with_file(GOOD, MODEL.path, WHY)},
    "serving.memory_is_enough": {
        "no units": replace(GOOD, units=WHY),
        "no memory": replace(GOOD, memory_kib=WHY),
        "no model": with_file(GOOD, MODEL.path, WHY),
    },
    "storage.ssd_is_there": blind_ssd(),
    "storage.ssd_is_mounted_by_its_uuid": blind_ssd(),
    "storage.ssd_options_are_in_force": blind_ssd(
        units=replace(GOOD, units=WHY),
        mounts=replace(GOOD, mounts=WHY),
    ),
    "storage.ssd_is_writable": blind_ssd(
        mounts=replace(GOOD, mounts=WHY),
        count=with_file(GOOD, "/sys/fs/ext4/sda/errors_count", WHY),
    ),
    "storage.ssd_had_no_errors": blind_ssd(**BLIND_LOG),
    "storage.other_disks_had_no_errors": blind_ssd(**BLIND_LOG),
    "storage.ssd_has_free_space": blind_ssd(
        mounts=replace(GOOD, mounts=WHY), free=replace(GOOD, free_bytes=WHY)
    ),
    "storage.fstab_is_sound": {
        "no files": replace(GOOD, files=WHY),
        "no answer": with_command(GOOD, VERIFY, WHY),
        "perhaps a container": with_command(GOOD, DETECT, WHY),
    },
    "storage.root_has_no_access_times": {
        "no mounts": replace(GOOD, mounts=WHY),
        "perhaps a container": with_command(GOOD, DETECT, WHY),
    },
    "storage.usb_disk_is_not_reset": blind_ssd(
        port=with_file(GOOD, "/sys/block/sda", WHY), **BLIND_LOG
    ),
    "power.voltage_is_enough": blind_vitals(),
    "power.clock_is_not_held_down": blind_vitals(),
    "power.nothing_was_throttled_since_boot": blind_vitals(),
    "power.temperature_is_moderate": {
        "no zone": with_command(
            with_file(GOOD, "/sys/class/thermal/thermal_zone0/temp", WHY),
            "vcgencmd measure_temp",
            None,
        )
    },
    "power.governor_is_in_force": {
        "no files": replace(GOOD, files=WHY),
        "no governor": with_file(GOOD, GOVERNOR, WHY),
        "perhaps a container": with_command(GOOD, DETECT, WHY),
    },
    "power.supply_is_rated_for_a_pi_5": {"no device tree": replace(GOOD, device_tree=WHY)},
    "watchdog.times_are_in_force": {
        "no commands": replace(GOOD, commands=WHY),
        "no answer": with_command(GOOD, SHOW, WHY),
        "a systemctl that failed": with_command(GOOD, SHOW, Output(1, WHY.why)),
    },
    "watchdog.device_is_armed": {
        "perhaps a container": with_command(GOOD, DETECT, WHY),
        "no files": replace(GOOD, files=WHY),
        "no state": with_file(GOOD, f"{WATCHDOG}/state", WHY),
        "no timeout": with_file(GOOD, f"{WATCHDOG}/timeout", WHY),
    },
    "boot.kernel_has_its_parameters": {"no boot": NO_BOOT},
    "boot.cmdline_txt_is_one_line": {"no boot": NO_BOOT},
    "boot.memory_controller_is_there": {
        "no boot": NO_BOOT,
        "no files": replace(GOOD, files=WHY),
        "perhaps a container": with_command(GOOD, CONTAINER, WHY),
        "no controllers": with_file(GOOD, CONTROLLERS, WHY),
    },
    "boot.pressure_is_told": {
        "no boot": NO_BOOT,
        "no files": replace(GOOD, files=WHY),
        "perhaps a container": with_command(GOOD, CONTAINER, WHY),
        "no pressure": with_file(GOOD, PRESSURE, WHY),
    },
    "boot.config_txt_has_the_planned_values": {"no boot": NO_BOOT},
    "boot.bootloader_is_current": {
        "no boot": NO_BOOT,
        "no commands": replace(GOOD, commands=WHY),
        "no answer": with_command(GOOD, "rpi-eeprom-update", WHY),
        "no files": replace(GOOD, files=WHY),
        "perhaps staged": with_file(GOOD, STAGED, WHY),
    },
    "boot.no_reboot_is_pending": {
        "no boot": NO_BOOT,
        "no files": replace(GOOD, files=WHY),
        "no stamp": with_file(GOOD, CONFIG_STAMP, WHY),
    },
    "engine.release_is_whole": {
        "no files": replace(GOOD, files=WHY),
        "no manifest": with_file(GOOD, f"{ENGINE.folder}/manifest.json", WHY),
        "no program": with_file(GOOD, f"{CURRENT}/bin/llama-server", WHY),
    },
    "engine.release_is_current": {
        "no files": replace(GOOD, files=WHY),
        "no link": with_file(GOOD, CURRENT, WHY),
    },
    "engine.release_has_what_was_planned": {
        "no files": replace(GOOD, files=WHY),
        "no record": with_file(GOOD, SMOKED, WHY),
    },
    "engine.releases_belong_to_root": {
        "no files": replace(GOOD, files=WHY),
        "no folder": with_file(GOOD, "/opt/bramble", WHY),
    },
    "model.model_belongs_to_root": {
        "no files": replace(GOOD, files=WHY),
        "no folder": with_file(GOOD, "/var/lib/bramble/models", WHY),
    },
    "model.models_are_on_their_disk": {
        "no folder": with_file(GOOD, MODEL.folder, WHY),
        "no mounts": replace(GOOD, mounts=WHY),
    },
    "model.model_is_the_pinned_one": {
        "no files": replace(GOOD, files=WHY),
        "no model": with_file(GOOD, MODEL.path, WHY),
        "no stamp": with_file(GOOD, MODEL.stamp, WHY),
        "not read back": Node(GOOD, on_disk=WHY),
    },
    "serving.context_is_as_planned": {"no answer": with_answer(GOOD, PROPS, WHY)},
    "serving.unit_is_active": {"no units": replace(GOOD, units=WHY)},
    "serving.unit_is_enabled": {"no units": replace(GOOD, units=WHY)},
    "serving.process_runs_the_plan": {
        "no units": replace(GOOD, units=WHY),
        "no process": with_unit(GOOD, process=WHY),
    },
    "serving.unit_is_loaded_as_written": {"no units": replace(GOOD, units=WHY)},
    "serving.sandbox_holds_the_process": {
        "no units": replace(GOOD, units=WHY),
        "no process": with_unit(GOOD, process=WHY),
    },
    "serving.no_other_server_runs": {
        "no programs": replace(GOOD, programs=WHY),
        "no sockets": replace(GOOD, sockets=WHY),
    },
    "serving.build_is_the_running_one": {
        "no units": replace(GOOD, units=WHY),
        "no process": with_unit(GOOD, process=WHY),
        "no files": replace(GOOD, files=WHY),
    },
    "serving.build_says_its_commit": {
        "no URLs": replace(GOOD, http=WHY),
        "no answer": with_answer(GOOD, PROPS, WHY),
    },
    "serving.release_passed_the_gate": {
        "no files": replace(GOOD, files=WHY),
        "no note": with_file(GOOD, GATE, WHY),
    },
    "serving.port_is_bound_as_planned": {"no sockets": replace(GOOD, sockets=WHY)},
    "serving.health_is_ok": {
        "no URLs": replace(GOOD, http=WHY),
        "no answer": with_answer(GOOD, HEALTH, WHY),
    },
    "serving.model_answers": {"nobody to ask": Node(GOOD, WHY)},
    "serving.no_stray_configuration": {
        "no files": replace(GOOD, files=WHY),
        "no file": with_file(GOOD, STRAY, WHY),
    },
    "serving.process_is_unprivileged": {
        "no users": replace(GOOD, users=WHY),
        "no units": replace(GOOD, units=WHY),
        "no process": with_unit(GOOD, process=WHY),
    },
}

BLIND |= log_faults.BLIND | owned_faults.BLIND

UNTOLD = with_command(GOOD, "vcgencmd get_throttled", None)
NO_CPUFREQ = with_file(GOOD, GOVERNOR, None)
COLD = with_command(GOOD, "vcgencmd measure_temp", None)
NO_ZONE = with_file(COLD, "/sys/class/thermal/thermal_zone0/temp", None)
MINI_PC = node_plan(replace(PI5, kind="other", model="not a Raspberry Pi"))

NO_SSD = replace(with_file(with_disks(GOOD), SSD_LINK, None), free_bytes={})
NO_SSD = with_file(NO_SSD, "/etc/fstab", plain(FSTAB))
SSD_OFF = Node(GOOD, plan=node_plan(storage={"ssd": {"device": "off"}}))
WITHOUT_SSD = ((NO_SSD, "no USB or NVMe disk"), (SSD_OFF, "storage.ssd.device is off"))
# Each check that does not apply to every node, with nodes that it does not apply to, and the reason.
SKIPPED: dict[str, tuple[tuple[Snapshot | Node, str], ...]] = {
    "base.upgrades_are_as_planned": (
        (Node(GOOD, plan=node_plan(base={"unattended_upgrades": None})), "they are on"),
    ),
    "base.hostname_is_as_planned": (
        (Node(GOOD, plan=node_plan(base={"hostname": None})), "not set"),
    ),
    "base.cloud_init_keeps_the_name": (
        (Node(GOOD, plan=node_plan(base={"hostname": None})), "not set"),
        (with_file(GOOD, "/etc/cloud/cloud-init.disabled", plain("")), "or it is off"),
        (with_unit_named(GOOD, "cloud-init.service", load="not-found"), "there is no cloud-init"),
        (with_unit_named(GOOD, "cloud-init.service", enabled="masked"), "or it is off"),
    ),
    "base.timezone_is_as_planned": (
        (Node(GOOD, plan=node_plan(base={"timezone": None})), "it is Europe/Vienna"),
    ),
    "base.keys_are_there": ((Node(GOOD, plan=node_plan(base={"authorized_keys": []})), "empty"),),
    "base.sshd_configuration_is_valid": ((with_command(GOOD, "sshd -T", None), "no sshd"),),
    "base.sshd_has_its_options": ((Node(GOOD, plan=node_plan(base={"ssh": {}})), "sets nothing"),),
    "power.fan_has_its_temperatures": (
        (in_container(GOOD), "a container (systemd-nspawn)"),
        (Node(GOOD, plan=node_plan(power={"fan": {}})), "sets nothing for this board"),
        (Node(GOOD, plan=MINI_PC), "sets nothing for this board"),
    ),
    "power.nothing_is_overclocked": (
        (with_boot(GOOD, config_txt=None), "no Raspberry Pi 4 or 5 with a config.txt"),
        (Node(GOOD, plan=MINI_PC), "no Raspberry Pi 4 or 5 with a config.txt"),
    ),
    "serving.model_fits": (
        (with_file(GOOD, MODEL.path, None), "there is no"),
        (Node(GOOD, plan=WARNED), "model.fit is warn; it takes"),
    ),
    "serving.memory_is_enough": ((with_file(GOOD, MODEL.path, None), "there is no"),),
    "storage.ssd_is_there": WITHOUT_SSD,
    "storage.ssd_is_mounted_by_its_uuid": WITHOUT_SSD,
    "storage.ssd_options_are_in_force": WITHOUT_SSD,
    "storage.ssd_is_writable": WITHOUT_SSD,
    "storage.ssd_had_no_errors": (
        *WITHOUT_SSD,
        (in_container(GOOD), "a container (systemd-nspawn)"),
    ),
    "storage.other_disks_had_no_errors": ((in_container(GOOD), "a container (systemd-nspawn)"),),
    "storage.ssd_has_free_space": WITHOUT_SSD,
    "storage.root_has_no_access_times": (
        (in_container(GOOD), "a container (systemd-nspawn): the root is its host's"),
    ),
    "storage.usb_disk_is_not_reset": (
        *WITHOUT_SSD,
        (in_container(GOOD), "a container (systemd-nspawn)"),
        (NVME, "does not hang on USB"),
    ),
    "power.voltage_is_enough": ((Node(UNTOLD, plan=MINI_PC), "no Raspberry Pi"),),
    "power.clock_is_not_held_down": ((Node(UNTOLD, plan=MINI_PC), "no Raspberry Pi"),),
    "power.nothing_was_throttled_since_boot": ((Node(UNTOLD, plan=MINI_PC), "no Raspberry Pi"),),
    "power.temperature_is_moderate": ((Node(NO_ZONE, plan=MINI_PC), "no Raspberry Pi"),),
    "power.governor_is_in_force": (
        (in_container(GOOD), "a container (systemd-nspawn)"),
        (Node(NO_CPUFREQ, plan=MINI_PC), "no cpufreq"),
        (Node(NO_CPUFREQ, plan=node_plan(power={"governor": None})), "no cpufreq"),
        (Node(GOOD, plan=node_plan(power={"governor": None})), "it is performance"),
    ),
    "power.supply_is_rated_for_a_pi_5": (
        (Node(with_supply(None), plan=MINI_PC), "only a Pi 5 tells"),
    ),
    "watchdog.device_is_armed": (
        (in_container(GOOD), "a container (systemd-nspawn) has no watchdog of its own"),
        (
            Node(with_file(GOOD, f"{WATCHDOG}/state", None), plan=MINI_PC),
            f"there is no {WATCHDOG}",
        ),
    ),
}
SKIPPED |= {
    name: tuple((Node(look, plan=plan), why) for look, plan, why in several)
    for name, several in (log_faults.SKIPPED | owned_faults.SKIPPED).items()
}


def at(seen: Snapshot | tuple[Snapshot, NodePlan]) -> Snapshot | Node:
    """A look, or a node with a plan of its own."""
    return Node(seen[0], plan=seen[1]) if isinstance(seen, tuple) else seen


for table, more in ((FAULTS, memory_faults.FAULTS), (BLIND, memory_faults.BLIND)):
    table |= {
        name: {case: at(seen) for case, seen in cases.items()} for name, cases in more.items()
    }
SKIPPED |= {
    name: tuple((at(seen), reason) for seen, reason in cases)
    for name, cases in memory_faults.SKIPPED.items()
}


def found(name: str, seen: Snapshot | Node) -> Finding:
    """What one check finds on a node, by its own word and not by its severity."""
    node = seen if isinstance(seen, Node) else Node(seen)
    return CATALOGUE[name].run(node.plan.roles[CATALOGUE[name].role], node)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_check_passes_on_a_good_node(name):
    finding = found(name, GOOD)
    assert (finding.status, finding.remedy) == ("pass", "")
    assert finding.want
    assert finding.got


@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name in FAULTS for fault in FAULTS[name]]
)
def test_every_check_fails_on_its_fault_and_says_what_to_do(name, fault):
    finding = found(name, FAULTS[name][fault])
    assert finding.status == "fail"
    assert finding.want
    assert finding.got
    assert finding.remedy.endswith(".") or "systemctl" in finding.remedy


@pytest.mark.parametrize("said", [Output(1, ""), Output(0, "usb 9-9: reset\n")])
@pytest.mark.parametrize(
    "name",
    ["ssd_had_no_errors", "other_disks_had_no_errors", "usb_disk_is_not_reset"],
)
def test_a_kernels_log_that_is_not_whole_proves_nothing(name, said):
    finding = found(f"storage.{name}", with_command(GOOD, KERNEL_LOG, said))
    assert (finding.status, finding.got) == (
        "fail",
        "none known, but the journal no longer has the beginning of this boot",
    )


def test_a_file_system_whose_errors_nobody_counts_is_not_told_as_sound():
    look = with_file(GOOD, "/sys/fs/ext4/sda/errors_count", None)
    finding = found("storage.ssd_is_writable", look)
    assert (finding.status, finding.got) == ("unknown", "the kernel counts no errors of /dev/sda")


@pytest.mark.parametrize(
    ("name", "blind"), [(name, blind) for name in BLIND for blind in BLIND[name]]
)
def test_every_check_says_when_it_could_not_tell_and_why(name, blind):
    finding = found(name, BLIND[name][blind])
    assert (finding.status, finding.got) == ("unknown", WHY.why)
    assert finding.want
    assert finding.remedy


@pytest.mark.parametrize(
    ("name", "number"), [(name, n) for name in SKIPPED for n in range(len(SKIPPED[name]))]
)
def test_a_check_that_does_not_apply_is_skipped_with_the_reason_and_never_passed(name, number):
    seen, reason = SKIPPED[name][number]
    finding = found(name, seen)
    assert finding.status == "skip"
    assert reason in finding.got


def test_a_release_that_did_not_tell_its_features_is_neither_passed_nor_failed():
    silent = with_file(GOOD, SMOKED, plain(json.dumps(SMOKE | {"system_info": None})))
    finding = found("engine.release_has_what_was_planned", silent)
    assert (finding.status, finding.want) == ("unknown", "system_info with DOTPROD")
    assert finding.got == "llama-server told no system_info at its smoke test"
    assert f"Remove {SMOKED} and run the deploy again" in finding.remedy


def test_what_a_release_computes_with_is_told_with_the_kernels_that_were_chosen():
    told = SMOKE | {"kleidiai": {"q4": "DOTPROD"}, "buffers": ["CPU_KLEIDIAI"]}
    finding = found(
        "engine.release_has_what_was_planned", with_file(GOOD, SMOKED, plain(json.dumps(told)))
    )
    assert finding.status == "pass"
    assert finding.got.endswith("OPENMP REPACK; KleidiAI q4 by DOTPROD, CPU_KLEIDIAI")


def test_a_setting_that_systemd_took_is_no_proof_of_a_device():
    look = in_container(with_file(GOOD, f"{WATCHDOG}/state", None))
    statuses = {
        name: found(name, look).status for name in CATALOGUE if name.startswith("watchdog.")
    }
    del statuses["watchdog.files_are_as_written"]
    assert statuses == {"watchdog.times_are_in_force": "pass", "watchdog.device_is_armed": "skip"}


def test_a_watchdog_that_is_planned_off_must_be_inactive():
    plan = node_plan(watchdog={"enabled": False})
    off = with_file(GOOD, f"{WATCHDOG}/state", plain("inactive\n"))
    assert found("watchdog.device_is_armed", Node(off, plan=plan)).status == "pass"
    assert found("watchdog.device_is_armed", Node(GOOD, plan=plan)).status == "fail"


def test_every_check_of_the_catalogue_has_a_planted_fault():
    assert set(FAULTS) == set(CATALOGUE)
    assert all(FAULTS.values())


def test_every_check_of_the_catalogue_has_a_blind_spot():
    assert set(BLIND) == set(CATALOGUE)
    assert all(BLIND.values())


def test_every_check_says_in_a_sentence_what_it_proves():
    for name, one in CATALOGUE.items():
        assert one.proves.endswith("."), name
        assert one.severity in ("stop", "warn"), name


def test_no_two_checks_have_the_same_name():
    every = [c for role in ROLES for c in role.checks]
    assert len(every) == len(CATALOGUE)


def test_the_port_may_be_open_where_the_plan_says_so():
    plan = node_plan(serving={"host": "0.0.0.0"})
    one = CATALOGUE["serving.port_is_bound_as_planned"]
    assert one.run(plan.roles["serving"], Node(good_look(plan))).status == "pass"


def test_an_answer_that_is_not_the_expected_one_may_be_right_and_the_expectation_wrong():
    found = CATALOGUE["serving.model_answers"].run(SERVING, Node(GOOD, {"answer": "four"}))
    assert found.remedy.startswith("If that is right, set serving.expect to a part of it. If not: ")
    found = CATALOGUE["serving.model_answers"].run(SERVING, Node(GOOD, {"answer": ""}))
    assert found.remedy.startswith("The file or the build is broken")


def test_any_answer_will_do_where_none_is_expected():
    plan = node_plan(serving={"expect": None})
    one = CATALOGUE["serving.model_answers"]
    node = Node(GOOD, RIGHT_ANSWER | {"answer": "five"})
    assert one.run(plan.roles["serving"], node).status == "pass"


def test_a_small_model_is_believed_by_the_hash_of_this_look():
    small = replace(plain("x"), sha256=MODEL.sha256)
    finding = found("model.model_is_the_pinned_one", with_file(GOOD, MODEL.path, small))
    assert (finding.status, finding.got) == ("pass", "hashed now")


def test_a_model_that_was_read_back_is_believed_by_that_alone():
    deep = Node(with_file(GOOD, MODEL.stamp, None), on_disk=MODEL.sha256)
    finding = found("model.model_is_the_pinned_one", deep)
    assert (finding.status, finding.got) == ("pass", "the disk has it")


def test_a_model_that_is_not_there_is_not_read_back():
    seen = Node(with_file(GOOD, MODEL.path, None), on_disk=AssertionError())
    assert "is not there" in found("model.model_is_the_pinned_one", seen).got


# Running them


def run_one(finding: Finding, severity: str = "stop") -> Result:
    one = Check("base", "toy", severity, "Proves.", lambda plan, node: finding)
    (result,) = run_all(Node(GOOD), (one,))
    return result


def test_a_failure_of_severity_warn_only_warns():
    failing = Finding("fail", "a", "b", "c")
    assert run_one(failing, "warn").status == "warn"
    assert run_one(failing, "stop").status == "fail"


@pytest.mark.parametrize("status", ["pass", "skip", "unknown"])
def test_severity_changes_nothing_but_failures(status):
    assert run_one(Finding(status, "a", "b"), "warn").status == status


def test_a_stray_configuration_only_warns():
    results = run_all(Node(with_file(GOOD, STRAY, plain("x"))), tuple(CATALOGUE.values()))
    assert {r.check: r.status for r in results if r.status != "pass"} == {
        "no_stray_configuration": "warn"
    }
    assert exit_code(results) == 0


def test_results_are_in_the_catalogues_order_and_name_host_and_role():
    results = run_all(Node(GOOD), tuple(CATALOGUE.values()))
    assert [f"{r.role}.{r.check}" for r in results] == list(CATALOGUE)
    assert {r.host for r in results} == {"pi5-a"}


def test_checks_of_a_role_that_the_plan_lacks_do_not_run():
    plan = replace(PLAN, roles={"base": PLAN.roles["base"]})
    results = run_all(Node(GOOD, plan=plan), tuple(CATALOGUE.values()))
    assert {r.role for r in results} == {"base"}


def test_a_result_has_exactly_the_documented_json_form():
    shown = run_one(Finding("fail", "a", "b", "c")).as_dict()
    assert list(shown) == ["host", "role", "check", "status", "want", "got", "remedy"]
    assert json.loads(json.dumps(shown)) == shown
    assert [item.name for item in fields(Result)] == list(shown)


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ((), 0),
        (("pass", "warn", "skip"), 0),
        (("pass", "fail"), 1),
        (("pass", "unknown"), 3),
        (("unknown", "fail"), 1),
    ],
)
def test_the_exit_code_tells_failed_from_could_not_tell(statuses, code):
    assert exit_code(tuple(run_one(Finding(status, "a", "b")) for status in statuses)) == code


def test_expect_gives_a_remedy_only_where_one_is_needed():
    assert expect("a", "a", True, "do") == Finding("pass", "a", "a", "")
    assert expect("a", "b", False, "do") == Finding("fail", "a", "b", "do")


def test_skip_is_no_pass_and_says_why():
    assert skip("a", "no device") == Finding("skip", "a", "no device")


def test_unknown_says_why():
    assert unknown("a", WHY).got == WHY.why


def test_checks_of_a_module_are_its_marked_functions_in_their_order():
    def second(plan: object, node: object) -> Finding:
        """It proves two.

        And more.
        """
        return Finding("pass", "", "")

    def first(plan: object, node: object) -> Finding:
        """It proves one."""
        return Finding("pass", "", "")

    module = ModuleType("toy")
    mark: Callable[..., object] = check("warn")
    module.__dict__.update(second=mark(second), helper=len, first=check()(first), plain=plain)
    marked = checks_of("toy", module)
    assert [(c.name, c.severity, c.proves) for c in marked] == [
        ("second", "warn", "It proves two."),
        ("first", "stop", "It proves one."),
    ]


def test_a_mount_of_which_systemd_does_not_say_what_requires_it_is_unknown():
    seen = with_unit_named(GOOD, "mnt-ssd.mount", properties={})
    finding = found("storage.ssd_options_are_in_force", seen)
    assert (finding.status, finding.got) == ("unknown", "systemd did not say what requires it")
