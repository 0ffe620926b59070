"""The bootloader's state, by recorded words: exit code 0 alone is never "up to date"."""

from pathlib import Path

import pytest

import bramble.virtual
from bramble.roles.boot.eeprom import channel, read
from bramble.snapshot import Output

RECORDED = Path(bramble.virtual.__file__).parent / "recorded"


def said(board: str, case: str, arguments: str = "_") -> Output:
    """What rpi-eeprom-update said on a board, with its exit code."""
    file = RECORDED / board / case / "rpi-eeprom-update" / arguments
    code = file.with_name(f"{arguments}.exit")
    return Output(int(code.read_text()) if code.exists() else 0, file.read_text())


@pytest.mark.parametrize(
    ("board", "case", "state", "current_s", "latest_s"),
    [
        ("pi4", "healthy", "up_to_date", 1739293213, 1739293213),
        ("pi4", "eeprom-old", "update_available", 1746717695, 1790164934),
        ("pi5", "healthy", "up_to_date", 1762364238, 1762364238),
        ("pi5", "eeprom-old", "update_available", 1717602109, 1727096576),
    ],
)
def test_a_recorded_state_is_told_with_its_versions(board, case, state, current_s, latest_s):
    found = read(said(board, case))
    assert (found.state, found.current_s, found.latest_s) == (state, current_s, latest_s)


def test_an_update_that_is_staged_is_pending():
    assert read(said("pi4", "eeprom-old", "-a")).state == "pending_reboot"
    assert read(said("pi4", "eeprom-old"), staged=True).state == "pending_reboot"
    assert read(said("pi4", "healthy"), staged=True, recovery=True).state == "pending_reboot"


def test_a_file_that_was_left_after_the_update_is_not_pending():
    assert read(said("pi4", "after-update"), staged=True).state == "up_to_date"


@pytest.mark.parametrize(
    "text",
    [
        "No Raspberry Pi board info found\n",
        "This board has no EEPROM. Skipping bootloader update.\n",
        "rpi-eeprom-update is not enabled by default on CM4. See: https://example.org\n",
    ],
)
def test_exit_code_0_of_a_board_without_one_is_not_up_to_date(text):
    found = read(Output(0, text))
    assert found.state == "not_applicable"
    assert found.said == text.strip()


def test_no_program_is_not_up_to_date_either():
    assert read(None).state == "not_applicable"


@pytest.mark.parametrize(
    "seen",
    [Output(0, ""), Output(2, ""), Output(2, said("pi4", "healthy").output), Output(64, "x")],
)
def test_no_sentence_or_another_exit_code_is_unknown(seen):
    found = read(seen)
    assert found.state == "unknown"
    assert str(seen.code) in found.said


def test_the_words_of_2020_and_dates_of_another_language_are_read():
    text = said("pi4", "healthy").output.replace("up to date", "up-to-date")
    text = text.replace("Tue 11 Feb 17:00:13 UTC 2025", "Tue Feb 11 05:00:13 PM UTC 2025")
    found = read(Output(0, text))
    assert (found.state, found.current_s) == ("up_to_date", 1739293213)


def with_usb(state: str, code: int) -> Output:
    """A current bootloader of a Pi 4 of before revision 1.4, beside a USB controller in this state."""
    text = said("pi4", "healthy").output.replace(
        "Using bootloader EEPROM", "Dedicated VL805 EEPROM"
    )
    return Output(code, text.replace("VL805: up to date", f"VL805: {state}"))


def test_an_update_of_the_usb_controller_alone_is_an_update():
    found = read(with_usb("update available", 1))
    assert found.state == "update_available"
    assert "USB controller's firmware (VL805): update available" in found.said


@pytest.mark.parametrize(
    ("state", "code"),
    [("version unknown. Try sudo rpi-eeprom-update", 0), ("frozen", 0), ("up to date", 1)],
)
def test_what_is_not_said_to_be_current_is_not_called_so(state, code):
    assert read(with_usb(state, code)).state == "unknown"


def test_a_pi_5_has_no_usb_controller_to_update():
    text = said("pi5", "healthy").output
    assert "VL805" not in text
    assert read(Output(0, text)).state == "up_to_date"
    assert read(Output(1, text)).state == "unknown"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (None, "default"),
        ("", "default"),
        ('FIRMWARE_RELEASE_STATUS="latest"\n', "latest"),
        ("#FIRMWARE_RELEASE_STATUS=latest\n", "default"),
        ("FIRMWARE_RELEASE_STATUS=stable\n", "latest"),
        ("FIRMWARE_RELEASE_STATUS='critical'\n", "default"),
        ('FIRMWARE_RELEASE_STATUS="default"\nFIRMWARE_RELEASE_STATUS="latest"\n', "latest"),
    ],
)
def test_the_channel_is_the_last_that_the_defaults_name(text, name):
    assert channel(text) == name
