"""Editing config.txt: our block under [all] at the end has the last word, all else stays."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

import bramble.virtual
from bramble.firmware.config_filters import ANY, Machine
from bramble.firmware.config_txt import (
    BEGIN,
    END,
    LINE_LIMIT,
    candidates,
    edited,
    last_word,
    without,
    words,
)

FRESH = (
    Path(bramble.virtual.__file__).parent / "rootfs/files/boot/firmware/config.txt"
).read_text()
WANTED = {"arm_freq": "2000", "dtparam=pciex1_gen": "3"}
BLOCK = f"{BEGIN}\n[all]\narm_freq=2000\ndtoverlay=\ndtparam=pciex1_gen=3\n{END}\n"

LINE = some.one_of(
    some.sampled_from(
        [
            *("[all]", "[pi5]", "[pi4]", "[none]", "[EDID=VSC-TD2220]", "[gpio4=1]", "# note", ""),
            *("arm_freq=1500", "arm_freq=2000", "dtparam=pciex1_gen=2", "dtparam=audio=on"),
            *("dtoverlay=dwc2,dr_mode=host", BEGIN, END, "include extra.txt", "  arm_freq = 1 "),
            *("dtoverlay=", "dtoverlay=gpio-fan:gpiopin=14", "dtparam=spi=on,pciex1_gen=3"),
        ]
    ),
    some.text(max_size=12).filter(lambda line: "\n" not in line),
)
TEXT = some.lists(LINE, max_size=12).flatmap(
    lambda lines: some.sampled_from(["\n".join(lines), "\n".join(lines) + "\n", "\r\n".join(lines)])
)


def test_values_go_into_a_block_under_all_at_the_end():
    assert edited(FRESH, WANTED) == FRESH + BLOCK


def test_a_file_without_an_end_of_line_gets_one_before_the_block():
    assert edited("arm_boost=1", WANTED) == f"arm_boost=1\n{BLOCK}"


def test_a_changed_value_changes_the_block_alone():
    found = edited(FRESH + BLOCK, WANTED | {"arm_freq": "1800"})
    assert found == FRESH + BLOCK.replace("2000", "1800")


def test_a_block_that_somebody_wrote_below_is_at_the_end_again():
    assert edited(f"{BLOCK}arm_freq=600\n", WANTED) == f"arm_freq=600\n{BLOCK}"


def test_with_nothing_wanted_the_block_goes_and_nothing_else():
    assert edited(FRESH + BLOCK, {}) == FRESH


def test_what_is_in_force_already_is_not_written():
    assert edited(FRESH, {"arm_boost": "1", "dtparam=audio": "on"}) == FRESH


def test_a_block_that_was_cut_short_is_no_block():
    cut = f"{BEGIN}\narm_freq=1\n"
    assert edited(cut, WANTED) == f"{cut}{BLOCK}"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", None),
        ("arm_freq=1\n", "1"),
        ("arm_freq=1\narm_freq=2\n", "2"),
        ("[pi5]\narm_freq=1\n", None),
        ("arm_freq=1\n[pi5]\narm_freq=2\n", None),
        ("[pi5]\narm_freq=1\n[all]\narm_freq=2\n", "2"),
        ("[ALL]\n  arm_freq = 2 \n", "2"),
        ("#arm_freq=2\n", None),
        ("arm_freq=1\r\n[all]\r\n", "1"),
        ("[pi4]\n[pi5]\narm_freq=1\n", None),
    ],
)
def test_the_last_word_is_one_that_holds_on_every_board(text, word):
    assert last_word(text, "arm_freq") == word


@given(TEXT)
@example(f"{BEGIN}\n{BEGIN}\n{END}\n{END}")
def test_editing_twice_is_editing_once(text):
    once = edited(text, WANTED)
    assert edited(once, WANTED) == once


@given(TEXT)
def test_what_is_edited_has_the_last_word(text):
    found = edited(text, WANTED)
    assert {name: last_word(found, name) for name in WANTED} == WANTED


@given(TEXT)
def test_unknown_lines_stay_as_they_are(text):
    if BEGIN not in text:
        assert edited(text, WANTED).startswith(text)
        assert edited(edited(text, WANTED), {}).rstrip("\n") == text.rstrip("\n")


GPIO_FAN = ("dtoverlay=gpio-fan", "gpiopin=14,temp=60000")
FAN = {GPIO_FAN[0]: GPIO_FAN[1], "dtparam=audio": "off"}


def test_an_overlay_is_a_name_of_its_own_and_comes_last():
    block = (
        f"{BEGIN}\n[all]\ndtoverlay=\ndtparam=audio=off\n"
        f"dtoverlay=gpio-fan,gpiopin=14,temp=60000\n{END}\n"
    )
    text = "dtoverlay=vc4-kms-v3d\n"
    assert edited(text, FAN) == text + block
    assert edited(text + block, FAN) == text + block
    assert last_word(text, "dtoverlay=vc4-kms-v3d") == ""


def test_an_overlay_without_parameters_is_a_line():
    assert "\ndtoverlay=disable-bt\n" in edited("", {"dtoverlay=disable-bt": ""})


def test_names_are_taken_out_of_our_block_and_nowhere_else():
    text = f"arm_freq=600\n{BLOCK}"
    assert without(text, ["arm_freq"]) == text.replace("arm_freq=2000\n", "")
    assert without(text, list(WANTED)) == "arm_freq=600\n"
    assert without(text, ["audio"]) == text
    assert without("arm_freq=600\n", ["arm_freq"]) == "arm_freq=600\n"


# Whose parameter it is: a dtparam= after a dtoverlay= is the overlay's

STOCK = "dtparam=audio=on\ndtoverlay=vc4-kms-v3d\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{STOCK}dtparam=audio=off\n",  # vc4-kms-v3d has a parameter of that name
        f"{STOCK}[all]\ndtparam=audio=off\n",  # a filter ends no overlay's scope
        f"{STOCK}[pi4]\ndtoverlay=\n[all]\ndtparam=audio=off\n",
    ],
)
def test_a_parameter_after_an_overlay_may_be_the_overlays(text):
    assert last_word(text, "dtparam=audio") is None
    after = edited(text, {"dtparam=audio": "off"})
    assert after == f"{text}{BEGIN}\n[all]\ndtoverlay=\ndtparam=audio=off\n{END}\n"
    assert last_word(after, "dtparam=audio") == "off"


def test_an_empty_overlay_ends_the_scope():
    text = f"{STOCK}dtoverlay=\ndtparam=audio=off\n"
    assert last_word(text, "dtparam=audio") == "off"
    assert edited(text, {"dtparam=audio": "off"}) == text


def test_an_overlay_for_another_board_has_no_scope_here():
    text = "[pi4]\ndtoverlay=vc4-kms-v3d\n[all]\ndtparam=audio=off\n"
    assert last_word(text, "dtparam=audio") is None
    (last,) = candidates(words(text, Machine(0x17)), "dtparam=audio")
    assert last is not None
    assert last.value == "off"


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("dtparam=i2c=on,audio=off,spi=on\n", "dtparam=audio", "off"),
        ("dtparam=i2c=on,audio=off,spi=on\n", "dtparam=i2c", "on"),
        ("device_tree_param=audio=off\n", "dtparam=audio", "off"),
        ("dtparam=pciex1\n", "dtparam=pciex1", ""),
        ("dtoverlay=gpio-fan:gpiopin=14,temp=60000\n", *GPIO_FAN),
        ("device_tree_overlay=gpio-fan,gpiopin=14,temp=60000\n", *GPIO_FAN),
        ("dtoverlay=gpio-fan\ndtparam=gpiopin=14\ndtparam=temp=60000\n", *GPIO_FAN),
        ("dtoverlay=gpio-fan,gpiopin=14\ndtparam=temp=60000\n", *GPIO_FAN),
    ],
)
def test_all_ways_of_writing_it_are_one(text, name, value):
    assert last_word(text, name) == value


# What is read, and what is not


def test_what_stands_beyond_the_firmwares_limit_is_not_read():
    long = "dtparam=" + ",".join(f"i2c{number}=on" for number in range(12)) + ",spi=on,audio=off"
    assert len(long) > LINE_LIMIT
    assert last_word(f"{long}\n", "dtparam=i2c3") == "on"
    assert last_word(f"dtparam=audio=on\n{long}\n", "dtparam=audio") == "on"


EXTRA = {"extra.txt": "arm_freq=600\n", "more.txt": "include extra.txt\n", "gone.txt": None}


@pytest.mark.parametrize("name", ["extra.txt", "more.txt"])
def test_a_file_that_is_included_has_its_word(name):
    text = f"arm_freq=2000\ninclude {name}\n"
    assert last_word(text, "arm_freq", EXTRA) == "600"
    assert edited(text, {"arm_freq": "600"}, EXTRA) == text
    after = edited(text, {"arm_freq": "2000"}, EXTRA)
    assert after == f"{text}{BEGIN}\n[all]\narm_freq=2000\n{END}\n"
    assert last_word(after, "arm_freq", EXTRA) == "2000"


def test_a_file_that_is_not_there_says_nothing_and_one_that_was_not_read_anything():
    assert last_word("arm_freq=1\ninclude gone.txt\n", "arm_freq", EXTRA) == "1"
    assert last_word("arm_freq=1\ninclude other.txt\n", "arm_freq", EXTRA) is None
    assert last_word("include other.txt\narm_freq=1\n", "arm_freq", EXTRA) == "1"
    assert last_word("arm_freq=1\n[none]\ninclude other.txt\n", "arm_freq", EXTRA) == "1"


def test_files_that_include_each_other_are_read_to_an_end():
    ring = {"a.txt": "include b.txt\n", "b.txt": "include a.txt\narm_freq=1\n"}
    assert last_word("include a.txt\n", "arm_freq", ring) == "1"


# Filters, on one board: a Pi 5 of this serial number

PI5 = Machine(0x17, 0x12345678)


@pytest.mark.parametrize(
    ("filters", "holds"),
    [
        ("[pi5]", True),
        ("[Pi5]", True),
        ("[pi4]", False),
        ("[pi500]", False),
        ("[cm5]", False),
        ("[pi0]", False),
        ("[board-type=0x17]", True),
        ("[board-type=23]", True),
        ("[board-type=0x18]", False),
        ("[board-type=five]", None),
        ("[0x12345678]", True),
        ("[0x12345679]", False),
        ("[none]", False),
        ("[all]", True),
        ("[none]\n[all]", True),
        ("[none]\n[pi5]", None),
        ("[gpio4=1]", None),
        ("[EDID=VSC-TD2220]", None),
        ("[tryboot]", None),
        ("[HDMI:0]", None),
        ("[partition=2]", None),
        ("[pi6]", None),
        ("[pi4]\n[pi5]", True),  # of one kind: the later takes the place of the earlier
        ("[pi5]\n[board-type=0x11]", False),
        ("[pi5]\n[0x12345678]", True),
        ("[pi5]\n[0x9]", False),
        ("[0x9]\n[pi5]", False),
        ("[gpio4=1]\n[pi4]", False),
        ("[gpio4=1]\n[pi5]", None),
    ],
)
def test_a_filter_holds_on_this_board_or_not_or_is_not_to_be_told(filters, holds):
    (word,) = words(f"{filters}\narm_freq=2800\n", PI5)
    assert word.holds is holds
    value = last_word(f"{filters}\narm_freq=2800\n", "arm_freq")
    assert value == ("2800" if filters.endswith("[all]") else None), "on every board"


@pytest.mark.parametrize(
    ("board_type", "seen"),
    [(0x11, "pi4"), (0x13, "pi400"), (0x14, "cm4"), (0x15, "cm4s"), (0x19, "pi500"), (0x1A, "cm5")],
)
def test_a_board_sees_what_is_for_it_and_for_its_kind(board_type, seen):
    kind = "pi4" if board_type < 0x17 else "pi5"
    found = words(f"[{seen}]\na=1\n[{kind}]\nb=1\n[pi3]\nc=1\n", Machine(board_type))
    assert [word.holds for word in found] == [True, True, False]


def test_a_serial_number_may_be_given_by_its_lower_half():
    machine = Machine(0x11, 0x10000000_ABCDEF12)
    text = "[0xabcdef12]\na=1\n[0x10000000abcdef12]\nb=1\n[0xabcdef13]\nc=1\n[0xtext]\nd=1\n"
    assert [word.holds for word in words(text, machine)] == [True, True, False, None]


def test_on_a_board_that_nobody_knows_a_model_is_not_to_be_told():
    assert [word.holds for word in words("[pi5]\na=1\n", ANY)] == [None]
    assert [word.holds for word in words("[pi5]\na=1\n", Machine(0x1B))] == [None]


def test_a_word_says_its_filters_and_whose_it_is():
    text = f"[pi5]\n[gpio4=1]\narm_freq=2800\n{BEGIN}\n[all]\narm_freq=2000\n{END}\n"
    assert [(word.said, word.ours) for word in words(text)] == [
        ("[pi5] [gpio4=1] arm_freq=2800", False),
        ("arm_freq=2000", True),
    ]
