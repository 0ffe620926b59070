"""Where logs go: what is decided of the journal and of log2ram, and what is taken back."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from bramble.plan import together
from bramble.roles.storage import journal, log2ram, log_rotation, logs
from bramble.roles.storage.settings import Settings
from bramble.snapshot import FileState, Output, Snapshot, Unknown
from bramble.system.parse import Disk, Mount
from tests.unit.good_node import PI5, good_look, node_plan
from tests.unit.looks import plain, with_command, with_file, with_unit_named, without
from tests.unit.roles.storage.logs import IN_MEMORY, MEMORY, UNIT, remounted

PLAN = node_plan()
GOOD = good_look(PLAN)
BARE = without(
    replace(GOOD, packages={**GOOD.packages, "log2ram": None}, mounts=(GOOD.mounts[0],)),
    *(log2ram.CONF, log2ram.STOP, log2ram.DAILY, log2ram.SOURCE, log2ram.PIN),
    PLAN.roles["storage"].logs.log2ram.repository.keyring,
)
WITH_RSYSLOG = replace(BARE, packages={**BARE.packages, "rsyslog": "8.2302.0-1"})
NO_RULE = (log_rotation.RULE, None)
PERSISTENT = {"journal": {"storage": "persistent"}}


def desired(**storage: object) -> logs.Desired:
    """What is wanted of logs with these settings of storage."""
    return node_plan(storage={"log2ram": "auto", **storage}).roles["storage"].logs


def due(look: Snapshot, **storage: object) -> dict[str, str]:
    """The steps about logs that have something to do, with why."""
    found = logs.steps(desired(**storage), look)
    return {step.name: step.why for step in found if step.why is not None}


# Settings


def test_a_journal_that_would_fill_log2rams_memory_is_refused_with_the_numbers():
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"journal": {"storage": "persistent", "cap_mib": 65}})
    said = str(refused.value)
    assert "log2ram_size_mib is 128, of which a persistent journal may fill 64 MiB" in said
    assert "Set journal.cap_mib to 64 or less, or log2ram_size_mib to 130 or more" in said


@pytest.mark.parametrize(
    "storage",
    [
        {"journal": {"storage": "persistent", "cap_mib": 64}},
        {"journal": {"storage": "persistent", "cap_mib": 500}, "log2ram": "off"},
        {"journal": {"storage": "volatile", "cap_mib": 500}},
    ],
)
def test_a_journal_that_fits_or_is_elsewhere_is_taken(storage):
    assert Settings.model_validate(storage)


@pytest.mark.parametrize(
    "folder", ["/", "/etc", "/opt", "opt/log", "/opt/../etc", "/opt/log/", "/a b"]
)
def test_a_folder_that_is_no_log_folder_is_refused(folder):
    with pytest.raises(ValidationError):
        Settings.model_validate({"log_folders": [folder]})


@pytest.mark.parametrize("fingerprint", ["0312D8E6", "98b8" * 10, "98B8 " * 10])
def test_a_fingerprint_is_the_whole_one(fingerprint):
    with pytest.raises(ValidationError):
        Settings.model_validate({"log2ram_repository": {"fingerprint": fingerprint}})


# The journal


def test_the_drop_in_names_the_place_and_the_cap():
    (drop_in,) = desired(journal={"storage": "persistent", "cap_mib": 32}).files
    assert drop_in.path == "/etc/systemd/journald.conf.d/99-bramble.conf"
    assert drop_in.text.endswith(
        "[Journal]\nStorage=persistent\nRuntimeMaxUse=32M\nSystemMaxUse=32M\n"
    )


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (without(GOOD, IN_MEMORY), "the journal is persistent, not volatile"),
        (
            with_command(GOOD, journal.SAID, Output(0, '{"MAX_USE":"506474496"}')),
            "journald keeps to 483 MiB, not 64",
        ),
        (without(GOOD, journal.DROP_IN), "its drop-in is written again"),
    ],
)
def test_the_journal_is_restarted_where_something_else_is_in_force(look, why):
    assert due(look, log2ram="on")["Restart the journal"] == why


@pytest.mark.parametrize("said", [Output(0, ""), Output(1, ""), Unknown("no")])
def test_a_cap_that_journald_no_longer_tells_restarts_nothing(said):
    assert due(with_command(GOOD, journal.SAID, said), log2ram="on") == {}


def test_the_last_value_counts_and_comments_do_not():
    text = "[Journal]\nStorage=auto\n#Storage=none\n; Storage=none\nStorage = volatile \n"
    assert journal.configuration(with_command(GOOD, journal.CONFIG, Output(0, text))) == {
        "Storage": "volatile"
    }


@pytest.mark.parametrize(
    ("said", "used"), [("0B", 0), ("512.0K", 1 << 19), ("8.0M", 8 << 20), ("1.5G", 3 << 29)]
)
def test_the_journals_size_is_read(said, used):
    line = f"Archived and active journals take up {said} in the file system.\n"
    planned = desired().journal
    assert journal.used_bytes(planned, with_command(GOOD, planned.usage, Output(0, line))) == used


# Whether log2ram is wanted


def card(target: str = "/") -> tuple[Disk, ...]:
    """An SD card whose second part is mounted there."""
    rest = (None, None, None, (target,), None, None, False)
    part = Disk("/dev/mmcblk0p2", "part", None, 1 << 34, *rest)
    return (replace(part, path="/dev/mmcblk0", kind="disk", mountpoints=(), parts=(part,)),)


@pytest.mark.parametrize(
    ("look", "storage", "why"),
    [
        (BARE, PERSISTENT, "the journal is persistent (/dev/mmcblk0)"),
        (WITH_RSYSLOG, {}, "rsyslog is installed (/dev/mmcblk0)"),
        (
            BARE,
            {"log_folders": ["/opt/app/log"]},
            "an application logs to /opt/app/log (/dev/mmcblk0)",
        ),
        (BARE, {"log2ram": "on"}, "storage.log2ram is on"),
    ],
)
def test_log2ram_is_wanted_where_a_card_would_be_written_to(look, storage, why):
    found = log2ram.verdict(desired(**storage).log2ram, replace(look, disks=card()))
    assert found == log2ram.Verdict(True, why)


def test_a_root_that_is_called_dev_root_is_found_by_where_it_is_mounted():
    look = replace(BARE, disks=card(), mounts=(Mount("/", "ext4", "/dev/root", ("rw",)),))
    assert log2ram.verdict(desired(**PERSISTENT).log2ram, look).wanted


def test_log2rams_own_mount_does_not_hide_the_card():
    look = replace(GOOD, disks=card())
    assert log2ram.verdict(desired(**PERSISTENT).log2ram, look).wanted


@pytest.mark.parametrize(
    ("look", "storage", "why"),
    [
        (BARE, {}, "the journal is volatile, there is no rsyslog, and storage.log_folders names"),
        (WITH_RSYSLOG, {"log2ram": "off"}, "storage.log2ram is off"),
        (
            replace(WITH_RSYSLOG, mounts=(Mount("/", "ext4", "/dev/sda2", ("rw",)),)),
            {},
            "rsyslog is installed, but no SD card holds that",
        ),
        (
            replace(BARE, mounts=(*BARE.mounts, Mount("/mnt/ssd", "ext4", "/dev/sda1", ("rw",)))),
            {"log_folders": ["/mnt/ssd/log"]},
            "but no SD card holds that",
        ),
        (
            replace(WITH_RSYSLOG, mounts=(Mount("/", "overlay", "overlay", ("rw",)),)),
            {},
            "but no SD card holds that",
        ),
    ],
)
def test_log2ram_is_not_wanted_elsewhere_and_the_plan_says_why(look, storage, why):
    cards = replace(look, disks=(replace(card()[0], parts=()),))
    found = log2ram.verdict(desired(**storage).log2ram, cards)
    assert not found.wanted
    assert why in found.why
    notes = {step.name: step.note for step in logs.steps(desired(**storage), cards) if step.note}
    assert notes == {"Install log2ram": found.why}


@pytest.mark.parametrize("part", ["packages", "mounts", "disks"])
def test_what_could_not_be_seen_decides_nothing(part):
    blind = replace(WITH_RSYSLOG, **{part: Unknown("no")})
    assert log2ram.verdict(desired().log2ram, blind) == Unknown("no")
    assert due(blind) == {}
    assert logs.waits_for_reboot(desired(), blind) == ()


# Bringing it


def test_a_bare_node_gets_the_repository_before_the_package_and_the_room_is_seen_first():
    assert list(due(BARE, log2ram="on")) == [
        "Add log2ram's repository",
        "See that the logs fit into log2ram's memory",
        "Write log2ram's configuration",
        "Install log2ram",
        "Have systemd read log2ram's files",
    ]


def test_debian_needs_no_repository_from_trixie_on():
    trixie = node_plan(replace(PI5, codename="trixie"), storage={"log2ram": "on"})
    found = {step.name: step.why for step in logs.steps(trixie.roles["storage"].logs, BARE)}
    assert found["Add log2ram's repository"] is None
    assert found["Install log2ram"] == "log2ram"


@pytest.mark.parametrize(
    ("codename", "own", "step"),
    [
        ("trixie", None, "Have log2ram's log rotated"),  # it is to be installed
        (
            "trixie",
            FileState("directory", 0o755, "root", "root", 0, 1),
            "Have log2ram's log rotated",
        ),
        ("trixie", plain("/var/log/log2ram.log {}"), "Leave log2ram's log to its package"),
        ("bookworm", None, None),
        ("bookworm", plain("/var/log/log2ram.log {}"), "Leave log2ram's log to its package"),
    ],
)
def test_log2rams_log_is_rotated_once_whoever_has_the_rule(codename, own, step):
    """Debian's package has its rule where logrotate does not look."""
    plan = node_plan(replace(PI5, codename=codename), storage={"log2ram": "on"})
    look = with_file(with_file(BARE, *NO_RULE), log_rotation.PACKAGES_OWN, own)
    names = set(log_rotation.NAMES)
    without, with_rule = (
        {s.name for s in logs.steps(plan.roles["storage"].logs, seen) if s.why} & names
        for seen in (look, with_file(look, log_rotation.RULE, plain(log_rotation.rule().text)))
    )
    wanted = step == log_rotation.NAMES[0]
    assert without == ({step} if wanted else set())
    assert with_rule == (set() if wanted or own is None else {step})


def test_the_configuration_takes_no_zram_and_holds_the_folders_once():
    planned = desired(
        log2ram="on", log2ram_size_mib=64, log_folders=["/opt/app/log", "/var/log/nginx"]
    ).log2ram
    (conf, stop, daily) = planned.files
    assert 'SIZE=64M\nPATH_DISK="/var/log;/opt/app/log"\n' in conf.text
    assert "ZL2R=false\n" in conf.text
    assert "ExecStop=-/usr/bin/journalctl --relinquish-var\nExecStop=log2ram stop\n" in stop.text
    assert "journalctl --rotate" in daily.text


def test_the_pin_lets_one_package_in():
    pin, source = desired(log2ram="on").log2ram.repository.files
    site = 'Pin: origin "packages.azlux.fr"\n'
    assert f"Package: *\n{site}Pin-Priority: -1\n" in pin.text
    assert f"Package: log2ram\n{site}Pin-Priority: 500\n" in pin.text
    assert "Signed-By: /etc/apt/keyrings/bramble-log2ram-98B824A5FA7D3A10" in source.text


def test_a_keyring_that_is_gone_brings_the_repository_again():
    keyring = PLAN.roles["storage"].logs.log2ram.repository.keyring
    assert due(without(GOOD, keyring), log2ram="on") == {
        "Add log2ram's repository": f"{keyring} is not there"
    }


def test_units_that_systemd_has_not_read_are_read():
    look = with_unit_named(GOOD, UNIT, needs_reload=True)
    assert due(look, log2ram="on") == {
        "Have systemd read log2ram's files": "its files were written again"
    }


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (BARE, "/var/log is not in log2ram's memory"),
        (
            remounted(GOOD, replace(MEMORY, options=("size=65536k",))),
            "/var/log has 64 MiB of memory, not 128",
        ),
    ],
)
def test_what_log2ram_does_not_hold_waits_for_a_reboot(look, why):
    assert logs.waits_for_reboot(desired(log2ram="on"), look) == (why,)


def test_nothing_waits_where_log2ram_holds_all_or_is_not_wanted_or_has_failed():
    assert logs.waits_for_reboot(desired(log2ram="on"), GOOD) == ()
    assert logs.waits_for_reboot(desired(), BARE) == ()
    failed = with_unit_named(BARE, UNIT, active="failed")
    assert logs.waits_for_reboot(desired(log2ram="on"), failed) == ()


def test_a_folder_that_is_there_waits_too_and_one_that_is_not_does_not():
    planned = desired(log2ram="on", log_folders=["/opt/app/log"])
    look = replace(GOOD, files={**GOOD.files, "/opt/app/log": None})
    assert logs.waits_for_reboot(planned, look) == ()
    there = replace(GOOD, files={**GOOD.files, "/opt/app/log": plain("")})
    assert logs.waits_for_reboot(planned, there) == ("/opt/app/log is not in log2ram's memory",)


# Taking it back


def test_all_that_was_set_is_taken_back_the_logs_first():
    found = {step.name: step for step in logs.revert(GOOD) if step.why is not None}
    assert list(found) == [
        "Write log2ram's logs back and remove it",
        "Remove log2ram's files",
        "Have systemd forget log2ram",
        "Remove the journal's drop-in",
        "Restart the journal",
    ]
    written_back, removed, *_ = found.values()
    assert written_back.query == {"folders": ["/var/log"]}
    assert removed.query["paths"][0] == log2ram.SOURCE
    assert set(removed.query["paths"]) >= {log2ram.PIN, log2ram.STOP, log2ram.DAILY}


def test_nothing_is_left_to_take_back_of_a_node_that_is_bare():
    assert [s.name for s in logs.revert(without(BARE, journal.DROP_IN)) if s.why] == []


def test_a_log2ram_of_somebody_elses_stays():
    own = without(GOOD, log2ram.STOP, log2ram.DAILY, log2ram.SOURCE, log2ram.PIN)
    keyring = PLAN.roles["storage"].logs.log2ram.repository.keyring
    theirs = replace(own, files={**own.files, keyring: None, log2ram.CONF: plain("SIZE=128M\n")})
    assert "Write log2ram's logs back and remove it" not in {
        step.name for step in logs.revert(theirs) if step.why
    }


def test_a_log2ram_that_is_no_longer_wanted_is_taken_away_with_the_reason():
    found = due(GOOD, log2ram="off")
    assert found["Write log2ram's logs back and remove it"] == "storage.log2ram is off"
    assert "Remove log2ram's files" in found


def test_facts_of_several_roles_name_each_thing_once():
    parts = logs.facts_needed(Settings())
    assert together((*parts, *parts)) == together(parts)
