"""Editing config.txt: our block under [all] at the end has the last word, all else stays."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

import bramble.virtual
from bramble.config_txt import BEGIN, END, edited, last_word, without

FRESH = (
    Path(bramble.virtual.__file__).parent / "rootfs/files/boot/firmware/config.txt"
).read_text()
WANTED = {"arm_freq": "2000", "dtparam=pciex1_gen": "3"}
BLOCK = f"{BEGIN}\n[all]\narm_freq=2000\ndtparam=pciex1_gen=3\n{END}\n"

LINE = some.one_of(
    some.sampled_from(
        [
            *("[all]", "[pi5]", "[pi4]", "[none]", "[EDID=VSC-TD2220]", "[gpio4=1]", "# note", ""),
            *("arm_freq=1500", "arm_freq=2000", "dtparam=pciex1_gen=2", "dtparam=audio=on"),
            *("dtoverlay=dwc2,dr_mode=host", BEGIN, END, "include extra.txt", "  arm_freq = 1 "),
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


FAN = {"dtoverlay=gpio-fan": "gpiopin=14,temp=60000", "dtparam=audio": "off"}


def test_an_overlay_is_a_name_of_its_own_and_comes_last():
    block = f"{BEGIN}\n[all]\ndtparam=audio=off\ndtoverlay=gpio-fan,gpiopin=14,temp=60000\n{END}\n"
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
