"""What spoils what power proves, what hides it from a look, and where its checks do not apply."""

from dataclasses import replace

from bramble.snapshot import Output, Snapshot
from tests.unit.good_node import PI5, node_plan
from tests.unit.looks import (
    DETECT,
    WHY,
    in_container,
    link,
    plain,
    with_boot,
    with_command,
    with_file,
    with_unit_named,
)
from tests.unit.roles.boot.good import CONFIG
from tests.unit.roles.power.good import GOVERNOR, GOVERNOR_UNIT, TRIP, ZONE
from tests.unit.spoiled import GOOD, MINI_PC, NO_FILES, Cases, Exceptions, Node, edited

UNIT_FILE = "/etc/systemd/system/bramble-governor.service"
NO_BOOT = replace(GOOD, boot=WHY)


def throttled(bits: str) -> Snapshot:
    """A good look but for what get_throttled says."""
    return with_command(GOOD, "vcgencmd get_throttled", Output(0, f"throttled={bits}\n"))


def hot(degrees: str) -> Snapshot:
    """A good look but for the temperature."""
    return with_command(GOOD, "vcgencmd measure_temp", Output(0, f"temp={degrees}'C\n"))


def with_supply(milliamperes: int | None) -> Snapshot:
    """A good look but for the supply."""
    return replace(GOOD, device_tree=replace(GOOD.device_tree, psu_ma=milliamperes))


def of_board(look: Snapshot, revision: int) -> Snapshot:
    """The look at a board of another revision code."""
    return replace(look, device_tree=replace(look.device_tree, revision=revision))


PI4_FAN = node_plan(replace(PI5, kind="pi4"), power={"fan": {"gpio_pin": 14, "on_above_c": 55}})
BLIND_VITALS = {
    "neither way": with_command(NO_FILES, "vcgencmd get_throttled", None),
    "no command": with_command(GOOD, "vcgencmd get_throttled", WHY),
}
UNTOLD = with_command(GOOD, "vcgencmd get_throttled", None)
NO_CPUFREQ = with_file(GOOD, GOVERNOR, None)
COLD = with_command(GOOD, "vcgencmd measure_temp", None)
NO_ZONE = with_file(COLD, ZONE, None)


FAULTS: Cases = {
    "fan_has_its_temperatures": {
        "the firmware's": with_file(GOOD, TRIP.format(1), plain("50000\n")),
        "no fan on a Pi 4": Node(GOOD, plan=PI4_FAN),
    },
    "nothing_is_overclocked": {
        "the clock": with_boot(GOOD, config_txt=f"{CONFIG}arm_freq=2800\n"),
        "no number": with_boot(GOOD, config_txt=f"{CONFIG}arm_freq=fast\n"),
        "the voltage": with_boot(GOOD, config_txt=f"{CONFIG}over_voltage_delta=50000\n"),
        "the warranty bit": with_boot(GOOD, config_txt="force_turbo=1\nover_voltage=2\n"),
        "for this model": with_boot(GOOD, config_txt="[pi5]\narm_freq=2800\n"),
        "for this type": with_boot(GOOD, config_txt="[board-type=0x17]\narm_freq=2800\n"),
        "turbo for this model": with_boot(GOOD, config_txt="[pi5]\nforce_turbo=1\n"),
        "in a file that is included": with_boot(
            GOOD, config_txt="include usercfg.txt\n", included={"usercfg.txt": "arm_freq=2800\n"}
        ),
        "the graphics": with_boot(GOOD, config_txt="gpu_freq=1000\n"),
        "the memory": with_boot(GOOD, config_txt="sdram_freq=5000\n"),
        "the least clock": with_boot(GOOD, config_txt="arm_freq_min=2800\n"),
        "a Pi 4 that is not made for 1800": Node(
            of_board(with_boot(GOOD, config_txt="arm_freq=1800\n"), 0xC03112), plan=PI4_FAN
        ),
    },
    "voltage_is_enough": {
        "undervoltage": throttled("0x1"),
        "and throttled": throttled("0x50005"),
    },
    "clock_is_not_held_down": {
        "capped": throttled("0x2"),
        "throttled": throttled("0x50005"),
        "hot": throttled("0xe0008"),
    },
    "nothing_was_throttled_since_boot": {
        "undervoltage": throttled("0x10000"),
        "all": throttled("0xf0000"),
    },
    "temperature_is_moderate": {"hot": hot("84.5"), "a little too warm": hot("70.1")},
    "governor_is_in_force": {
        "not after the next boot": with_unit_named(GOOD, GOVERNOR_UNIT, enabled="disabled"),
        "an older unit": with_unit_named(GOOD, GOVERNOR_UNIT, needs_reload=True),
        "another": with_file(GOOD, GOVERNOR, plain("ondemand\n")),
        "another on one group": with_file(
            GOOD, GOVERNOR.replace("policy0", "policy4"), plain("powersave\n")
        ),
        "nothing that scales a Pi's clock": with_file(GOOD, GOVERNOR, None),
    },
    "supply_is_rated_for_a_pi_5": {"3 A": with_supply(3000)},
    "files_are_as_written": {
        "the governor of the next boot": edited(UNIT_FILE, "performance", "powersave"),
        "a link": with_file(GOOD, UNIT_FILE, link("/dev/null")),
    },
}

BLIND: Cases = {
    "files_are_as_written": {"no files": NO_FILES},
    "fan_has_its_temperatures": {
        "perhaps a container": with_command(GOOD, DETECT, WHY),
        "no files": NO_FILES,
        "no trip point": with_file(GOOD, TRIP.format(2), WHY),
    },
    "nothing_is_overclocked": {
        "no boot": NO_BOOT,
        "no device tree": replace(GOOD, device_tree=WHY),
    },
    "voltage_is_enough": BLIND_VITALS,
    "clock_is_not_held_down": BLIND_VITALS,
    "nothing_was_throttled_since_boot": BLIND_VITALS,
    "temperature_is_moderate": {
        "no zone": with_command(
            with_file(GOOD, ZONE, WHY),
            "vcgencmd measure_temp",
            None,
        )
    },
    "governor_is_in_force": {
        "no files": NO_FILES,
        "no governor": with_file(GOOD, GOVERNOR, WHY),
        "perhaps a container": with_command(GOOD, DETECT, WHY),
    },
    "supply_is_rated_for_a_pi_5": {"no device tree": replace(GOOD, device_tree=WHY)},
}

SKIPPED: Exceptions = {
    "fan_has_its_temperatures": (
        (in_container(GOOD), "a container (systemd-nspawn)"),
        (Node(GOOD, plan=node_plan(power={"fan": {}})), "sets nothing for this board"),
        (Node(GOOD, plan=MINI_PC), "sets nothing for this board"),
    ),
    "nothing_is_overclocked": (
        (with_boot(GOOD, config_txt=None), "no Raspberry Pi 4 or 5 with a config.txt"),
        (Node(GOOD, plan=MINI_PC), "no Raspberry Pi 4 or 5 with a config.txt"),
    ),
    "voltage_is_enough": ((Node(UNTOLD, plan=MINI_PC), "no Raspberry Pi"),),
    "clock_is_not_held_down": ((Node(UNTOLD, plan=MINI_PC), "no Raspberry Pi"),),
    "nothing_was_throttled_since_boot": ((Node(UNTOLD, plan=MINI_PC), "no Raspberry Pi"),),
    "temperature_is_moderate": ((Node(NO_ZONE, plan=MINI_PC), "no Raspberry Pi"),),
    "governor_is_in_force": (
        (in_container(GOOD), "a container (systemd-nspawn)"),
        (Node(NO_CPUFREQ, plan=MINI_PC), "no cpufreq"),
        (Node(NO_CPUFREQ, plan=node_plan(power={"governor": None})), "no cpufreq"),
        (Node(GOOD, plan=node_plan(power={"governor": None})), "it is performance"),
    ),
    "supply_is_rated_for_a_pi_5": ((Node(with_supply(None), plan=MINI_PC), "only a Pi 5 tells"),),
}
