"""What power asks of config.txt for a fan and for overclocking, and how all of it is taken back."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from bramble import registry
from bramble.firmware.config_txt import BEGIN, END
from bramble.node.vitals import GET_THROTTLED, MEASURE_TEMP, TEMP_FILE
from bramble.roles.power import checks
from bramble.snapshot import Output, Snapshot
from tests.unit.good_node import PI5, good_look, node_plan, settings
from tests.unit.looks import with_boot, with_command, with_file, with_unit_named
from tests.unit.roles.boot.good import CMDLINE, CONFIG
from tests.unit.roles.power.good import GOVERNOR_UNIT
from tests.unit.roles.watchdog.good import SHOW

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
    role = registry.role(name)
    found = getattr(role, way)(plan.roles[name], plan, look)
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
    desired = {"i_accept_the_risk": True, "arm_freq_mhz": 2600, "over_voltage_delta_uv": 50000}
    plan = node_plan(power={"overclock": desired, "fan": {}}, boot={"config": {}})
    assert plan.roles["boot"].config == {
        "arm_freq": "2600",
        "over_voltage_delta": "50000",
        "force_turbo": "0",
    }
    assert node_plan(MINI_PC, power={"overclock": desired}).roles["power"].config == {}


def test_the_persons_own_value_of_a_name_wins():
    desired = {"i_accept_the_risk": True, "arm_freq_mhz": 2600}
    plan = node_plan(power={"overclock": desired}, boot={"config": {"arm_freq": "1500"}})
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


def overclocked(config: str, plan=PLAN, look=GOOD, **boot):
    """What the check of clocks and voltages finds."""
    node = SimpleNamespace(plan=plan, snapshot=with_boot(look, config_txt=config, **boot))
    return checks.nothing_is_overclocked(plan.roles["power"], node)


def test_a_clock_of_somebody_elses_line_is_told_with_that_line():
    found = overclocked("arm_boost=1\n[pi5]\narm_freq=2800\n")
    assert found.got == "[pi5] arm_freq=2800"
    assert "take them out of /boot/firmware/config.txt" in found.remedy
    assert "power.overclock" not in found.remedy


def test_a_clock_of_the_inventory_is_told_with_the_setting_that_made_it():
    desired = {"i_accept_the_risk": True, "arm_freq_mhz": 2600}
    ours = f"{BEGIN}\n[all]\narm_freq=2600\n{END}\n"
    by_power = overclocked(ours, node_plan(power={"overclock": desired}, boot={"config": {}}))
    assert by_power.got == "arm_freq=2600"
    assert by_power.remedy.endswith("Take power.overclock out, and deploy again.")
    by_boot = overclocked(ours, node_plan(boot={"config": {"arm_freq": "2600"}}))
    assert by_boot.remedy.endswith("Take arm_freq out of boot.config, and deploy again.")


@pytest.mark.parametrize(
    "config",
    [
        "[pi4]\narm_freq=2800\n",
        "[board-type=0x11]\nforce_turbo=1\n",
        "[none]\narm_freq=2800\n",
        "[gpio4=1]\narm_freq=1500\n",
        "arm_freq=2800\n[pi5]\narm_freq=2400\n",
        "arm_freq=2400\ngpu_freq=910\nv3d_freq=500\narm_freq_min=600\nforce_turbo=0\n",
        "over_voltage=0\ninitial_turbo=30\ntemp_limit=80\n",
    ],
)
def test_what_does_not_hold_here_or_is_not_above_is_no_overclocking(config):
    assert overclocked(config).status == "pass"


def test_less_voltage_is_told_and_is_no_overclocking():
    found = overclocked("over_voltage=-4\n[pi5]\nover_voltage_delta=-20000\n")
    assert found.status == "pass"
    assert found.got == (
        "nothing above it; below it: over_voltage=-4; [pi5] over_voltage_delta=-20000"
    )


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[gpio4=1]\nover_voltage=6\n", "[gpio4=1] over_voltage=6"),
        ("[EDID=VSC-TD2220]\narm_freq=2800\n", "[EDID=VSC-TD2220] arm_freq=2800"),
        ("[tryboot]\narm_freq=2800\n", "[tryboot] arm_freq=2800"),
        ("include usercfg.txt\n", "include usercfg.txt"),
        ("npu_freq=2000\n", "npu_freq=2000"),  # in no table
    ],
)
def test_what_cannot_be_told_is_not_called_fine(config, said):
    found = overclocked(config)
    assert (found.status, found.got.endswith(f"cannot be determined: {said}")) == ("unknown", True)


def test_the_clocks_of_a_board_in_no_table_are_not_called_fine():
    strange = node_plan(replace(PI5, kind="unknown", model="Raspberry Pi 6 Model B"))
    found = overclocked("arm_freq=9000\n", strange)
    assert found.status == "unknown"
    assert "does not know this Raspberry Pi (Raspberry Pi 6 Model B)" in found.got


@pytest.mark.parametrize(
    ("kind", "revision", "mhz"),
    [
        ("pi4", 0xC03111, 1500),
        ("pi4", 0xD03114, 1800),
        ("pi400", 0xC03130, 1800),
        ("cm4", 0xD03141, 1500),
        ("cm5", 0xD041A0, 2400),
        ("pi500", 0xD04190, 2400),
    ],
)
def test_the_clock_that_a_board_is_sold_with_is_not_overclocked(kind, revision, mhz):
    tree = replace(GOOD.device_tree, revision=revision)
    look, plan = replace(GOOD, device_tree=tree), node_plan(replace(PI5, kind=kind))
    assert overclocked(f"arm_freq={mhz}\n", plan, look).status == "pass"
    assert overclocked(f"arm_freq={mhz + 1}\n", plan, look).status == "fail"


# What the board does not tell


UNTOLD = with_command(with_command(GOOD, GET_THROTTLED, None), MEASURE_TEMP, None)


@pytest.mark.parametrize(
    "name",
    [
        "voltage_is_enough",
        "clock_is_not_held_down",
        "nothing_was_throttled_since_boot",
        "temperature_is_moderate",
        "supply_is_rated_for_a_pi_5",
    ],
)
def test_what_a_raspberry_pi_does_not_tell_is_not_called_fine(name):
    tree = replace(GOOD.device_tree, psu_ma=None)
    look = with_file(replace(UNTOLD, device_tree=tree), TEMP_FILE, None)
    node = SimpleNamespace(plan=PLAN, snapshot=look)
    assert getattr(checks, name)(PLAN.roles["power"], node).status == "unknown"


def test_every_board_that_tells_its_supply_is_judged_by_it():
    plan = node_plan(replace(PI5, kind="cm5"))
    weak = replace(GOOD, device_tree=replace(GOOD.device_tree, psu_ma=3000))
    node = SimpleNamespace(plan=plan, snapshot=weak)
    assert checks.supply_is_rated_for_a_pi_5(plan.roles["power"], node).status == "fail"


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
