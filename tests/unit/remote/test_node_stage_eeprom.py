"""Staging a bootloader update: never at once, never with a weak power supply, told apart from done."""

import os
import subprocess
from types import SimpleNamespace

import pytest

from bramble.remote import stage_eeprom

PENDING = "EEPROM updates pending. Please reboot to apply the update.\n"
CURRENT = "BOOTLOADER: up to date\n   CURRENT: x (1)\n    LATEST: x (1)\n"


@pytest.fixture
def pi(tmp_path, monkeypatch):
    """A Pi's tools: what they say, and what they are called with."""
    made = SimpleNamespace(
        throttled=(0, "throttled=0x0\n"),
        update=(0, PENDING),
        calls=[],
        environments=[],
        defaults=tmp_path / "defaults",
        stamp=tmp_path / "run" / "eeprom",
        staged=tmp_path / "pieeprom.upd",
    )

    real = subprocess.run

    def run(argv, env, **options):
        if argv[0] == "sh":
            return real(argv, env=env, **options)
        made.calls.append(" ".join(argv))
        made.environments.append(env)
        code, said = made.throttled if argv[0] == "vcgencmd" else made.update
        if said == PENDING:
            made.staged.touch()
        return SimpleNamespace(returncode=code, stdout=said)

    monkeypatch.setattr(stage_eeprom.subprocess, "run", run)
    made.query = {
        "defaults": str(made.defaults),
        "channel": "default",
        "stamp": str(made.stamp),
        "staged": str(made.staged),
    }
    return made


def test_an_update_is_staged_for_the_next_boot_and_noted(pi):
    assert stage_eeprom.main(pi.query) == 0
    assert pi.calls == ["vcgencmd get_throttled", "rpi-eeprom-update -a"]
    assert pi.environments[1]["RPI_EEPROM_USE_FLASHROM"] == "0"
    assert pi.environments[1]["RPI_EEPROM_IMMEDIATE_UPDATE"] == "0"
    assert pi.stamp.exists()


def test_a_current_bootloader_needs_no_reboot(pi):
    pi.update = (0, CURRENT)
    assert stage_eeprom.main(pi.query) == 0
    assert not pi.stamp.exists()


def test_one_that_was_written_at_once_needs_a_reboot_too(pi):
    pi.update = (0, "UPDATE SUCCESSFUL\n")
    assert stage_eeprom.main(pi.query) == 0
    assert pi.stamp.exists()


@pytest.mark.parametrize("throttled", ["0x1", "0x10000", "0x50005"])
def test_a_voltage_that_was_too_low_stops_it(pi, throttled, capfd):
    pi.throttled = (0, f"throttled={throttled}\n")
    assert stage_eeprom.main(pi.query) == 1
    assert pi.calls == ["vcgencmd get_throttled"]
    assert "fix the power supply first" in capfd.readouterr().err


def test_heat_does_not_stop_it(pi):
    pi.throttled = (0, "throttled=0xe0008\n")
    assert stage_eeprom.main(pi.query) == 0


@pytest.mark.parametrize("said", [(255, "VCHI initialization failed"), (0, "")])
def test_a_voltage_that_is_not_told_stops_it(pi, said, capfd):
    pi.throttled = said
    assert stage_eeprom.main(pi.query) == 1
    assert "does not say whether the voltage holds" in capfd.readouterr().err


@pytest.mark.parametrize("said", [(2, "no"), (3, "EEPROM frozen"), (0, "Skipping"), (0, "")])
def test_anything_else_is_a_failure_with_its_words(pi, said, capfd):
    pi.update = said
    assert stage_eeprom.main(pi.query) == 1
    assert not pi.stamp.exists()
    assert said[1] in capfd.readouterr().err


def test_no_such_program_is_said(pi, monkeypatch, capfd):
    def run(argv, **options):
        raise FileNotFoundError(2, "No such file or directory", argv[0])

    monkeypatch.setattr(subprocess, "run", run)
    assert stage_eeprom.main(pi.query) == 1
    assert "vcgencmd" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, 'FIRMWARE_RELEASE_STATUS="latest"\n'),
        ("BOOTFS=/boot", 'BOOTFS=/boot\nFIRMWARE_RELEASE_STATUS="latest"\n'),
        (
            '# c\nFIRMWARE_RELEASE_STATUS="default"\nBOOTFS=/boot\n',
            '# c\nFIRMWARE_RELEASE_STATUS="latest"\nBOOTFS=/boot\n',
        ),
    ],
)
def test_the_channel_is_one_line_among_others_that_stay(pi, before, after):
    if before is not None:
        pi.defaults.write_text(before)
    assert stage_eeprom.main(pi.query | {"channel": "latest"}) == 0
    assert pi.defaults.read_text() == after


# What the file of defaults says, read by a script as rpi-eeprom-update reads it

SCRIPT = """#!/bin/sh
set -e
if [ -f {defaults} ]; then
   . {defaults}
fi
RPI_EEPROM_USE_FLASHROM=${{RPI_EEPROM_USE_FLASHROM:-1}}
if [ "${{RPI_EEPROM_USE_FLASHROM}}" != 0 ]; then
   : >{flashed}
   echo UPDATE SUCCESSFUL
else
   echo "EEPROM updates pending. Please reboot to apply the update."
fi
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A Pi whose rpi-eeprom-update is a script that reads its defaults after its environment."""
    folder = tmp_path / "bin"
    folder.mkdir()
    made = SimpleNamespace(defaults=tmp_path / "defaults", flashed=tmp_path / "flashed")
    for name, text in (
        ("vcgencmd", "#!/bin/sh\necho throttled=0x0\n"),
        ("rpi-eeprom-update", SCRIPT.format(defaults=made.defaults, flashed=made.flashed)),
    ):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    made.query = {
        "defaults": str(made.defaults),
        "channel": "default",
        "stamp": str(tmp_path / "run" / "eeprom"),
        "staged": str(tmp_path / "pieeprom.upd"),
    }
    return made


@pytest.mark.parametrize("text", [None, "", "RPI_EEPROM_USE_FLASHROM=0\n", "#USE_FLASHROM=1\n"])
def test_without_another_word_of_the_defaults_it_is_staged(script, text):
    if text is not None:
        script.defaults.write_text(text)
    assert stage_eeprom.main(script.query) == 0
    assert not script.flashed.exists()


@pytest.mark.parametrize(
    "text",
    [
        "RPI_EEPROM_USE_FLASHROM=1\n",
        "export RPI_EEPROM_USE_FLASHROM='1'\n",
        "RPI_EEPROM_IMMEDIATE_UPDATE=1\n",
        "USE_FLASHROM=1\n",
        "RPI_EEPROM_USE_FLASHROM=0\r\n",
        "RPI_EEPROM_USE_FLASHROM=\n",  # the script has a default of its own then
        "unset RPI_EEPROM_USE_FLASHROM\n",
        "if true; then RPI_EEPROM_USE_FLASHROM=1; fi\n",
    ],
)
def test_defaults_that_would_write_at_once_are_refused_and_nothing_is_written(script, text, capfd):
    script.defaults.write_text(text)
    assert stage_eeprom.main(script.query) == 1
    assert not script.flashed.exists()
    assert script.defaults.read_bytes() == text.encode()
    said = capfd.readouterr().err
    assert "FLASHROM" in said or "IMMEDIATE" in said
    assert "Remove that line and deploy again" in said


def test_defaults_that_come_to_another_channel_are_told(script, capfd):
    script.defaults.write_text(
        "FIRMWARE_RELEASE_STATUS=latest\n[ 1 = 1 ] && FIRMWARE_RELEASE_STATUS=beta\n"
    )
    assert stage_eeprom.main(script.query) == 1
    assert "comes to FIRMWARE_RELEASE_STATUS='beta', not default" in capfd.readouterr().err


def test_defaults_that_end_the_script_are_told(script, capfd):
    script.defaults.write_text("echo mine; false\n")
    assert stage_eeprom.main(script.query) == 1
    assert "cannot be read as rpi-eeprom-update reads it: mine" in capfd.readouterr().err
    assert not script.flashed.exists()


def test_an_update_of_the_usb_controller_alone_is_staged_too(pi):
    pi.staged = pi.stamp.parent.parent / "vl805.bin"
    assert stage_eeprom.main(pi.query) == 0
    assert not os.path.exists(pi.query["staged"])
    assert pi.stamp.exists()
