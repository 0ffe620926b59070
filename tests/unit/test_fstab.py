"""/etc/fstab: what is edited is edited, and every other byte stays."""

import re

import pytest
from fstab_oracles import Read, booted, mounted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bramble.system import fstab

PI = """proc            /proc           proc    defaults          0       0
PARTUUID=4e639091-01  /boot/firmware  vfat    defaults          0       2
PARTUUID=4e639091-02  /               ext4    defaults,noatime  0       1
# a swapfile is not a swap partition, no line here
"""
COMMENT = "# bramble: storage.ssd"
LINE = "UUID=1-2 /mnt/ssd ext4 defaults,noatime,nofail 0 2"


def test_the_entries_of_a_stock_pi_are_read():
    assert [(e.line, e.source, e.target, e.fstype, e.options) for e in fstab.entries(PI)] == [
        (0, "proc", "/proc", "proc", ("defaults",)),
        (1, "PARTUUID=4e639091-01", "/boot/firmware", "vfat", ("defaults",)),
        (2, "PARTUUID=4e639091-02", "/", "ext4", ("defaults", "noatime")),
    ]
    assert fstab.broken(PI) == ()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nonsense", "it has 1 of the fields"),
        ("/dev/x y", "it has 2 of the fields"),
        ("UUID=U /mnt/ssd rw,noatime 0 2", "its type is missing: rw is an option"),
        ("UUID=U /mnt/ssd noatime", "its type is missing"),
        ("UUID=U /mnt/ssd x-systemd.automount,rw 0 2", "its type is missing"),
        ("UUID=U /mnt/ssd ext4 0 2", "its options are missing, and 0 stands for them"),
        ("UUID=U none swap 0 0", "its options are missing"),
        ("UUID=U /mnt/ssd ext4 defaults, noatime 0 2", "noatime stands where a number should"),
        ("UUID=U /mnt/ssd ext4 nofail x 2", "x stands where a number should"),
        ("UUID=U /mnt/ssd ext4 nofail -1 2", "-1 stands where a number should"),
        ("UUID=U mnt/ssd ext4 nofail 0 2", "mnt/ssd is no folder"),
        ("UUID=U none ext4 nofail 0 2", "none is no folder"),
        ('UUID=U "/mnt/ssd" ext4 nofail 0 2', "is no folder"),
        ("UUID=U /mnt/../ssd ext4 nofail 0 2", "is no folder"),
        ("UUID=U /mnt/ssd #ext4 nofail", "a comment stands where a field should"),
        ('LABEL="a b" /mnt/ssd ext4 nofail 0 2', "stands where a number should"),
        ('"UUID=Q" /mnt/ssd ext4 nofail 0 0', "there is a quote within its source"),
        ('UUID=1UUID="2" /mnt/ssd ext4 nofail 0 0', "there is a quote within its source"),
        (r"UUID=U /mnt/\163sd ext4 nofail 0 2", "read its escapes differently"),
        (r"UUID=U /mnt/a\\b ext4 nofail 0 2", "read its escapes differently"),
        ("UUID=U /mnt/ssd ext4 nofail 0 2\r", "U+000D, as Windows ends lines"),
        ("UUID=U /mnt/ssd ext4 nofail\u00a00 2", "U+00A0, which parts no fields"),
    ],
)
def test_a_line_that_what_boots_cannot_read_in_one_way_is_told(line, why):
    (found,) = fstab.broken(f"{PI}{line}\n")
    assert (found.line, found.text) == (4, line.strip())
    assert why in found.why
    assert fstab.entries(f"{PI}{line}\n") == fstab.entries(PI)


@pytest.mark.parametrize("line", ["  # indented", "\t", "", "#UUID=U /mnt/ssd rw 0 2"])
def test_what_means_nothing_is_nothing(line):
    assert fstab.broken(f"{PI}{line}\n") == ()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("UUID=U /mnt/ssd rw,noatime 0 2", True),
        ('LABEL="a b" /mnt/ssd/ ext4 nofail 0 2', True),
        ("UUID=U /mnt/ssd2 rw 0 2", False),
        ("nonsense", False),
    ],
)
def test_a_broken_line_names_a_folder_wherever_it_stands(line, named):
    (found,) = fstab.broken(line)
    assert found.names("/mnt/ssd") == named
    assert not found.names("/")


# What Debian 12 reads itself.

SOUND = (
    'UUID="0b1f3d1c-6a51-4a0c-9a35-2f1f0f5a1d11" {} ext4 defaults,noatime,nofail 0 2',
    "UUID='58F3-ACA9' {} vfat umask=0022 0 2",
    "LABEL=a\\040b {} ext4 defaults 0 2",
    'LABEL="models" {} ext4 defaults',
    "PARTUUID=4e639091-02 {} auto noauto,user,commit=30 0 0",
    'PARTLABEL="ssd" {} xfs defaults',
    "/dev/disk/by-uuid/58F3-ACA9 {} ext4 nofail 0 0",
    "/dev/disk/by-label/a\\134x20b {} ext4 nofail 0 0",
    "/dev/disk/by-partuuid/4e639091-02 {} ext4 nofail 0 0",
    "/dev/disk/by-id/usb-Toy-0:0-part1 {} ext4 nofail 0 0",
    "/dev/sda1\t\t{}\text4\tdefaults\t0\t2 # mine",
    "  /dev/nvme0n1p1 {} ext4,xfs rw",
    "nas:/models {} nfs4 _netdev,x-systemd.automount 0 0",
    "tmpfs {} tmpfs size=64m,mode=1777",
    "/srv/models {} none bind 0 0",
    "UUID=Q {} ext4 x-systemd.device-timeout=30s,x-systemd.requires=a.service,nofail",
    "UUID=100%25 {} ext4 nofail 0 0",
)


TIMEOUT = re.compile(r"(^|,)x-systemd\.device-timeout=[^,]*")  # systemd gives it to the device


def reported(entry):
    """An entry in the one form of several that mean the same."""
    several = filter(None, TIMEOUT.sub("", fstab._plain(",".join(entry.options))).split(","))
    options = ",".join(several)
    named = fstab.tag(entry.source)
    source = "=".join(named) if named else entry.source
    return Read(source, entry.target, entry.fstype, "" if options == "defaults" else options)


def same(found):
    """What an oracle said, in that form."""
    target, options = fstab._simple(found.target), tuple(found.options.split(","))
    return reported(fstab.Entry(0, fstab._unquoted(found.source), target, found.fstype, options))


def agree(text):
    """Every entry of ours is what boots, and what mount(8) goes by."""
    at_boot, by_libmount = booted(text), [same(found) for found in mounted(text)]
    for entry in fstab.entries(text):
        ours = reported(entry)
        assert ours in by_libmount
        hidden = any(line.names(entry.target) for line in fstab.broken(text))
        # In a container the generator makes no swap.
        if entry.fstype != "swap" and entry == fstab.at(text, entry.target) and not hidden:
            assert same(at_boot[entry.target]) == ours


def test_what_is_read_is_what_boots_and_what_mount_goes_by():
    text = "".join(f"{line.format(f'/mnt/t{number}')}\n" for number, line in enumerate(SOUND))
    assert fstab.broken(text) == ()
    assert len(fstab.entries(text)) == len(SOUND)
    agree(text)


def test_of_several_entries_for_a_folder_the_first_boots():
    text = "UUID=A /srv ext4 nofail 0 2\nUUID=B /srv/ ext4 nofail 0 2\nUUID=C //srv/. ext4\n"
    assert booted(text)["/srv"].source == "UUID=A" == fstab.at(text, "/srv").source
    assert [entry.source for entry in fstab.repeated(text)[0]] == ["UUID=A", "UUID=B", "UUID=C"]


WORDS = st.sampled_from(
    [
        *("UUID=1-2", 'UUID="1-2"', "UUID='1-2'", 'UUID="1-2', "LABEL=a\\040b", 'LABEL="a b"'),
        *("/dev/sda1", "/dev/disk/by-uuid/1-2", "nas:/x", "none", "swap", "tmpfs", "ext4", "auto"),
        *("ext4,xfs", "defaults", "rw,noatime", "defaults,", "noatime", "nofail", "x-a=b", "bind"),
        *(
            "0",
            "2",
            "-1",
            "1x",
            "#",
            "# c",
            "\u00a0",
            "\r",
            "\x0b",
            "\\",
            "\\\\",
            "\\101",
            "{}",
            "{}",
            "{}/",
        ),
    ]
)
LINE_OF_WORDS = st.lists(WORDS, max_size=8).flatmap(
    lambda words: st.lists(
        st.sampled_from([" ", "\t", "  "]), min_size=len(words), max_size=len(words)
    ).map(lambda blanks: "".join(map("".join, zip(words, blanks, strict=True))))
)
NEAR = st.sampled_from(SOUND).flatmap(
    lambda line: st.tuples(st.integers(0, len(line)), st.integers(0, 3), WORDS).map(
        lambda cut: line[: cut[0]] + cut[2] + line[cut[0] + cut[1] :]
    )
)


@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(LINE_OF_WORDS, NEAR), min_size=10, max_size=40))
def test_no_line_is_taken_for_a_file_system_that_does_not_boot_so(lines):
    text = "\n".join(line.replace("{}", f"/mnt/t{number}") for number, line in enumerate(lines))
    agree(text)


def test_blanks_in_a_path_are_octal_numbers():
    (entry,) = fstab.entries(r"UUID=1 /mnt/my\040disk ext4 defaults 0 2")
    assert entry.target == "/mnt/my disk"


def test_a_swap_that_is_named_twice_is_told():
    text = f"{PI}UUID=1 none swap sw 0 0\nUUID=2 none swap sw 0 0\nUUID=1 swap swap pri=5 0 0\n"
    assert [[entry.line for entry in found] for found in fstab.repeated(text)] == [[4, 6]]
    assert fstab.repeated(PI) == ()


def test_options_with_escapes_stay_as_they_are_when_one_is_added():
    text = "tmpfs /srv tmpfs size=1m,x-note=a\\040b 0 0"
    assert fstab.with_options(text, "/srv", ("nofail",)) == (
        "tmpfs /srv tmpfs size=1m,x-note=a\\040b,nofail 0 0"
    )


def test_an_option_takes_the_place_of_its_rivals_and_no_blank_is_moved():
    text = PI.replace("defaults,noatime", "defaults,relatime")
    changed = fstab.with_options(text, "/", ("noatime",))
    assert changed == PI


@pytest.mark.parametrize("target", ["/", "/nowhere"])
def test_a_table_that_has_the_options_or_no_such_entry_is_left_as_it_is(target):
    assert fstab.with_options(PI, target, ("noatime",)) == PI


def test_an_option_with_a_value_may_have_any():
    text = "UUID=1 /srv ext4 nofail,x-systemd.device-timeout=5s 0 2\n"
    assert fstab.with_options(text, "/srv", ("nofail", "x-systemd.device-timeout=90s")) == text


def test_options_are_added_where_a_line_has_none():
    changed = fstab.with_options("UUID=1 /srv ext4\n", "/srv", ("noatime", "nofail"))
    assert changed == "UUID=1 /srv ext4 noatime,nofail\n"


def test_what_is_unwanted_is_taken_out():
    text = "UUID=1 /srv ext4 noauto,user 0 2\n"
    assert fstab.with_options(text, "/srv", ("nofail",), ("noauto",)) == (
        "UUID=1 /srv ext4 user,nofail 0 2\n"
    )


def test_a_source_is_replaced_in_its_place():
    text = f"{PI}/dev/sda1   /srv\text4 defaults 0 2"
    assert fstab.with_source(text, "/srv", "UUID=1") == f"{PI}UUID=1   /srv\text4 defaults 0 2"


@pytest.mark.parametrize("before", ["", PI, PI.rstrip("\n"), f"{PI}\n\n", "broken\n"])
def test_our_line_comes_and_goes_and_nothing_else_changes(before):
    text = fstab.added(before, COMMENT, LINE)
    assert text.startswith(before)
    assert fstab.is_ours(text, COMMENT, "/mnt/ssd")
    ended = before if before.endswith("\n") or not before else f"{before}\n"
    assert fstab.without(text, COMMENT, "/mnt/ssd") == ended


def test_a_line_that_a_person_wrote_is_not_ours():
    text = f"{PI}{LINE}\n"
    assert not fstab.is_ours(text, COMMENT, "/mnt/ssd")
    assert fstab.without(text, COMMENT, "/mnt/ssd") == text


@given(st.text(alphabet="a/ #\t\n\\0=U,é", max_size=60))
def test_any_text_keeps_its_lines(text):
    changed = fstab.with_options(text, "/a", ("noatime", "nofail"))
    if changed != text:
        line = fstab.at(text, "/a").line
        before, after = text.split("\n"), changed.split("\n")
        assert before[:line] + before[line + 1 :] == after[:line] + after[line + 1 :]
        assert set(fstab.at(changed, "/a").options) >= {"noatime", "nofail"}
    added = fstab.added(text, COMMENT, LINE)
    assert added.startswith(text)
    assert fstab.at(added, "/mnt/ssd").source == "UUID=1-2"


# As systemd-escape --path --suffix=mount of systemd 252 says.
@pytest.mark.parametrize(
    ("target", "unit"),
    [
        ("/mnt/ssd", "mnt-ssd.mount"),
        ("/", "-.mount"),
        ("/srv/my-disk", r"srv-my\x2ddisk.mount"),
        ("/mnt/a b", r"mnt-a\x20b.mount"),
    ],
)
def test_a_mount_unit_is_named_as_systemd_names_it(target, unit):
    assert fstab.unit_of(target) == unit
