"""/etc/fstab: what is edited is edited, and every other byte stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble import fstab

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


# As findmnt --verify of util-linux 2.38 takes them: the first three are its "parse error".
@pytest.mark.parametrize(
    ("line", "well"),
    [
        ("nonsense", False),
        ("/dev/x y", False),
        ("UUID=1 /mnt/z ext4 nofail x 2", False),
        ("UUID=1 /home ext4 0 0", True),
        ("UUID=1 /home ext4", True),
        ("  # indented", True),
        ("\t", True),
    ],
)
def test_a_line_that_findmnt_cannot_read_is_told(line, well):
    assert fstab.broken(f"{PI}{line}\n") == (() if well else (line,))


def test_blanks_in_a_path_are_octal_numbers():
    (entry,) = fstab.entries(r"UUID=1 /mnt/my\040disk ext4 defaults 0 2")
    assert entry.target == "/mnt/my disk"


def test_the_last_of_several_entries_at_a_folder_counts():
    text = "UUID=1 /srv ext4 defaults 0 2\nUUID=2 /srv/ ext4 defaults 0 2\n"
    assert fstab.at(text, "/srv").source == "UUID=2"
    assert fstab.at(text, "/mnt") is None


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
