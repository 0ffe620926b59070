"""What memory plans, does, refuses and takes back: by what is in force, and by who else owns swap."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from pydantic import ValidationError

from bramble import registry
from bramble.roles.memory import seen
from bramble.roles.memory.wanted import unit_of
from bramble.snapshot import Snapshot, Unit, Unknown
from bramble.system.parse import Swap, SwapMaker
from tests.unit.good_node import PI5, good_look, node_plan, settings
from tests.unit.looks import FOLDER, in_container, plain, with_file, with_unit_named
from tests.unit.roles.memory import good as good_memory
from tests.unit.roles.memory.faults import ENABLED, no_ssd, unit
from tests.unit.roles.memory.good import DPHYS, FILE, NOT_FOUND, PATH, SWAP_UNIT, ZRAM, ZRAMSWAP

PLAN = node_plan()
GOOD = good_look(PLAN)
WHY = Unknown("permission denied")
ROLE = registry.role("memory")
SEE, WRITE, RETIRE, VALUES = (
    "See what zram the kernel has",
    "Write memory's files",
    "Retire other owners of swap",
    "Set the kernel's values",
)
USE_ZRAM, USE_FILE = "Use zram as swap", "Use a swap file on the SSD"
ZRAM_CONF = "/etc/systemd/zram-generator.conf.d/99-bramble-memory.conf"
SYSCTL_CONF = "/etc/sysctl.d/99-bramble-memory.conf"
UNIT_FILE = f"/etc/systemd/system/{SWAP_UNIT}"
NOTE = f"/var/lib/bramble/memory/{DPHYS}"
BLOCK = "/sys/block/zram0"


def steps(look: Snapshot, plan=PLAN, way="steps"):
    """The role's steps by name."""
    return {step.name: step for step in getattr(ROLE, way)(plan.roles["memory"], plan, look)}


def due(look: Snapshot, plan=PLAN, way="steps"):
    """Why each step that has something to do has it."""
    return {name: s.why for name, s in steps(look, plan, way).items() if s.why is not None}


def planned(**changes):
    return node_plan(memory=changes)


def without(look: Snapshot, *paths: str) -> Snapshot:
    """The same look, but nothing stands at these paths."""
    for path in paths:
        look = with_file(look, path, None)
    return look


def text(path: str, plan=PLAN) -> str:
    return next(file.text for file in plan.roles["memory"].files if file.path == path)


FRESH = replace(
    without(GOOD, ZRAM_CONF, SYSCTL_CONF, UNIT_FILE, PATH, f"{BLOCK}/disksize"),
    swaps=(),
    packages={**GOOD.packages, "systemd-zram-generator": None},
)
FRESH = with_file(FRESH, "/proc/sys/vm/swappiness", plain("60\n"))

# The plan


def test_zram_is_half_of_the_memory_by_an_expression_that_outlasts_a_change_of_boards():
    assert "zram-size = ram * 50 / 100\n" in text(ZRAM_CONF)
    assert "zram-size = ram * 100 / 100\n" in text(ZRAM_CONF, planned(zram={"percent": 100}))


def test_the_swap_unit_has_the_name_that_systemd_demands_and_holds_up_no_boot():
    assert unit_of(PATH) == SWAP_UNIT
    assert unit_of("/srv/my-ssd/swap") == "srv-my\\x2dssd-swap.swap"
    found = text(UNIT_FILE).splitlines()
    assert {"What=/mnt/ssd/swapfile", "Priority=10", "DefaultDependencies=no"} <= set(found)
    assert not any(line.startswith("Before=swap.target") for line in found)


def test_values_that_are_not_set_are_left_to_the_kernel():
    assert "watermark" not in text(SYSCTL_CONF)
    plan = planned(kernel={"watermark_scale_factor": 125})
    assert "vm.watermark_scale_factor = 125\n" in text(SYSCTL_CONF, plan)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"zram": {"percent": 0}}, "greater than or equal to 5"),
        ({"zram": {"percent": 150}}, "less than or equal to 100"),
        ({"zram": {"percent": "half"}}, "valid integer"),
        ({"zram": {"algorithm": "zstd; reboot"}}, "pattern"),
        ({"swap_file": {"path": "/var/swap"}}, "pattern"),
        ({"swap_file": {"path": "/mnt/ssd/../../etc/passwd"}}, "pattern"),
        ({"swap_file": {"size_mib": 0}}, "greater than or equal to 128"),
        ({"swap_file": {"priority": 100}}, "the slow SSD would be used first"),
        ({"kernel": {"swappiness": 201}}, "less than or equal to 200"),
    ],
)
def test_a_bad_setting_is_refused_with_what_is_allowed(changes, said):
    with pytest.raises(ValidationError, match=said):
        settings(memory=changes)


# What there is to do


def test_a_good_node_has_nothing_to_do():
    assert due(GOOD) == {}


def test_a_fresh_node_gets_everything():
    assert due(FRESH) == {
        SEE: f"{ZRAM_CONF} is to be written",
        WRITE: f"{ZRAM_CONF}, {SYSCTL_CONF}, {UNIT_FILE}",
        VALUES: "vm.swappiness is 60",
        USE_ZRAM: "/dev/zram0 is no swap",
        USE_FILE: f"{PATH} is no swap in use",
    }


def test_a_container_is_left_alone_altogether():
    assert due(in_container(FRESH)) == {}
    assert len(steps(in_container(FRESH))) == len(steps(FRESH))


def test_a_node_that_says_nothing_has_the_same_steps():
    assert list(steps(Snapshot())) == list(steps(GOOD))


@pytest.mark.parametrize(
    ("swap", "why"),
    [
        (replace(ZRAM, size_kib=256 * 1024 - 16), "/dev/zram0 has 256 MiB, not 4031"),
        (replace(ZRAM, size_kib=8063 * 1024 * 51 // 100), "/dev/zram0 has 4112 MiB, not 4031"),
        (replace(ZRAM, size_kib=8063 * 1024 * 49 // 100), "/dev/zram0 has 3951 MiB, not 4031"),
        (replace(ZRAM, priority=5), "/dev/zram0 has priority 5, not 100"),
    ],
)
def test_zram_that_somebody_made_otherwise_is_made_anew(swap, why):
    assert due(replace(GOOD, swaps=(swap, FILE))) == {USE_ZRAM: why}


@pytest.mark.parametrize("off_kib", [900, -900, 6 * 1024, -6 * 1024])
def test_a_size_that_was_rounded_or_taken_of_some_mib_more_or_less_is_right(off_kib):
    close = replace(ZRAM, size_kib=ZRAM.size_kib + off_kib)
    assert due(replace(GOOD, swaps=(close, FILE))) == {}


def test_zram_is_judged_by_the_memory_of_this_boot_and_not_of_the_one_that_was_planned():
    plan = node_plan(replace(PI5, memory_mib=3792))
    zram = replace(ZRAM, size_kib=1926 * 1024 - 4)
    after = replace(good_look(plan), memory_kib={"MemTotal": 3852 * 1024}, swaps=(zram, FILE))
    assert USE_ZRAM not in due(after, plan)
    assert due(replace(after, memory_kib=WHY), plan)[USE_ZRAM] == "permission denied"


def test_another_algorithm_or_a_writeback_file_is_mended():
    other = with_file(GOOD, f"{BLOCK}/comp_algorithm", plain("lzo-rle lzo [zstd]\n"))
    assert due(other) == {USE_ZRAM: "/dev/zram0 compresses by zstd"}
    assert due(with_file(GOOD, f"{BLOCK}/backing_dev", plain("/dev/loop0\n"))) == {
        USE_ZRAM: "/dev/zram0 writes back to /dev/loop0"
    }


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (
            with_file(GOOD, "/etc/log2ram.conf", plain('SIZE=128M\nZL2R="true"\n')),
            "log2ram has a zram device (ZL2R=true)",
        ),
    ],
)
def test_who_else_owns_zram_stops_the_step_even_where_all_is_right_for_now(look, why):
    assert due(look) == {SEE: why}
    assert next(iter(steps(look))) == SEE


def made_by(*makers: SwapMaker) -> Snapshot:
    """A good look but for what else makes zram or swap at a boot."""
    return replace(GOOD, swap_makers=(*good_memory.MAKERS, *makers))


LOG2RAM = SwapMaker("log2ram.service", "/usr/local/bin/log2ram", "modprobe zram")
ZRAM_CONFIG = SwapMaker("zram-config.service", "/usr/bin/init-zram-swapping", "modprobe zram")
FSTAB_SWAP = SwapMaker("dev-sda2.swap", "/etc/fstab", "What=/dev/sda2")


def test_whatever_a_boot_runs_that_makes_zram_stops_the_step():
    assert due(made_by(ZRAM_CONFIG)) == {
        SEE: "zram-config.service makes zram (/usr/bin/init-zram-swapping)"
    }
    query = steps(made_by(ZRAM_CONFIG))[SEE].query
    assert {"dev-zram0.swap", SWAP_UNIT, "zramswap.service"} <= set(query["ours"])


def test_what_makes_swap_elsewhere_stops_nothing_and_is_told():
    assert due(made_by(FSTAB_SWAP)) == {}
    partition = Swap("/dev/sda2", "partition", 1000, 0, -2)
    look = replace(made_by(FSTAB_SWAP), swaps=(ZRAM, FILE, partition))
    paths = ("/dev/zram0", PATH)
    assert seen.left_alone(look, paths) == ("/dev/sda2 (/etc/fstab)",)
    by_hand = replace(GOOD, swaps=(ZRAM, FILE, partition))
    assert seen.left_alone(by_hand, paths) == ("/dev/sda2 (nothing says by whom)",)


def test_log2rams_script_makes_zram_only_where_its_configuration_says_so():
    assert due(made_by(LOG2RAM)) == {}
    look = with_file(made_by(LOG2RAM), "/etc/log2ram.conf", plain("ZL2R=true\n"))
    assert LOG2RAM in seen.others(look, ())


def test_zram_that_another_made_is_not_taken_back():
    look = unit("systemd-zram-setup@zram0.service", replace(ENABLED, enabled="static"))
    assert "Take zram out of use" not in due(look, way="revert")


def test_log2ram_without_zram_is_no_conflict():
    look = with_file(GOOD, "/etc/log2ram.conf", plain("#ZL2R=true\nZL2R=false\n"))
    assert due(look) == {}


# The swap file


@pytest.mark.parametrize(
    ("swap", "why"),
    [
        (replace(FILE, size_kib=512 * 1024 - 16), f"{PATH} has 512 MiB, not 2048"),
        (replace(FILE, priority=-2), f"{PATH} has priority -2, not 10"),
    ],
)
def test_a_swap_file_of_another_size_or_priority_is_mended(swap, why):
    assert due(replace(GOOD, swaps=(ZRAM, swap))) == {USE_FILE: why}


def test_a_unit_that_the_next_boot_would_not_start_is_mended():
    look = with_unit_named(GOOD, SWAP_UNIT, enabled="disabled")
    assert due(look) == {USE_FILE: f"{SWAP_UNIT} is disabled, or older in systemd's memory"}


def test_without_an_ssd_there_is_no_swap_file_and_no_unit():
    look = no_ssd(FRESH)
    assert USE_FILE not in due(look)
    assert due(look)[WRITE] == f"{ZRAM_CONF}, {SYSCTL_CONF}"
    assert due(no_ssd(GOOD)) == {}


def test_a_path_beside_the_ssd_is_a_step_that_refuses_and_no_unit():
    found = due(GOOD, planned(swap_file={"path": "/srv/swapfile"}))
    assert list(found) == [USE_FILE]


def test_an_ssd_that_others_may_write_gets_no_swap_file_of_root_s():
    for root in (replace(FOLDER, owner="pi"), replace(FOLDER, mode=0o777)):
        look = with_file(FRESH, "/mnt/ssd", root)
        assert steps(look)[USE_FILE].why is None
        required = steps(look, planned(swap_file={"on_ssd": "required"}))[USE_FILE]
        assert "others than root may write there" in required.why


def test_where_a_swap_file_is_required_a_missing_ssd_is_a_step_that_refuses():
    plan = planned(swap_file={"on_ssd": "required"})
    step = steps(no_ssd(FRESH), plan)[USE_FILE]
    assert (step.why, step.query["required"]) == ("nothing is mounted at /mnt/ssd", True)
    off = node_plan(
        memory={"swap_file": {"on_ssd": "required"}}, storage={"ssd": {"device": "off"}}
    )
    assert steps(FRESH, off)[USE_FILE].why == "storage.ssd.device is off"


def test_a_file_that_is_no_swap_is_refused_before_the_unit_is_written():
    bare = with_file(FRESH, PATH, plain("a person's"))
    commands = {**FRESH.commands, good_memory.signature_at(16384): good_memory.NO_SIGNATURE}
    found = due(replace(bare, commands=commands))
    assert UNIT_FILE not in found[WRITE]
    assert found[USE_FILE] == f"{PATH} is no swap in use"


def test_a_swap_file_that_is_not_wanted_is_not_made():
    plan = planned(swap_file={"on_ssd": "never"})
    assert USE_FILE not in due(FRESH, plan)
    assert UNIT_FILE not in [file.path for file in plan.roles["memory"].files]


def test_a_changed_unit_is_read_again():
    look = with_file(GOOD, UNIT_FILE, plain("old\n"))
    assert due(look) == {WRITE: UNIT_FILE, USE_FILE: "its unit is written again"}


# Other owners


def retired(look: Snapshot):
    return steps(look)[RETIRE].query


def test_dphys_swapfile_is_retired_with_the_file_that_its_own_configuration_names():
    look = unit(DPHYS, ENABLED)
    assert retired(look) == {"units": [DPHYS], "files": ["/var/swap"], "notes": [NOTE]}
    named = with_file(look, "/etc/dphys-swapfile", plain("CONF_SWAPFILE='/data/sw ap'\n"))
    assert retired(named)["files"] == []
    named = with_file(look, "/etc/dphys-swapfile", plain('CONF_SWAPFILE="/data/swap" # here\n'))
    assert retired(named)["files"] == ["/data/swap"]
    commented = with_file(look, "/etc/dphys-swapfile", plain("#CONF_SWAPFILE=/data/swap\n"))
    assert retired(commented)["files"] == ["/var/swap"]


def test_dphys_swapfiles_file_is_not_removed_where_ours_is_to_be():
    look = with_file(unit(DPHYS, ENABLED), "/etc/dphys-swapfile", plain(f"CONF_SWAPFILE={PATH}\n"))
    assert retired(look)["files"] == []


def test_a_configuration_that_cannot_be_read_has_no_file_removed():
    assert retired(with_file(unit(DPHYS, ENABLED), "/etc/dphys-swapfile", WHY))["files"] == []


@pytest.mark.parametrize(
    "state",
    [
        NOT_FOUND,
        replace(ENABLED, enabled="disabled"),
        replace(ENABLED, enabled="disabled", active="failed"),
        replace(ENABLED, enabled="masked", load="masked"),
    ],
)
def test_an_owner_that_neither_runs_nor_will_is_left_alone(state):
    assert due(unit(DPHYS, state)) == {}


def test_zram_tools_is_retired_before_our_zram_is_made():
    look = unit(ZRAMSWAP, replace(ENABLED, active="active"))
    assert retired(look)["units"] == [ZRAMSWAP]
    assert list(steps(look)).index(RETIRE) < list(steps(look)).index(USE_ZRAM)
    assert steps(look)[RETIRE].look_again


# Taking back


def reverted(look: Snapshot = GOOD) -> Snapshot:
    """The look after all of it was taken back."""
    bare = without(look, ZRAM_CONF, SYSCTL_CONF, UNIT_FILE, PATH)
    assert isinstance(bare.packages, Mapping)
    return replace(bare, swaps=(), packages={**bare.packages, "systemd-zram-generator": None})


def test_all_that_is_ours_is_taken_back():
    found = steps(GOOD, way="revert")
    assert {name for name, step in found.items() if step.why is None} == {"Forget what was retired"}
    assert found["Take the swap file out of use"].query == {
        "units": [SWAP_UNIT],
        "files": [PATH],
        "notes": [],
    }
    assert found["Take the kernel's values back"].query == {
        "values": {"vm.swappiness": "60", "vm.page-cluster": "3"},
        "remove": SYSCTL_CONF,
    }
    assert found["Remove memory's files"].query["paths"] == [ZRAM_CONF, UNIT_FILE]


def test_a_second_time_there_is_nothing_to_take_back():
    assert due(reverted(), way="revert") == {}
    assert list(steps(reverted(), way="revert")) == list(steps(GOOD, way="revert"))


def test_what_was_retired_by_us_comes_back_and_what_a_person_disabled_does_not():
    there = Unit("loaded", "inactive", "dead", "disabled", False, 0, "success", None)
    look = unit(DPHYS, there)
    assert steps(look, way="revert")["Bring back what was retired"].query["start"] == []
    by_us = steps(with_file(look, NOTE, plain("by us\n")), way="revert")
    back = by_us["Bring back what was retired"].query
    assert (back["enable"], back["start"], back["reload"]) == ([DPHYS], [DPHYS], True)
    assert by_us["Forget what was retired"].query["paths"] == [NOTE]


def test_an_owner_that_is_gone_by_now_is_not_started():
    look = with_file(GOOD, NOTE, plain("by us\n"))
    assert steps(look, way="revert")["Bring back what was retired"].query["start"] == []


def test_a_swap_file_without_our_unit_is_somebody_elses():
    assert "Take the swap file out of use" not in due(without(GOOD, UNIT_FILE), way="revert")


def test_zram_without_our_configuration_is_somebody_elses():
    theirs = due(without(GOOD, ZRAM_CONF), way="revert")
    assert "Take zram out of use" not in theirs
    assert "Remove zram-generator" not in theirs


# Readings


def test_the_algorithm_is_the_one_in_brackets_or_the_only_one():
    assert seen.chosen("lzo-rle lzo lz4 [zstd]") == "zstd"
    assert seen.chosen("lzo") == "lzo"


def test_a_signature_is_read_where_this_page_size_has_it():
    assert seen.made_for(GOOD, PATH) == 16384
    look = replace(GOOD, commands={**GOOD.commands, good_memory.signature_at(4096): None})
    assert isinstance(seen.made_for(look, PATH), Unknown)
