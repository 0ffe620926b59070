"""What a board says of itself: bits as words, degrees, and which source is believed."""

from dataclasses import replace

import pytest

from bramble.node import vitals
from bramble.node.vitals import Throttled, decoded
from bramble.snapshot import Output, Unknown
from tests.unit.good_node import good_look, node_plan
from tests.unit.looks import plain, recorded, with_command, with_file

GOOD = good_look(node_plan())
NO_DEVICE = Output(255, recorded("vcgencmd-no-device.pi-bookworm-arm64.txt"))
PI4_FILE = "/sys/devices/platform/soc/soc:firmware/get_throttled"
PI5_FILE = "/sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
ZONE = "/sys/class/thermal/thermal_zone0/temp"


def test_a_weak_supply_was_seen_since_boot_and_not_now():
    found = vitals.get_throttled(recorded("get_throttled.pi4-trixie-arm64.txt"))
    assert found == Throttled((), ("undervoltage", "throttled"))


@pytest.mark.parametrize(
    ("bits", "now", "since_boot"),
    [
        (0x0, (), ()),
        (0x1, ("undervoltage",), ()),
        (0x2, ("clock capped",), ()),
        (0x4, ("throttled",), ()),
        (0x8, ("soft temperature limit",), ()),
        (0x10000, (), ("undervoltage",)),
        (0x20000, (), ("clock capped",)),
        (0x50005, ("undervoltage", "throttled"), ("undervoltage", "throttled")),
        (
            0xE0008,
            ("soft temperature limit",),
            ("clock capped", "throttled", "soft temperature limit"),
        ),
        (0x10, ("bit 4, whose meaning is not known",), ()),
        (0x1000000, (), ("bit 24, whose meaning is not known",)),
    ],
)
def test_each_bit_has_its_word_now_and_since_boot_apart(bits, now, since_boot):
    assert decoded(bits) == Throttled(now, since_boot)


def test_temperatures_are_in_degrees():
    assert vitals.measure_temp(recorded("measure_temp.pi-documentation.txt")) == 48.3
    assert vitals.thermal_zone("54700\n") == 54.7
    assert vitals.thermal_zone("-1500\n") == -1.5


@pytest.mark.parametrize("text", ["", "throttled=", "throttled=0x", "error=1", "temp=48.3'C"])
def test_what_is_no_get_throttled_is_nonsense(text):
    with pytest.raises(ValueError, match="throttled"):
        vitals.get_throttled(text)


@pytest.mark.parametrize("text", ["", "temp=", "48.3", "temp=48.3", "throttled=0x0"])
def test_what_is_no_measure_temp_is_nonsense(text):
    with pytest.raises(ValueError, match="temp"):
        vitals.measure_temp(text)


@pytest.mark.parametrize("path", [PI4_FILE, PI5_FILE])
@pytest.mark.parametrize("said", [None, NO_DEVICE, Unknown("no"), Output(0, "nonsense")])
def test_sysfs_tells_where_vcgencmd_does_not(path, said):
    look = with_command(with_file(GOOD, path, plain("50005\n")), vitals.GET_THROTTLED, said)
    assert vitals.throttled(look) == decoded(0x50005)


def test_a_thermal_zone_tells_where_vcgencmd_does_not():
    look = with_file(with_command(GOOD, vitals.MEASURE_TEMP, NO_DEVICE), ZONE, plain("61200\n"))
    assert vitals.temperature_c(look) == 61.2


def test_vcgencmd_is_believed_first():
    look = with_file(with_file(GOOD, PI4_FILE, plain("1\n")), ZONE, plain("99000\n"))
    assert (vitals.throttled(look), vitals.temperature_c(look)) == (decoded(0), 48.3)


def test_a_vcgencmd_that_fails_alone_is_unknown_with_its_words():
    found = vitals.throttled(with_command(GOOD, vitals.GET_THROTTLED, NO_DEVICE))
    assert found == Unknown("vcgencmd ended with 255: Can't open device file: /dev/vcio")


def test_a_machine_that_has_neither_tells_nothing():
    look = with_file(with_command(GOOD, vitals.MEASURE_TEMP, None), ZONE, None)
    look = with_command(look, vitals.GET_THROTTLED, None)
    assert (vitals.throttled(look), vitals.temperature_c(look)) == (None, None)


def test_files_that_could_not_be_seen_are_unknown_where_there_is_no_vcgencmd():
    look = with_command(replace(GOOD, files=Unknown("no")), vitals.GET_THROTTLED, None)
    assert vitals.throttled(look) == Unknown("no")
