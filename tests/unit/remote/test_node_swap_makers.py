"""Whatever a boot runs that makes zram or swap is found, by the files of packages that do it."""

import os

import pytest

from bramble.remote import swap_makers

# The unit of zram-tools 0.3.3.1.
ZRAMSWAP = """[Unit]
Description=Linux zramswap setup
[Service]
EnvironmentFile=-/etc/default/zramswap
ExecStart=/usr/sbin/zramswap start
ExecStop=/usr/sbin/zramswap stop
Type=oneshot
RemainAfterExit=true
[Install]
WantedBy=multi-user.target
"""
PLAIN = "[Service]\nType=oneshot\nExecStart={}\n"
SCRIPT = "#!/bin/sh\n# makes memory larger\nmodprobe zram num_devices=1\nmkswap /dev/zram0\n"


class Boot:
    """The folders that a boot goes by, and what is in them."""

    def __init__(self, root):
        self.root = root

    def path(self, path):
        return self.root / path.lstrip("/")

    def write(self, path, text):
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def unit(self, name, text, folder=swap_makers.LIB, target="multi-user.target.wants"):
        """A unit that a boot starts."""
        self.write(f"{folder}/{name}", text)
        wants = self.path(f"{swap_makers.ETC}/{target}")
        wants.mkdir(parents=True, exist_ok=True)
        (wants / name).symlink_to(self.path(f"{folder}/{name}"))

    def found(self):
        return {one["name"]: (one["path"], one["line"]) for one in swap_makers.look()}


@pytest.fixture
def boot(tmp_path, monkeypatch):
    made = Boot(tmp_path)
    for name in ("UNITS", "CRON"):
        paths = tuple(str(made.path(path)) for path in getattr(swap_makers, name))
        monkeypatch.setattr(swap_makers, name, paths)
    monkeypatch.setattr(swap_makers, "RULES", str(made.path(swap_makers.RULES)))
    return made


def test_a_unit_that_names_it_is_found(boot):
    boot.unit("zramswap.service", ZRAMSWAP)
    (found,) = boot.found().values()
    assert found[1] == "ExecStart=/usr/sbin/zramswap start"


@pytest.mark.parametrize("name", ["memory.service", "zz.service", "swap@1.service"])
def test_a_unit_of_any_name_is_found_by_the_script_that_it_runs(name, boot):
    script = boot.write("/opt/bin/more-memory.sh", SCRIPT)
    boot.unit(name, PLAIN.format(f"-{script} start"))
    assert boot.found() == {name: (str(script), "modprobe zram num_devices=1")}


def test_a_template_and_what_is_dropped_in_are_read(boot):
    boot.write(f"{swap_makers.LIB}/m@.service", PLAIN.format("/bin/true"))
    boot.write(
        f"{swap_makers.ETC}/m@a.service.d/x.conf", "[Service]\nExecStartPre=/sbin/mkswap /x\n"
    )
    wants = boot.path("/etc/systemd/system/multi-user.target.wants")
    wants.mkdir(parents=True)
    (wants / "m@a.service").symlink_to(boot.path(f"{swap_makers.LIB}/m@.service"))
    assert boot.found()["m@a.service"][1] == "ExecStartPre=/sbin/mkswap /x"


def test_what_a_timer_starts_is_found(boot):
    script = boot.write("/opt/later", SCRIPT)
    boot.write(f"{swap_makers.LIB}/later.service", PLAIN.format(script))
    boot.unit("later.timer", "[Timer]\nOnBootSec=10\n", target="timers.target.wants")
    assert list(boot.found()) == ["later.service"]


def test_rc_local_cron_and_udev_are_found(boot):
    local = boot.write("/etc/rc.local", "#!/bin/sh -e\nswapon /swap\nexit 0\n")
    boot.unit("rc-local.service", PLAIN.format(f"{local} start"), "/run/systemd/generator.late")
    cron = boot.write(
        "/etc/cron.d/memory", "@reboot root /sbin/swapon /s\n5 4 * * * root mkswap /x\n"
    )
    rules = '# zram\nKERNEL=="zram0", ATTR{disksize}="1G", RUN="/sbin/mkswap /dev/zram0"\n'
    udev = boot.write("/etc/udev/rules.d/99-zram.rules", rules)
    assert boot.found() == {
        "rc-local.service": (str(local), "swapon /swap"),
        str(cron): (str(cron), "@reboot root /sbin/swapon /s"),
        str(udev): (str(udev), rules.splitlines()[1]),
    }


@pytest.mark.parametrize("folder", ["/run/systemd/generator.early", "/run/systemd/generator"])
def test_swap_units_are_found_with_the_file_that_asks_for_them(boot, folder):
    text = "[Unit]\nSourcePath=/etc/fstab\n[Swap]\nWhat=/dev/disk/by-uuid/1-2\n"
    boot.unit("dev-disk.swap", text, folder, "swap.target.requires")
    boot.unit("mnt-x.swap", "[Swap]\nWhat=/mnt/x\n", swap_makers.ETC, "local-fs.target.wants")
    own = str(boot.path(f"{swap_makers.ETC}/mnt-x.swap"))
    assert boot.found() == {
        "dev-disk.swap": ("/etc/fstab", "What=/dev/disk/by-uuid/1-2"),
        "mnt-x.swap": (own, "What=/mnt/x"),
    }


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.format("/usr/bin/true"),
        "[Service]\n# zram\nExecStart=/bin/true\n",
        "[Unit]\nAfter=zram.service\n[Service]\nExecStart=/bin/true\nExecStop=/sbin/swapon -s\n",
        "[Service]\nExecStart=/no/such/script\n",
    ],
)
def test_what_makes_none_is_not_found(text, boot):
    boot.unit("x.service", text)
    assert boot.found() == {}


def test_a_unit_that_no_boot_starts_or_that_is_masked_is_not_found(boot):
    boot.write(f"{swap_makers.LIB}/zramswap.service", ZRAMSWAP)
    assert boot.found() == {}
    boot.unit("other.service", ZRAMSWAP)
    boot.path(f"{swap_makers.ETC}/other.service").symlink_to("/dev/null")
    assert boot.found() == {}


def test_a_script_that_says_so_in_a_comment_only_or_is_no_script_makes_none(boot):
    said = boot.write("/opt/a", "#!/bin/sh\n# no zram here\ntrue\n")
    data = boot.write("/opt/b", "zram\n")
    boot.unit("x.service", PLAIN.format(f"{said} {data}"))
    assert boot.found() == {}


def test_this_computers_own_units_are_read_without_an_error():
    assert isinstance(swap_makers.look(), list)
    assert os.path.isdir(swap_makers.LIB)
