"""Which disk is the SSD, why another is not, and what is done about it."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from bramble.roles.storage import disks, naming, usb
from bramble.roles.storage import plan as storage
from bramble.roles.storage.settings import Ssd
from bramble.snapshot import Snapshot, Unknown
from bramble.system.parse import Mount
from tests.unit.good_node import good_look, node_plan
from tests.unit.looks import disk, in_container, link, plain, with_disks, with_file, with_unit_named
from tests.unit.roles.power.good import GOVERNOR_UNIT
from tests.unit.roles.storage.good import FSTAB, OURS, SSD, SSD_LINES, SSD_LINK, SSD_UNIT, SSD_UUID

PLAN = node_plan()
GOOD = good_look(PLAN)
BARE = with_file(
    replace(with_disks(GOOD, disk("/dev/sda")), mounts=GOOD.mounts[:1]), "/etc/fstab", plain(FSTAB)
)
MADE = disks.uuid_of(SSD)
OTHER = "usb-SanDisk_Extreme_1234-0:0"
LINE = "/mnt/ssd ext4 defaults,noatime,nofail,x-systemd.device-timeout=90s 0 2"


def part(path, **changes):
    return disk(path, **{"kind": "part", "transport": None, **changes})


def parted(*parts, table="gpt", **changes):
    return disk("/dev/sda", table=table, parts=parts, **changes)


def with_ssd(*found: object, text: str = FSTAB) -> Snapshot:
    """A look at a node with these disks, of which nothing is mounted."""
    return with_file(with_disks(BARE, *found), "/etc/fstab", plain(text))


def chosen(look: Snapshot, **ssd: object):
    return storage.chosen(node_plan(storage={"ssd": ssd}).roles["storage"].ssd, look)


def steps(look: Snapshot, **ssd: object):
    plan = node_plan(storage={"ssd": ssd})
    return {step.name: step for step in storage.steps(plan.roles["storage"], plan, look)}


def due(look: Snapshot, **ssd: object):
    """What there is to do about disks and fstab; the logs have tests of their own."""
    before_the_logs = list(steps(look, **ssd).values())[:5]
    return [step.name for step in before_the_logs if step.why is not None]


def taken_back(look: Snapshot):
    """What is taken back of disks and fstab: the last two steps."""
    return storage.revert(PLAN.roles["storage"], PLAN, look)[-2:]


# Settings


@pytest.mark.parametrize(
    "name",
    [
        *("auto", "off", SSD, f"{SSD}-part1", "nvme-WD_SN740_123", "UUID=58F3-ACA9"),
        *("LABEL=models", "ata-Samsung_SSD_870", "wwn-0x5002538e", "usb-JMicron_A+B_0-0:0"),
    ],
)
def test_names_that_stay_with_a_disk_are_taken(name):
    assert Ssd(device=name).device == name


@pytest.mark.parametrize(
    "name",
    ["sda", "/dev/sda", "/dev/sda1", "nvme0n1", "mmcblk0", "", "UUID=", "PARTUUID=1", "usb-"],
)
def test_names_that_change_from_boot_to_boot_are_refused_with_the_reason(name):
    with pytest.raises(ValidationError, match="no name that stays with one disk") as refused:
        Ssd(device=name)
    assert "ls /dev/disk/by-id" in str(refused.value)


@pytest.mark.parametrize("name", ["/dev/sda", "UUID=1-2", f"{SSD}-part1", "auto", "yes"])
def test_only_a_whole_disk_can_be_named_for_erasing(name):
    with pytest.raises(ValidationError, match="not the name of a whole disk"):
        Ssd(erase=name)


@pytest.mark.parametrize("folder", ["/", "/etc", "mnt/ssd", "/mnt/a b", "/mnt/../etc", "/mnt/"])
def test_a_folder_of_the_system_is_no_mount_point(folder):
    with pytest.raises(ValidationError):
        Ssd(mount=folder)


# Which disk


def test_the_one_disk_that_is_mounted_there_is_the_ssd():
    found = chosen(GOOD)
    assert (found.state, found.name, found.uuid) == ("ready", SSD, SSD_UUID)


def test_a_blank_disk_is_to_be_formatted_with_a_uuid_that_follows_from_its_name():
    found = chosen(BARE)
    assert (found.state, found.name, found.uuid) == ("format", SSD, MADE)
    assert disks.uuid_of(SSD) == MADE != disks.uuid_of(OTHER)


DATA = {
    "an empty table": parted(),
    "exfat": parted(part("/dev/sda1", fstype="exfat", label="T7"), table="dos"),
    "ntfs without a table": disk("/dev/sda", fstype="ntfs"),
    "LVM": disk("/dev/sda", fstype="LVM2_member"),
    "LVM with a volume": disk(
        "/dev/sda",
        fstype="LVM2_member",
        parts=(part("/dev/mapper/v-l", kind="lvm", fstype="ext4", uuid="1-2"),),
    ),
    "RAID": parted(part("/dev/sda1", fstype="linux_raid_member")),
    "encrypted": parted(part("/dev/sda1", fstype="crypto_LUKS")),
    "two file systems": parted(
        part("/dev/sda1", fstype="vfat"), part("/dev/sda2", fstype="ext4", uuid="1-2")
    ),
    "a partition with nothing known": parted(part("/dev/sda1")),
    "btrfs": disk("/dev/sda", fstype="btrfs", uuid="1-2"),
    "swap": disk("/dev/sda", fstype="swap", uuid="1-2"),
    "ZFS": parted(part("/dev/sda1", fstype="zfs_member", uuid="1"), part("/dev/sda9")),
    "bcache": disk("/dev/sda", fstype="bcache", uuid="1-2"),
    "a journal of another's": disk("/dev/sda", fstype="jbd", uuid="1-2"),
    "multipath": disk("/dev/sda", fstype="mpath_member"),
    "a file system that nobody knows": disk("/dev/sda", fstype="newfs2030"),
}


@pytest.mark.parametrize("device", ["auto", SSD])
@pytest.mark.parametrize("kind", DATA)
def test_a_disk_with_data_is_left_alone_and_the_way_out_is_told(kind, device):
    look = with_ssd(DATA[kind])
    found = chosen(look, device=device)
    assert found.state == "refused"
    assert f"storage.ssd.erase to {SSD}" in found.why
    assert due(look, device=device) == (["Find the SSD"] if device == SSD else [])


@pytest.mark.parametrize("kind", DATA)
def test_a_disk_that_is_named_for_it_is_erased(kind):
    found = chosen(with_ssd(DATA[kind]), erase=SSD)
    assert (found.state, found.uuid) == ("format", MADE)
    query = steps(with_ssd(DATA[kind]), erase=SSD)["Format the SSD"].query
    assert (query["name"], query["erase"], query["uuid"]) == (SSD, SSD, MADE)


def test_what_is_on_a_disk_is_told():
    found = chosen(with_ssd(DATA["exfat"]), device=SSD)
    assert "holds 1 partition, exfat (T7)" in found.why


def test_a_partition_that_is_named_is_told_by_its_own_content():
    part_of = part("/dev/sda1", fstype="ntfs", label="T7", uuid="1-2", table="gpt")
    found = chosen(with_ssd(parted(part_of)), device="UUID=1-2")
    assert f"{SSD} holds ntfs (T7), and is left alone" in found.why


@pytest.mark.parametrize("fstype", ["ext4", "xfs"])
def test_a_disk_with_one_file_system_that_will_do_is_used_as_it_is(fstype):
    for one in (
        disk("/dev/sda", fstype=fstype, uuid="1-2"),
        parted(part("/dev/sda1", fstype=fstype, uuid="1-2")),
    ):
        found = chosen(with_ssd(one))
        assert (found.state, found.uuid) == ("ready", "1-2")


@pytest.mark.parametrize(
    "one", [disk("/dev/sda", **OURS), disk("/dev/sda", fstype="ext4", label="mine", uuid=MADE)]
)
def test_what_bramble_made_is_never_erased_even_when_it_was_relabelled(one):
    assert chosen(with_ssd(one), erase=SSD).state == "ready"


def test_a_person_may_have_a_file_system_erased_that_would_do():
    theirs = disk("/dev/sda", fstype="ext4", label="old", uuid="1-2")
    assert chosen(with_ssd(theirs), erase=SSD).state == "format"


@pytest.mark.parametrize("one", [disk("/dev/sda"), disk("/dev/sda", fstype="ext4", uuid="1-2")])
def test_nothing_is_touched_when_erase_names_another_disk(one):
    found = chosen(with_ssd(one), erase=OTHER)
    assert found.state == "refused"
    assert f"erase names {OTHER}, and the disk is {SSD}" in found.why
    assert due(with_ssd(one), erase=OTHER) == ["Find the SSD"]


def test_a_format_that_was_cut_off_is_done_again():
    half = disk("/dev/sda", fstype="ext4", label="bramble-new", uuid=MADE)
    assert chosen(with_ssd(half)).state == "format"


def test_what_is_mounted_is_whole_whatever_udev_says_of_its_label():
    stale = {**OURS, "label": "bramble-new", "mountpoints": ("/mnt/ssd",)}
    assert chosen(with_ssd(disk("/dev/sda", **stale))).state == "ready"


def two(first, second):
    """A look at a node with two disks, of which each has a name and a serial of its own."""
    look = with_ssd(first, replace(second, model="Extreme", serial="1234"))
    return with_file(look, f"/dev/disk/by-id/{OTHER}", link("../../sdb"))


def test_of_two_candidates_none_is_guessed():
    look = two(disk("/dev/sda"), disk("/dev/sdb", fstype="ext4", uuid="1-2"))
    found = chosen(look)
    assert found.state == "refused"
    assert f"there are 2: {SSD}, {OTHER}. Name one" in found.why
    assert due(look) == []


def test_of_two_candidates_ours_is_the_one():
    look = two(disk("/dev/sda", **OURS), disk("/dev/sdb"))
    assert chosen(look).name == SSD


def test_a_disk_that_is_named_is_the_one_of_two():
    look = two(disk("/dev/sda"), disk("/dev/sdb", fstype="ext4", label="models", uuid="1-2"))
    for device in (OTHER, "UUID=1-2", "LABEL=models"):
        assert chosen(look, device=device).name == OTHER


def test_two_disks_of_one_uuid_are_refused():
    copy = {"fstype": "ext4", "uuid": "1-2"}
    look = two(disk("/dev/sda", **copy), disk("/dev/sdb", **copy))
    assert "2 disks are UUID=1-2" in chosen(look, device="UUID=1-2").why


def test_a_disk_that_the_system_runs_from_is_never_a_candidate():
    booted = parted(part("/dev/sda2", fstype="ext4", uuid="1-2", mountpoints=("/",)))
    assert chosen(with_ssd(booted)).state == "absent"
    for changes in ({"device": SSD}, {"device": SSD, "erase": SSD}, {"device": "UUID=1-2"}):
        assert "is in use at /" in chosen(with_ssd(booted), **changes).why


def test_a_containers_hosts_disks_are_none_of_its_own():
    hosts = disk("/dev/nvme0n1", transport="nvme", fstype="ext4", label="models", uuid="1-2")
    assert chosen(in_container(with_ssd(hosts))).state == "absent"
    assert chosen(in_container(with_ssd(hosts)), device="UUID=1-2").state == "absent"


def test_a_disk_without_a_name_of_its_own_is_never_formatted():
    nameless = disk("/dev/nvme0n1", transport="nvme")
    found = chosen(with_ssd(nameless), required=True)
    assert found.state == "refused"
    assert "/dev/nvme0n1 has no name of its own below /dev/disk/by-id" in found.why
    assert due(with_ssd(nameless), erase=SSD) == ["Find the SSD"]


def test_a_disk_without_a_name_of_its_own_is_used_by_what_is_on_it():
    nameless = disk("/dev/nvme0n1", transport="nvme", fstype="ext4", label="models", uuid="1-2")
    for device in ("auto", "UUID=1-2", "LABEL=models"):
        found = chosen(with_ssd(nameless), device=device)
        assert (found.state, found.name, found.uuid) == ("ready", "/dev/nvme0n1", "1-2")


def test_a_disk_without_a_name_of_its_own_counts_where_one_is_looked_for():
    found = chosen(with_ssd(disk("/dev/sda"), disk("/dev/sdb", model="Other", serial="2")))
    assert (found.state, found.why) == (
        "refused",
        f"there are 2: {SSD}, /dev/sdb. Name one in storage.ssd.device",
    )


# Two disks with one serial: udev gives the links to one of them.

JMICRON = "usb-JMicron_Generic_0123456789ABCDEF-0:0"
TWIN = {"model": "Generic", "serial": "0123456789ABCDEF"}
MADE_FOR_TWINS = disks.uuid_of(JMICRON)


def twins(first=None, second=None, text=FSTAB):
    """A look at a node with two disks of one serial, of which the second has the name."""
    both = (disk("/dev/sda", **TWIN, **(first or {})), disk("/dev/sdb", **TWIN, **(second or {})))
    look = with_file(with_ssd(*both, text=text), SSD_LINK, None)
    return with_file(look, f"/dev/disk/by-id/{JMICRON}", link("../../sdb"))


def test_the_blank_one_of_two_with_one_serial_is_not_formatted():
    assert chosen(twins()).why == (
        f"there are 2: /dev/sda, {JMICRON}. Name one in storage.ssd.device"
    )
    for settings in ({"device": JMICRON}, {"device": JMICRON, "erase": JMICRON}):
        found = chosen(twins(), **settings)
        assert found.state == "refused"
        assert f"{JMICRON} is not the name of one disk alone: /dev/sda has the same" in found.why
    busy = twins({"fstype": "ext4", "uuid": "1-2", "mountpoints": ("/srv",)})
    assert "is not the name of one disk alone" in chosen(busy).why


def test_a_partition_link_of_another_disk_is_a_conflict():
    other = disk("/dev/sdb", parts=(part("/dev/sdb1"),), model="Other", serial=None)
    look = with_ssd(disk("/dev/sda"), other)
    look = with_file(look, f"{SSD_LINK}-part1", link("../../sdb1"))
    found = chosen(look, device=SSD)
    assert found.state == "refused"
    assert f"{SSD}-part1 is /dev/sdb1, of another disk" in found.why


def test_of_two_with_one_serial_ours_is_used_wherever_its_name_points():
    ours = {"fstype": "ext4", "label": "bramble-ssd", "uuid": MADE_FOR_TWINS}
    for settings in ({}, {"device": f"UUID={MADE_FOR_TWINS}"}):
        found = chosen(twins(ours), **settings)
        assert (found.state, found.volume.path) == ("ready", "/dev/sda")


def test_a_file_system_that_was_made_for_a_name_is_looked_for_on_every_disk():
    inside = part("/dev/sdb1", fstype="ext4", uuid=MADE)
    other = disk("/dev/sdb", transport="sata", parts=(inside,), model="X", serial="1")
    found = chosen(with_ssd(disk("/dev/sda"), other))
    assert found.state == "refused"
    assert f"/dev/sdb1 holds the file system {MADE}, which bramble made for {SSD}" in found.why


@pytest.mark.parametrize(
    "line", ["/dev/sda none swap sw 0 0", f"{SSD_LINK} /srv ext4 noauto 0 0", "/dev/sda /srv auto"]
)
def test_a_blank_disk_that_fstab_has_elsewhere_is_not_formatted(line):
    found = chosen(with_ssd(disk("/dev/sda"), text=f"{FSTAB}{line}\n"))
    assert found.state == "refused"
    assert f"/etc/fstab has {SSD} at " in found.why


@pytest.mark.parametrize("kind", ["crypt", "lvm", "mpath", "raid1", "dm"])
def test_a_file_system_that_something_holds_is_not_mounted_from_below(kind):
    held = part("/dev/mapper/held", kind=kind, fstype="ext4", uuid="3-4")
    for one in (
        disk("/dev/sda", fstype="ext4", uuid="1-2", parts=(held,)),
        parted(part("/dev/sda1", fstype="ext4", uuid="1-2", parts=(held,))),
    ):
        for device in ("auto", "UUID=1-2"):
            found = chosen(with_ssd(one), device=device)
            assert found.state == "refused"
            assert f"/dev/mapper/held ({kind}) upon it" in found.why
        found = chosen(with_ssd(one), device="UUID=3-4")
        assert f"UUID=3-4 is /dev/mapper/held ({kind})" in found.why


@pytest.mark.parametrize("transport", ["sata", "mmc", None])
def test_auto_takes_usb_and_nvme_only(transport):
    look = with_ssd(disk("/dev/sda", transport=transport))
    assert chosen(look).state == "absent"
    assert chosen(look, device=SSD).state == "format"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"size_bytes": 4 << 30}, "has 4.0 GiB, and storage.ssd.least_gib is 8"),
        ({"read_only": True}, "is read-only"),
        ({"mountpoints": ("/srv",)}, "is in use at /srv"),
    ],
)
def test_a_disk_that_cannot_be_it_is_refused_with_the_reason(changes, why):
    look = with_ssd(disk("/dev/sda", **changes))
    assert why in chosen(look, device=SSD).why
    assert due(look, device=SSD) == ["Find the SSD"]


def test_a_card_reader_without_a_card_is_no_candidate():
    assert chosen(with_ssd(disk("/dev/sda", size_bytes=0))).state == "absent"


MISSING = with_file(with_ssd(), SSD_LINK, None)


@pytest.mark.parametrize(
    ("ssd", "refused"),
    [
        ({}, False),
        ({"required": True}, True),
        ({"device": SSD}, True),
        ({"device": SSD, "required": False}, False),
        ({"erase": SSD}, True),
        ({"device": "off", "required": False}, False),
    ],
)
def test_a_missing_ssd_fails_a_node_only_where_it_is_needed(ssd, refused):
    assert due(MISSING, **ssd) == (["Find the SSD"] if refused else [])


def test_a_refusal_says_what_was_found_and_what_to_do():
    step = steps(MISSING, device=SSD)["Find the SSD"]
    assert step.program == "refuse"
    assert step.query["why"].startswith(f"The SSD cannot be used: there is no {SSD} here; ")


@pytest.mark.parametrize("part_of", ["disks", "files"])
def test_what_cannot_be_seen_is_never_guessed(part_of):
    blind = replace(BARE, **{part_of: Unknown("no sudo")})
    assert chosen(blind) == Unknown("no sudo")
    assert due(blind) == []
    assert due(blind, required=True) == ["Find the SSD"]


def test_the_most_telling_name_comes_first():
    look = BARE
    for name in ("wwn-0x5", "nvme-eui.0025", "nvme-WD_SN740_1", "ata-X"):
        look = with_file(look, f"/dev/disk/by-id/{name}", link("../../nvme0n1"))
    assert naming.names(look)["/dev/nvme0n1"] == (
        "nvme-WD_SN740_1",
        "ata-X",
        "wwn-0x5",
        "nvme-eui.0025",
    )


# fstab


def table(look: Snapshot, **ssd: object) -> str:
    return steps(look, **ssd)["Edit /etc/fstab"].query["text"]


def test_a_node_as_planned_needs_nothing():
    assert due(GOOD) == []


def test_a_blank_disk_is_formatted_named_in_fstab_and_mounted():
    assert due(BARE) == ["Format the SSD", "Edit /etc/fstab", "Mount the SSD"]
    assert table(BARE) == f"{FSTAB}{storage.COMMENT}\nUUID={MADE} {LINE}\n"
    assert steps(BARE)["Mount the SSD"].query == {
        "mounted": True,
        "folder": "/mnt/ssd",
        "uuid": MADE,
        "options": ["noatime"],
        "note": f"/var/lib/bramble/storage/formatting-{SSD}",
    }


def test_our_own_line_follows_the_settings():
    assert "device-timeout=30s" in table(GOOD, device_timeout_s=30)
    assert table(GOOD, device_timeout_s=30).count("/mnt/ssd") == 1


SOURCES = (
    *("/dev/sda", "LABEL=bramble-ssd", 'LABEL="bramble-ssd"', SSD_LINK, f"UUID={SSD_UUID.upper()}"),
    *(f"/dev/disk/by-uuid/{SSD_UUID}", "/dev/disk/by-label/bramble-ssd", "/dev/disk/by-path/usb-1"),
    *("PARTUUID=4e639091-01", "/dev/disk/by-partuuid/4e639091-01", r"PARTLABEL='my\040ssd'"),
    r"/dev/disk/by-partlabel/my\134x20ssd",
)


@pytest.mark.parametrize("source", SOURCES)
def test_a_persons_line_for_the_same_disk_gets_what_it_lacks(source):
    line = f"{source}   /mnt/ssd\tauto  noauto,user,commit=30 0 0  # mine"
    here = disk("/dev/sda", **OURS, partuuid="4e639091-01", partlabel="my ssd")
    look = with_ssd(here, text=f"{FSTAB}{line}\n")
    look = with_file(look, "/dev/disk/by-path/usb-1", link("../../sda"))
    assert table(look) == (
        f"{FSTAB}UUID={SSD_UUID}   /mnt/ssd\tauto  user,commit=30,noatime,nofail,"
        "x-systemd.device-timeout=90s 0 0  # mine\n"
    )


@pytest.mark.parametrize("source", [f'UUID="{SSD_UUID}"', f"UUID='{SSD_UUID}'", f"UUID={SSD_UUID}"])
def test_a_persons_line_by_uuid_is_right_with_and_without_quotes(source):
    options = "defaults,noatime,nofail,x-systemd.device-timeout=9s"
    look = with_file(GOOD, "/etc/fstab", plain(f"{FSTAB}{source} /mnt/ssd ext4 {options} 0 2\n"))
    assert chosen(look).state == "ready"
    assert due(look) == []


def test_a_persons_line_with_another_type_gets_the_one_that_is_there():
    text = f"{FSTAB}UUID={SSD_UUID} /mnt/ssd exfat noatime,nofail,x-systemd.device-timeout=9s\n"
    assert table(with_ssd(disk("/dev/sda", **OURS), text=text)) == text.replace("exfat", "ext4")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"UUID={SSD_UUID} /mnt/ssd rw,noatime 0 2", "its type is missing: rw is an option"),
        (
            f"UUID={SSD_UUID} /mnt/ssd ext4 defaults, noatime 0 2",
            "noatime stands where a number should; is there a blank in its options?",
        ),
        (f"UUID={SSD_UUID} /mnt/ssd/ ext4 0 2", "its options are missing"),
    ],
)
def test_a_broken_line_at_the_folder_stops_the_role_before_anything_is_changed(line, said):
    look = with_ssd(disk("/dev/sda", **OURS), text=f"{FSTAB}{line}\n")
    found = chosen(look)
    assert found.state == "refused"
    assert f"line 4 of /etc/fstab is about /mnt/ssd and is broken: {said}" in found.why
    assert due(look) == []
    assert due(look, required=True) == ["Find the SSD"]


def test_two_lines_for_the_folder_stop_the_role():
    theirs = f"UUID={SSD_UUID} /mnt/ssd ext4 noatime,nofail\n"
    look = with_ssd(disk("/dev/sda", **OURS), text=f"{FSTAB}{theirs}{SSD_LINES}")
    assert (
        "/etc/fstab has /mnt/ssd in lines 4 and 6, and a boot takes the first" in chosen(look).why
    )
    assert due(look) == []


@pytest.mark.parametrize(
    "line",
    [
        "nas:/models /mnt/ssd nfs4 _netdev 0 0",
        "//nas/models /mnt/ssd cifs guest 0 0",
        "tmpfs /mnt/ssd tmpfs size=1g 0 0",
        "/srv/models /mnt/ssd none bind 0 0",
        "/dev/shm /mnt/ssd none bind 0 0",
        "tank/models /mnt/ssd zfs defaults 0 0",
    ],
)
def test_what_is_no_disk_keeps_its_folder(line):
    for here in (disk("/dev/sda", **OURS), disk("/dev/sda")):
        look = with_ssd(here, text=f"{FSTAB}{line}\n")
        assert chosen(look).state == chosen(look, device=SSD).state == "refused"
        assert f"/etc/fstab has {line.split()[0]}" in chosen(look).why
        assert due(look) == []


def test_a_persons_line_for_another_disk_is_left_alone():
    look = with_ssd(disk("/dev/sda", **OURS), text=f"{FSTAB}UUID=9-9 /mnt/ssd ext4 nofail 0 2\n")
    found = chosen(look, device=SSD)
    assert found.state == "refused"
    assert "/etc/fstab has UUID=9-9 at /mnt/ssd" in found.why
    assert due(look, device=SSD) == ["Find the SSD"]


def test_a_new_blank_disk_does_not_take_the_place_of_one_that_fstab_waits_for():
    look = with_ssd(disk("/dev/sda"), text=FSTAB + SSD_LINES)
    assert chosen(look).state == "absent"
    assert due(look) == []


def test_a_broken_line_stays_as_it_is():
    text = f"{FSTAB}UUID=1 /mnt/broken\n"
    assert table(with_ssd(disk("/dev/sda"), text=text)).startswith(text)


def test_a_node_without_fstab_is_refused():
    look = with_file(BARE, "/etc/fstab", None)
    assert chosen(look).why == "there is no /etc/fstab"
    assert due(look, required=True) == ["Find the SSD"]


def test_the_root_without_noatime_is_mended_now_and_for_the_next_boot():
    root = Mount("/", "ext4", "/dev/mmcblk0p2", ("rw", "relatime"))
    text = FSTAB.replace("defaults,noatime", "defaults") + SSD_LINES
    look = with_file(replace(GOOD, mounts=(root, *GOOD.mounts[1:])), "/etc/fstab", plain(text))
    assert due(look) == [
        "Edit /etc/fstab",
        "Mount the SSD",
        "Mount the root without access times",
    ]
    assert table(look) == FSTAB + SSD_LINES
    assert "Mount the root without access times" not in due(in_container(look))


# Mounting, by its effect


@pytest.mark.parametrize(
    "look",
    [
        with_ssd(disk("/dev/sda", **OURS), text=FSTAB + SSD_LINES),
        replace(GOOD, mounts=(*GOOD.mounts[:1], Mount("/mnt/ssd", "ext4", "/dev/sda", ("rw",)))),
        with_unit_named(GOOD, SSD_UNIT, needs_reload=True),
    ],
)
def test_it_is_mounted_where_the_effect_is_not_there(look):
    assert due(look) == ["Mount the SSD"]
    assert GOVERNOR_UNIT in look.units


def test_the_mount_point_is_provided_unless_the_ssd_is_off():
    assert PLAN.roles["storage"].outputs.ssd == "/mnt/ssd"
    off = node_plan(storage={"ssd": {"device": "off"}})
    assert off.roles["storage"].outputs.ssd is None
    assert due(GOOD, device="off") == []


# Taking it back


def test_what_was_set_is_taken_back_and_data_stay():
    unmount, edit = taken_back(GOOD)
    assert unmount.query == {"mounted": False, "folder": "/mnt/ssd", "uuid": SSD_UUID}
    assert edit.query["text"] == FSTAB
    reverted = with_ssd(disk("/dev/sda", **OURS))
    assert all(step.why is None for step in taken_back(reverted))


def test_a_persons_own_mount_is_not_taken_back():
    theirs = with_file(GOOD, "/etc/fstab", plain(f"{FSTAB}UUID={SSD_UUID} {LINE}\n"))
    assert all(step.why is None for step in taken_back(theirs))


# The bridge


def test_the_bridge_is_told_by_sysfs():
    assert usb.bridge(GOOD, disk("/dev/sda")) == usb.Bridge("04e8:4001", "2-1", "host0", True)


def test_another_disks_lines_are_not_ours():
    bridge = usb.Bridge("04e8:4001", "2-1", "host0", True)
    lines = (
        "usb 2-11: reset SuperSpeed USB device number 2 using xhci_hcd",
        "usb 1-1: reset high-speed USB device number 3 using xhci_hcd",
        "sd 1:0:0:0: [sdb] tag#5 uas_eh_abort_handler 0 uas-tag 6 inflight: CMD OUT",
        "scsi host1: uas_eh_device_reset_handler start",
    )
    assert usb.resets(lines, disk("/dev/sda"), bridge) == ()
