"""The parsers, on recorded outputs of real systems (recorded/README.md) and on what is nonsense."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from bramble.system import parse
from tests.unit.looks import recorded

CONTAINER = "container-bookworm-amd64"


def test_os_release_gives_its_variables_without_quotes():
    release = parse.os_release(recorded(f"os-release.{CONTAINER}.txt"))
    assert release["ID"] == "debian"
    assert release["VERSION_CODENAME"] == "bookworm"
    assert release["PRETTY_NAME"] == "Debian GNU/Linux 12 (bookworm)"


def test_os_release_may_hold_comments_and_escapes():
    release = parse.os_release("# a comment\n\nNAME='Joe'\\''s'\nID=raspbian\n")
    assert release == {"NAME": "Joe's", "ID": "raspbian"}


@pytest.mark.parametrize(
    ("file", "part", "has", "lacks"),
    [
        ("cpuinfo.pi4-bookworm-arm64.txt", "0xd08", "crc32", "asimddp"),
        ("cpuinfo.pi5-trixie-arm64.txt", "0xd0b", "asimddp", "i8mm"),
        ("cpuinfo.pi4-buster-armhf.txt", "0xd08", "neon", "asimd"),
        (f"cpuinfo.{CONTAINER}.txt", None, "avx2", "asimd"),
    ],
)
def test_cpuinfo_tells_the_part_and_the_features(file, part, has, lacks):
    cpu = parse.cpuinfo(recorded(file))
    assert cpu.part == part
    assert has in cpu.features
    assert lacks not in cpu.features


def test_the_a72_of_a_pi_4_has_exactly_these_features():
    cpu = parse.cpuinfo(recorded("cpuinfo.pi4-bookworm-arm64.txt"))
    assert cpu.features == {"fp", "asimd", "evtstrm", "crc32", "cpuid"}


def test_meminfo_gives_kib_by_name():
    memory = parse.meminfo(recorded("meminfo.pi4-bookworm-arm64.txt"))
    assert memory["MemTotal"] == 3882988
    assert memory["Active(anon)"] == 241404
    assert memory["CmaTotal"] == 524288


def test_meminfo_leaves_out_what_is_no_amount():
    text = recorded(f"meminfo.{CONTAINER}.txt")
    assert "HugePages_Total" in text
    memory = parse.meminfo(text)
    assert "HugePages_Total" not in memory
    assert memory["MemTotal"] == 24730032


def test_mountinfo_of_a_container_has_its_overlay_as_root():
    mounts = parse.mountinfo(recorded(f"mountinfo.{CONTAINER}.txt"))
    assert (mounts[0].target, mounts[0].fstype, mounts[0].source) == ("/", "overlay", "overlay")
    assert "noatime" in mounts[0].options
    assert len(mounts) == len(recorded(f"mountinfo.{CONTAINER}.txt").splitlines())


def test_mountinfo_joins_the_mounts_flags_with_the_superblocks():
    mounts = {m.target: m for m in parse.mountinfo(recorded("mountinfo.pi-ubuntu-arm64.txt"))}
    assert mounts["/"] == parse.Mount("/", "ext4", "/dev/sda2", ("rw", "relatime"))
    boot = mounts["/boot/firmware"]
    assert (boot.fstype, boot.source) == ("vfat", "/dev/sda1")
    assert {"relatime", "errors=remount-ro"} <= set(boot.options)
    assert mounts["/run/snapd/ns/lxd.mnt"].fstype == "nsfs"  # it has no optional field


def test_mountinfo_gives_paths_as_they_are():
    line = r"77 32 8:5 / /mnt/My\040Drive\134x rw,noatime - ext4 /dev/sd\040d1 rw"
    (mount,) = parse.mountinfo(line)
    assert (mount.target, mount.source) == ("/mnt/My Drive\\x", "/dev/sd d1")


def test_swaps_of_a_pi_with_zram_and_a_file():
    file, zram = parse.swaps(recorded("swaps.pi4-8g-zram.txt"))
    assert file == parse.Swap("/mnt/hdd/swapfile", "file", 4194300, 867988, -2)
    assert zram == parse.Swap("/dev/zram0", "partition", 10064516, 0, 15)


def test_no_swap_is_an_empty_list():
    assert parse.swaps(recorded(f"swaps.{CONTAINER}.txt")) == ()


def test_disks_of_a_container_have_sizes_in_bytes_and_no_null_mounts():
    devices = json.loads(recorded(f"lsblk.{CONTAINER}.json"))["blockdevices"]
    loop, zram, disk = parse.disks(devices)
    assert (loop.path, loop.kind, loop.size_bytes) == ("/dev/loop1", "loop", 17179869184)
    assert (zram.path, zram.mountpoints) == ("/dev/zram0", ())
    assert "/var/cache/bramble/ccache" in disk.mountpoints
    assert disk.read_only is False


def test_a_disk_has_its_table_and_a_blank_one_or_a_whole_file_system_has_none():
    devices = json.loads(recorded("lsblk.machine-bookworm-arm64.json"))["blockdevices"]
    ssd, card = parse.disks(devices)
    assert (ssd.path, ssd.transport, ssd.table, ssd.fstype) == ("/dev/sda", "usb", None, "ext4")
    assert ssd.mountpoints == ()
    assert (card.path, card.table) == ("/dev/vda", "dos")
    assert [part.mountpoints for part in card.parts] == [("/boot/firmware",), ("/",)]


def test_a_disk_has_its_partitions():
    row = json.loads(recorded(f"lsblk.{CONTAINER}.json"))["blockdevices"][2]
    part = row | {"path": "/dev/vda1", "type": "part", "fstype": "ext4", "size": "1048576"}
    (disk,) = parse.disks([row | {"children": [part]}])
    (found,) = disk.parts
    assert (found.path, found.kind, found.fstype, found.size_bytes) == (
        "/dev/vda1",
        "part",
        "ext4",
        1048576,
    )


def test_sockets_give_addresses_without_brackets():
    found = parse.sockets(recorded(f"ss.{CONTAINER}.txt"))
    assert found == (parse.Socket("0.0.0.0", 22), parse.Socket("::", 22))


@pytest.mark.parametrize(
    ("local", "address", "port"),
    [
        ("*:8080", "*", 8080),
        ("127.0.0.53%lo:53", "127.0.0.53", 53),
        ("[::1]:631", "::1", 631),
        ("[::ffff:127.0.0.1]:8080", "::ffff:127.0.0.1", 8080),
        ("[fe80::5054:ff:fe12:3456]%eth0:546", "fe80::5054:ff:fe12:3456", 546),
    ],
)
def test_every_form_of_a_listening_address_is_read(local, address, port):
    (found,) = parse.sockets(f"LISTEN 0      128    {local} 0.0.0.0:*\n")
    assert found == parse.Socket(address, port)


@pytest.mark.parametrize(
    ("parser", "nonsense"),
    [
        (parse.cpuinfo, ""),
        (parse.cpuinfo, "processor\t: 0\n"),
        (parse.meminfo, ""),
        (parse.meminfo, "MemTotal: plenty"),
        (parse.mountinfo, ""),
        (parse.mountinfo, "a line of something else"),
        (parse.mountinfo, "77 32 8:5 / /mnt - ext4 /dev/sda1 rw"),
        (parse.mountinfo, "77 32 8:5 / /mnt rw - ext4"),
        (parse.swaps, ""),
        (parse.swaps, "swapon: command not found"),
        (parse.swaps, "Filename\tType\n/dev/zram0 partition\n"),
        (parse.sockets, "LISTEN 0 128"),
        (parse.sockets, "LISTEN 0 128 0.0.0.0:http 0.0.0.0:*"),
        (parse.disks, {}),
        (parse.disks, ""),
        (parse.os_release, "NAME='no end"),
        (parse.default_device, "RTNETLINK answers: no"),
        (parse.default_device, '{"dst": "default"}'),
        (parse.default_device, '[{"dst": "default", "metric": "low"}]'),
    ],
)
def test_nonsense_is_a_value_error_and_never_an_empty_answer(parser, nonsense):
    with pytest.raises(ValueError):  # noqa: PT011  # the parsers promise no more than its kind
        parser(nonsense)


TEXT_PARSERS = (
    parse.os_release,
    parse.cpuinfo,
    parse.meminfo,
    parse.mountinfo,
    parse.swaps,
    parse.sockets,
)


@settings(deadline=None)
@given(
    some.sampled_from(TEXT_PARSERS),
    some.text(some.sampled_from("aF0 \t\n:-=/'\"[]%,.kB"), max_size=80),
)
def test_no_text_makes_a_parser_fail_but_with_a_value_error(parser, text):
    with suppress(ValueError):
        assert parser(text) is not None


def test_properties_are_names_with_values_that_may_hold_an_equals_sign():
    said = "RuntimeWatchdogUSec=5min\nEnvironment=A=1\nEmpty=\n"
    assert parse.properties(said) == {
        "RuntimeWatchdogUSec": "5min",
        "Environment": "A=1",
        "Empty": "",
    }
    with pytest.raises(ValueError, match="no property"):
        parse.properties("Failed to connect to bus\n")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("12s", 12),
        ("1min 30s", 90),
        ("5min", 300),
        ("1h 1min", 3660),
        ("2d", 172800),
        ("7.5s", 7.5),
        ("500ms", 0.5),
        ("infinity", float("inf")),
    ],
)
def test_a_time_span_of_systemd_is_in_seconds(text, seconds):
    assert parse.timespan_s(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5", "5 min", "1min,30s", "1fortnight"])
def test_what_is_no_time_span_is_nonsense(text):
    with pytest.raises(ValueError, match="not a time span"):
        parse.timespan_s(text)


# As iproute2 prints it (ip/iproute.c, print_route); a Pi with NetworkManager has metric 100 and 600.
ROUTES = """[{"dst":"default","gateway":"192.168.1.1","dev":"wlan0","protocol":"dhcp",
  "prefsrc":"192.168.1.52","metric":600,"flags":[]},
 {"dst":"default","gateway":"192.168.1.1","dev":"eth0","protocol":"dhcp","metric":100,"flags":[]}]"""


@pytest.mark.parametrize(
    ("text", "device"),
    [
        (ROUTES, "eth0"),
        (ROUTES.replace('"metric":600,', ""), "wlan0"),
        ("[]", None),
        ("", None),
        ('[{"dst":"10.0.0.0/8","dev":"eth1"}]', None),
    ],
)
def test_the_default_route_is_the_one_with_the_least_metric(text, device):
    assert parse.default_device(text) == device
