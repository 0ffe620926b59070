"""What spoils what boot proves, what hides it from a look, and where its checks do not apply."""

from dataclasses import replace

from bramble.snapshot import Output
from tests.unit.looks import DETECT, WHY, plain, with_boot, with_command, with_file
from tests.unit.roles.boot.good import (
    CMDLINE,
    CONFIG,
    CONFIG_STAMP,
    CONTROLLERS,
    EEPROM,
    PRESSURE,
    RECOVERY,
    STAGED,
)
from tests.unit.spoiled import GOOD, MINI_PC, NO_FILES, Cases, Exceptions, Node

NO_BOOT = replace(GOOD, boot=WHY)

FAULTS: Cases = {
    "kernel_has_its_parameters": {
        "not given": with_boot(GOOD, proc_cmdline="cgroup_disable=memory root=PARTUUID=1-02\n"),
        "one of two": with_boot(GOOD, proc_cmdline="psi=1\n"),
        "undone by a later one": with_boot(
            GOOD, proc_cmdline="psi=1 cgroup_enable=memory cgroup_disable=memory\n"
        ),
        "a later value": with_boot(GOOD, proc_cmdline="cgroup_enable=memory psi=1 psi=0\n"),
        "only in the file": with_boot(GOOD, proc_cmdline="root=PARTUUID=4e639091-02\n"),
    },
    "cmdline_txt_is_one_line": {
        "a second line": with_boot(GOOD, cmdline_txt="root=PARTUUID=1-02\npsi=1\n"),
        "a blank line first": with_boot(GOOD, cmdline_txt="\nroot=PARTUUID=1-02\n"),
        "empty": with_boot(GOOD, cmdline_txt="\n"),
        "not there": with_boot(GOOD, cmdline_txt=None),
    },
    "memory_controller_is_there": {
        "disabled": with_file(GOOD, CONTROLLERS, plain("cpuset cpu io pids\n")),
        "none at all": with_file(GOOD, CONTROLLERS, plain("")),
        "no version 2": with_file(GOOD, CONTROLLERS, None),
    },
    "pressure_is_told": {"not told": with_file(GOOD, PRESSURE, None)},
    "config_txt_has_the_planned_values": {
        "another value": with_boot(GOOD, config_txt="arm_freq=1800\ndtparam=pciex1_gen=3\n"),
        "a later value": with_boot(GOOD, config_txt=f"{CONFIG}arm_freq=1500\n"),
        "on some boards only": with_boot(GOOD, config_txt=CONFIG.replace("[all]", "[pi4]")),
        "commented out": with_boot(GOOD, config_txt=CONFIG.replace("arm_freq", "#arm_freq")),
        "no value": with_boot(GOOD, config_txt=""),
        "no file": with_boot(GOOD, config_txt=None),
    },
    "bootloader_is_current": {
        "old": with_command(
            GOOD, "rpi-eeprom-update", Output(1, EEPROM.replace("up to date", "update available"))
        ),
        "staged": with_file(with_file(GOOD, STAGED, plain("")), RECOVERY, plain("")),
    },
    "no_reboot_is_pending": {
        "config.txt was changed": with_file(GOOD, CONFIG_STAMP, plain("")),
        "cmdline.txt was changed": with_boot(GOOD, proc_cmdline="root=PARTUUID=4e639091-02\n"),
    },
    "lines_are_as_written": {
        "a token that the next boot lacks": with_boot(
            GOOD, cmdline_txt=CMDLINE.replace(" cgroup_enable=memory", "")
        ),
        "a later value": with_boot(GOOD, cmdline_txt=CMDLINE.replace("\n", " psi=0\n")),
        "a value of config.txt": with_boot(GOOD, config_txt=f"{CONFIG}arm_freq=1500\n"),
    },
}

BLIND: Cases = {
    "lines_are_as_written": {"no boot": NO_BOOT},
    "kernel_has_its_parameters": {"no boot": NO_BOOT},
    "cmdline_txt_is_one_line": {"no boot": NO_BOOT},
    "memory_controller_is_there": {
        "no boot": NO_BOOT,
        "no files": NO_FILES,
        "perhaps a container": with_command(GOOD, DETECT, WHY),
        "no controllers": with_file(GOOD, CONTROLLERS, WHY),
    },
    "pressure_is_told": {
        "no boot": NO_BOOT,
        "no files": NO_FILES,
        "perhaps a container": with_command(GOOD, DETECT, WHY),
        "no pressure": with_file(GOOD, PRESSURE, WHY),
    },
    "config_txt_has_the_planned_values": {"no boot": NO_BOOT},
    "bootloader_is_current": {
        "no boot": NO_BOOT,
        "no commands": replace(GOOD, commands=WHY),
        "no answer": with_command(GOOD, "rpi-eeprom-update", WHY),
        "no files": NO_FILES,
        "perhaps staged": with_file(GOOD, STAGED, WHY),
    },
    "no_reboot_is_pending": {
        "no boot": NO_BOOT,
        "no files": NO_FILES,
        "no stamp": with_file(GOOD, CONFIG_STAMP, WHY),
    },
}

SKIPPED: Exceptions = {
    "lines_are_as_written": ((Node(GOOD, plan=MINI_PC), "edited on a Raspberry Pi"),),
}
