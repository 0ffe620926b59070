"""What power asks of config.txt for a fan and for overclocking, and how all of it is taken back."""

from dataclasses import replace

import pytest
from good_node import (
    CMDLINE,
    CONFIG,
    GOVERNOR_UNIT,
    PI5,
    SHOW,
    good_look,
    node_plan,
    settings,
    with_boot,
    with_command,
    with_file,
    with_unit_named,
)
from pydantic import ValidationError

from bramble import catalogue
from bramble.config_txt import BEGIN, END
from bramble.snapshot import Output, Snapshot

PLAN = node_plan()
GOOD = good_look(PLAN)
PI4 = replace(PI5, kind="pi4", model="Raspberry Pi 4 Model B Rev 1.5")
MINI_PC = replace(PI5, kind="other", model="not a Raspberry Pi")
UNIT_FILE = f"/etc/systemd/system/{GOVERNOR_UNIT}"
DROP_IN = "/etc/systemd/system.conf.d/99-bramble-watchdog.conf"
LEVELS = {f"dtparam=fan_temp{n}": f"{c}000" for n, c in enumerate((45, 55, 62, 70))}
LINES = "".join(f"{name}={value}\n" for name, value in LEVELS.items())
BLOCK = f"{BEGIN}\n[all]\narm_freq=2600\n{LINES}{END}\n"


def due(name: str, look: Snapshot, plan=PLAN, way="steps"):
    """A role's steps that have something to do, by name."""
    role = next(role for role in catalogue.roles() if role.name == name)
    found = getattr(role.plan, way)(plan.roles[name], plan, look)
    return {step.name: step for step in found if step.why is not None}


# The fan, and overclocking


def test_boot_writes_what_power_asks_for():
    config = dict(PLAN.roles["boot"].config)
    assert config == {"arm_freq": "2000", "dtparam=pciex1_gen": "3"} | LEVELS
    found = due("boot", with_boot(GOOD, config_txt="arm_boost=1\n"))["Set the firmware's options"]
    assert "\ndtparam=fan_temp0=45000\n" in found.query["text"]


def test_a_pi_4_switches_its_fan_by_an_overlay():
    plan = node_plan(PI4, power={"fan": {"gpio_pin": 14}}, boot={"config": {}})
    assert plan.roles["boot"].config == {"dtoverlay=gpio-fan": "gpiopin=14,temp=60000"}
    found = due("boot", with_boot(GOOD, config_txt=""), plan)["Set the firmware's options"]
    assert "\ndtoverlay=gpio-fan,gpiopin=14,temp=60000\n" in found.query["text"]


@pytest.mark.parametrize(
    ("board", "fan"),
    [(PI4, {"levels_c": [45, 55, 62, 70]}), (PI5, {"gpio_pin": 14}), (MINI_PC, {"gpio_pin": 14})],
)
def test_a_fan_that_the_board_has_not_is_not_asked_for(board, fan):
    assert node_plan(board, power={"fan": fan}).roles["power"].config == {}


def test_a_voltage_is_never_set_beside_force_turbo():
    wish = {"i_accept_the_risk": True, "arm_freq_mhz": 2600, "over_voltage_delta_uv": 50000}
    plan = node_plan(power={"overclock": wish, "fan": {}}, boot={"config": {}})
    assert plan.roles["boot"].config == {
        "arm_freq": "2600",
        "over_voltage_delta": "50000",
        "force_turbo": "0",
    }
    assert node_plan(MINI_PC, power={"overclock": wish}).roles["power"].config == {}


def test_the_persons_own_value_of_a_name_wins():
    wish = {"i_accept_the_risk": True, "arm_freq_mhz": 2600}
    plan = node_plan(power={"overclock": wish}, boot={"config": {"arm_freq": "1500"}})
    assert plan.roles["boot"].config["arm_freq"] == "1500"


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("power", {"overclock": {"arm_freq_mhz": 2600}}, "needs i_accept_the_risk: true"),
        ("power", {"overclock": {"i_accept_the_risk": True, "arm_freq_mhz": 9000}}, "3000"),
        ("power", {"fan": {"levels_c": [45, 45, 62, 70]}}, "above the one before"),
        ("power", {"fan": {"levels_c": [45, 55, 62, 90]}}, "80"),
        ("power", {"fan": {"gpio_pin": 28}}, "27"),
        ("boot", {"config": {"force_turbo": "1"}}, "warranty bit"),
    ],
)
def test_values_that_do_harm_are_refused(section, values, said):
    with pytest.raises(ValidationError, match=said):
        settings(**{section: values})


# Back to null, and taking back


def test_a_governor_that_is_not_set_any_more_leaves_no_unit():
    plan = node_plan(power={"governor": None})
    assert list(due("power", GOOD, plan)) == [
        "Disable the governor's unit",
        "Remove the governor's unit",
    ]
    gone = with_file(with_unit_named(GOOD, GOVERNOR_UNIT, enabled=""), UNIT_FILE, None)
    assert due("power", gone, plan) == {}


def test_power_takes_back_its_own_lines_and_no_others():
    look = with_boot(GOOD, config_txt=f"arm_boost=1\n{BLOCK}")
    step = due("power", look, way="revert")["Take back the firmware's options"]
    assert step.query["text"] == f"arm_boost=1\n{BEGIN}\n[all]\narm_freq=2600\n{END}\n"
    assert step.query["stamp"] == "/run/bramble/reboot/config.txt"


def test_boot_takes_back_its_tokens_and_its_block_and_reboots():
    look = with_boot(GOOD, config_txt=f"arm_boost=1\n{BLOCK}")
    steps = due("boot", look, way="revert")
    assert list(steps) == [
        "Take back the kernel's parameters",
        "Take back the firmware's options",
        "Reboot",
    ]
    fresh = "console=tty1 root=PARTUUID=4e639091-02 rootwait\n"
    assert steps["Take back the kernel's parameters"].query["text"] == fresh
    assert steps["Take back the firmware's options"].query["text"] == "arm_boost=1\n"
    back = with_boot(GOOD, cmdline_txt=fresh, config_txt="arm_boost=1\n")
    assert list(due("boot", back, way="revert")) == ["Reboot"]
    assert due("boot", with_boot(back, proc_cmdline=fresh), way="revert") == {}


def test_a_node_that_may_not_reboot_is_taken_back_without():
    plan = node_plan(boot={"reboot": "never"})
    assert "Reboot" not in due("boot", GOOD, plan, way="revert")


def test_a_command_line_of_two_lines_is_not_taken_apart():
    look = with_boot(GOOD, cmdline_txt=f"{CMDLINE}quiet\n", config_txt=CONFIG)
    assert "Take back the kernel's parameters" not in due("boot", look, way="revert")


def test_the_watchdog_is_taken_back_with_its_drop_in():
    steps = due("watchdog", GOOD, way="revert")
    assert list(steps) == [
        "Remove the watchdog's drop-in",
        "Have systemd forget the watchdog's times",
    ]
    gone = with_file(GOOD, DROP_IN, None)
    # A run that was killed after the file was removed.
    assert list(due("watchdog", gone, way="revert")) == ["Have systemd forget the watchdog's times"]
    said = Output(0, "RuntimeWatchdogUSec=0\nRebootWatchdogUSec=10min\n")
    assert due("watchdog", with_command(gone, SHOW, said), way="revert") == {}
