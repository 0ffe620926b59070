"""What boot plans, does and leaves alone: by board, by what is in force, and by what was allowed."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from bramble import registry
from bramble.checks import run_all
from bramble.roles.boot import checks
from bramble.snapshot import Output, Snapshot, Unknown
from tests.unit.good_node import PI5, good_look, node_plan, settings
from tests.unit.looks import plain, with_boot, with_command, with_file
from tests.unit.roles.boot.good import CMDLINE, CONFIG, EEPROM

PLAN = node_plan()
GOOD = good_look(PLAN)
FRESH = "console=tty1 root=PARTUUID=4e639091-02 rootwait\n"
ROLE = registry.role("boot")
CONFIG_STAMP, EEPROM_STAMP = "/run/bramble/reboot/config.txt", "/run/bramble/reboot/eeprom"
KERNEL, FIRMWARE = "Set the kernel's parameters", "Set the firmware's options"
STAGE, REBOOT = "Stage the bootloader's update", "Reboot"
OLD = with_command(
    GOOD, "rpi-eeprom-update", Output(1, EEPROM.replace("up to date", "update available"))
)
UPDATE = {"eeprom": {"update": True}, "config": {"arm_freq": "2000"}}
MINI_PC = replace(PI5, model="not a Raspberry Pi", kind="other", architecture="amd64")


def steps(look: Snapshot, plan=PLAN):
    """The role's steps by name."""
    return {step.name: step for step in ROLE.steps(plan.roles["boot"], plan, look)}


def due(look: Snapshot, plan=PLAN):
    """The names of those that have something to do."""
    return [name for name, step in steps(look, plan).items() if step.why is not None]


def statuses(look: Snapshot, plan=PLAN):
    """What the role's checks find."""
    node = type("Node", (), {"snapshot": look, "plan": plan})()
    return {result.check: result.status for result in run_all(node, ROLE.checks)}


def test_what_another_role_waits_for_is_rebooted_for_and_told(monkeypatch):
    waits = "logs go to memory at the next boot"
    monkeypatch.setattr(
        type(PLAN.roles["base"]),
        "waits_for_reboot",
        lambda plan, look: (waits,) if look is GOOD else (),
    )
    reboot = steps(GOOD)[REBOOT]
    assert (reboot.why.split("; ")[0], reboot.query["always"]) == (waits, True)
    assert statuses(GOOD)["no_reboot_is_pending"] == "warn"


# The two files


def test_a_fresh_node_is_told_everything_and_rebooted_once():
    fresh = with_boot(GOOD, proc_cmdline=FRESH, cmdline_txt=FRESH, config_txt="arm_boost=1\n")
    assert due(fresh) == [KERNEL, FIRMWARE, REBOOT]
    found = steps(fresh)
    assert found[KERNEL].why == "/boot/firmware/cmdline.txt: cgroup_enable=memory psi=1"
    assert found[KERNEL].query["text"] == f"{FRESH.rstrip()} cgroup_enable=memory psi=1\n"
    assert "+arm_freq=2000" in found[FIRMWARE].diffs[0].unified
    assert found[REBOOT].reboot_deadline_s == 600
    assert "the kernel runs without cgroup_enable=memory psi=1" in found[REBOOT].why


def test_os_prefix_moves_the_line_that_is_edited():
    path = "/boot/firmware/current/cmdline.txt"
    look = with_boot(GOOD, cmdline_txt=FRESH, cmdline_path=path)
    assert steps(look)[KERNEL].query["path"] == path


def test_a_line_too_many_is_cut_without_a_reboot():
    assert due(with_boot(GOOD, cmdline_txt=f"{CMDLINE}quiet\n")) == [KERNEL]


def test_what_the_running_kernel_lacks_is_rebooted_for_though_the_file_is_right():
    look = with_boot(GOOD, proc_cmdline=FRESH)
    assert due(look) == [REBOOT]
    assert steps(look)[REBOOT].query["always"] is True


def test_a_changed_config_txt_waits_for_a_reboot_until_there_was_one():
    assert due(with_file(GOOD, CONFIG_STAMP, plain("x"))) == [REBOOT]


def test_settings_that_are_off_ask_for_nothing():
    plan = node_plan(boot={"memory_cgroup": False, "psi": False, "config": {}}, power={"fan": {}})
    look = with_boot(GOOD, proc_cmdline=FRESH, cmdline_txt=FRESH, config_txt="arm_boost=1\n")
    assert due(look, plan) == []
    found = statuses(look, plan)
    assert {name for name, status in found.items() if status == "skip"} == {
        "kernel_has_its_parameters",
        "memory_controller_is_there",
        "pressure_is_told",
        "config_txt_has_the_planned_values",
    }


def test_a_node_that_may_not_reboot_is_edited_and_says_what_waits():
    plan = node_plan(boot={"reboot": "never"})
    look = with_boot(GOOD, config_txt=CONFIG.replace("2000", "1800"))
    assert due(look, plan) == [FIRMWARE]
    waiting = with_file(GOOD, CONFIG_STAMP, plain("x"))
    assert due(waiting, plan) == []
    assert statuses(waiting, plan)["no_reboot_is_pending"] == "warn"


def test_files_that_could_not_be_seen_are_not_edited_blindly():
    found = steps(replace(GOOD, boot=Unknown("permission denied")))[KERNEL]
    assert found.why == "permission denied"
    assert found.query["text"] == ""


@pytest.mark.parametrize(
    ("config", "got"),
    [
        ("[pi5]\narm_freq=2000\n", "arm_freq: nothing that holds on every board"),
        ("arm_freq=1500\n", "arm_freq=1500"),
        ("dtoverlay=vc4-kms-v3d\ndtparam=pciex1_gen=3\n", "pciex1_gen: nothing that holds"),
    ],
)
def test_what_config_txt_says_instead_is_told(config, got):
    node = SimpleNamespace(plan=PLAN, snapshot=with_boot(GOOD, config_txt=config))
    found = checks.config_txt_has_the_planned_values(PLAN.roles["boot"], node)
    assert (found.status, got in found.got) == ("fail", True)


# Elsewhere


def test_another_machine_is_left_alone_and_every_check_says_why():
    plan = node_plan(MINI_PC, boot=UPDATE)
    assert due(with_boot(OLD, proc_cmdline=FRESH, cmdline_txt=FRESH), plan) == []
    assert set(statuses(GOOD, plan).values()) == {"skip"}


def test_a_pi_that_nobody_knows_is_left_alone_and_no_check_calls_that_fine():
    strange = replace(PI5, model="Raspberry Pi 6 Model B Rev 1.0", kind="unknown")
    plan = node_plan(strange, boot=UPDATE)
    assert due(with_boot(OLD, proc_cmdline=FRESH, cmdline_txt=FRESH), plan) == []
    assert set(statuses(GOOD, plan).values()) == {"unknown"}
    notes = [steps(GOOD, plan)[name].note for name in (KERNEL, FIRMWARE)]
    assert all("does not know this Raspberry Pi (Raspberry Pi 6 Model B" in note for note in notes)


def test_a_cm5_lite_is_told_what_a_cm5_is():
    plan = node_plan(replace(PI5, model="Raspberry Pi Compute Module 5 Lite Rev 1.0", kind="cm5"))
    fresh = with_boot(GOOD, proc_cmdline=FRESH, cmdline_txt=FRESH, config_txt="")
    assert due(fresh, plan) == [KERNEL, FIRMWARE, REBOOT]


def test_a_pi_without_the_boot_folder_is_left_alone():
    look = with_boot(GOOD, proc_cmdline=FRESH, cmdline_txt=None, config_txt=None)
    assert due(look) == []
    found = statuses(look)
    assert found.pop("bootloader_is_current") == "pass"
    assert set(found.values()) == {"skip"}


@pytest.mark.parametrize("controllers", ["cpuset cpu io memory pids\n", "cpu pids\n"])
def test_in_a_container_the_kernel_proves_nothing_either_way(controllers):
    look = with_command(GOOD, "systemd-detect-virt --container", Output(0, "systemd-nspawn\n"))
    found = statuses(with_file(look, "/sys/fs/cgroup/cgroup.controllers", plain(controllers)))
    assert found["memory_controller_is_there"] == found["pressure_is_told"] == "skip"
    assert found["kernel_has_its_parameters"] == "pass"


# The bootloader


def test_an_old_bootloader_is_left_alone_without_leave():
    assert due(OLD) == []
    assert statuses(OLD)["bootloader_is_current"] == "warn"


def test_with_leave_it_is_staged_and_rebooted_for_if_it_was():
    plan = node_plan(boot=UPDATE)
    assert due(OLD, plan) == [STAGE, REBOOT]
    assert steps(OLD, plan)[REBOOT].query == {"always": False, "when": [CONFIG_STAMP, EEPROM_STAMP]}


def test_a_staged_update_is_not_staged_again():
    plan = node_plan(boot=UPDATE)
    staged = with_file(OLD, "/boot/firmware/pieeprom.upd", plain(""))
    assert due(staged, plan) == [REBOOT]
    assert due(with_file(OLD, EEPROM_STAMP, plain("x")), plan) == [REBOOT]
    assert due(staged) == []


def test_another_channel_is_chosen_with_leave_only():
    latest = plain('FIRMWARE_RELEASE_STATUS="latest"\n')
    look = with_file(GOOD, "/etc/default/rpi-eeprom-update", latest)
    assert due(look) == []
    found = steps(look, node_plan(boot=UPDATE))[STAGE]
    assert found.why == "its channel is latest, not default"
    assert found.query["channel"] == "default"


@pytest.mark.parametrize("kind", ["cm4", "other"])
def test_a_board_without_one_is_never_updated(kind):
    plan = node_plan(replace(PI5, kind=kind), boot=UPDATE)
    assert STAGE not in due(OLD, plan)
    assert statuses(OLD, plan)["bootloader_is_current"] == "skip"


@pytest.mark.parametrize("said", [None, Output(0, "No Raspberry Pi board info found\n")])
def test_a_node_that_has_no_bootloader_to_update_skips(said):
    look = with_command(GOOD, "rpi-eeprom-update", said)
    assert due(look, node_plan(boot=UPDATE)) == []
    assert statuses(look)["bootloader_is_current"] == "skip"


def test_words_that_say_nothing_are_unknown_and_not_current():
    look = with_command(GOOD, "rpi-eeprom-update", Output(0, "hello\n"))
    assert due(look, node_plan(boot=UPDATE)) == []
    assert statuses(look)["bootloader_is_current"] == "unknown"


# Settings


@pytest.mark.parametrize("name", ["dtoverlay", "dtparam", "include", "arm freq", "[all]", "a=b"])
def test_names_without_one_value_are_refused(name):
    with pytest.raises(ValidationError):
        settings(boot={"config": {name: "1"}})


def test_two_parameters_in_one_value_are_refused():
    with pytest.raises(ValidationError, match="a comma begins the next parameter"):
        settings(boot={"config": {"dtparam=i2c_arm": "on,spi=on"}})


@pytest.mark.parametrize("value", ["", "a b", "1\n[pi4]", "x" * 49])
def test_values_that_are_no_single_word_are_refused(value):
    with pytest.raises(ValidationError):
        settings(boot={"config": {"arm_freq": value}})
