"""What base does about a clock, half-installed packages, names, keys and sshd, and what it leaves."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml
from pydantic import ValidationError

from bramble import registry
from bramble.roles.base import access, checks, clock, cloud, hosts, sudo
from bramble.snapshot import Login, Output, Snapshot, Unknown
from tests.unit.good_node import good_look, node_plan, settings
from tests.unit.looks import (
    in_container,
    plain,
    with_command,
    with_file,
    with_unit_named,
    without,
)
from tests.unit.roles.base.good import (
    CLOCK_STATE,
    CLOUD_INSTANCE,
    CLOUD_SETTINGS,
    KEY,
    KEYS,
    SSHD_PROCESS,
    TRIAL,
    UPGRADES_TIMER,
)

PLAN = node_plan()
GOOD = good_look(PLAN)
ROLE = registry.role("base")
CLOCK, REPAIR, NAME = "Set the clock", "Repair what dpkg left half done", "Set the hostname"
KEYS_STEP, SSHD = "Set the user's keys", "Set sshd's options"
DROP_IN = "/etc/ssh/sshd_config.d/00-bramble.conf"
CONF = "/etc/apt/apt.conf.d/99-bramble-unattended-upgrades"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOtherOtherOtherOtherOtherOtherOtherOth you"
NOTHING = {
    "unattended_upgrades": None,
    "hostname": None,
    "timezone": None,
    "authorized_keys": [],
    "ssh": {},
    "passwordless_sudo": None,
}


def steps(look: Snapshot, plan=PLAN, way="steps"):
    """The role's steps that have something to do, by name."""
    found = getattr(ROLE, way)(plan.roles["base"], plan, look)
    return {step.name: step for step in found if step.why is not None}


def times(look: Snapshot, *, ahead_s: int = 0, **changes: str) -> Snapshot:
    """The look with another clock."""
    reported = CLOCK_STATE | {"NTPSynchronized": "no"} | changes
    return replace(look, clock=reported, taken_at_s=look.taken_at_s + ahead_s)


def keys(text: str, mode: int = 0o600) -> Snapshot:
    """The look with other keys."""
    return replace(GOOD, login=Login("pi", KEYS, replace(plain(text, mode), owner="pi")))


# The clock


def test_a_clock_that_no_server_set_is_left_alone_while_it_is_near_ours():
    assert steps(times(GOOD, ahead_s=50)) == {}
    assert steps(times(GOOD, ahead_s=-50)) == {}


def test_a_clock_that_is_far_off_is_waited_for_and_told_the_right_time():
    step = steps(times(GOOD, ahead_s=-3600))[CLOCK]
    assert step.why == "not synchronised, and 3599 s behind this computer"
    assert step.query == {
        "ntp": False,
        "wait_s": 45,
        "tolerance_s": 60,
    }
    assert step.sent_at == "right_at_s"
    assert step.timeout_s > step.query["wait_s"]
    assert step.query["wait_s"] < 60, "who deploys is to read within a minute what is wrong"


def test_a_clock_that_follows_a_server_is_believed_more_than_ours():
    assert steps(times(GOOD, ahead_s=9999, NTPSynchronized="yes")) == {}


def test_ntp_that_is_off_is_switched_on_where_the_node_has_it():
    off = times(GOOD, NTP="no")
    assert steps(off)[CLOCK].query["ntp"] is True
    assert steps(off)[CLOCK].query["wait_s"] is None
    assert steps(times(GOOD, NTP="no", CanNTP="no")) == {}
    assert steps(off, node_plan(base={"clock": {"ntp": False}})) == {}


def test_a_container_has_its_hosts_clock():
    assert steps(in_container(times(GOOD, NTP="no"))) == {}


def test_a_look_that_took_long_makes_no_clock_wrong():
    look = replace(GOOD, asked_at_s=1000.9, taken_at_s=1000, answered_at_s=1300.0)
    assert clock.behind_s(look) == 0
    assert clock.behind_s(replace(look, taken_at_s=1300)) == 0
    assert clock.behind_s(replace(look, taken_at_s=990)) == 10
    assert clock.behind_s(replace(look, taken_at_s=1311)) == -10


# Packages


def test_half_installed_packages_are_repaired_before_others_are_installed():
    look = with_command(GOOD, "dpkg --audit", Output(0, "Half installed:\n htop  viewer\n"))
    step = steps(look)[REPAIR]
    assert (step.why, step.query) == ("half installed: htop", {"packages": []})
    assert step.detached
    names = [s.name for s in ROLE.steps(PLAN.roles["base"], PLAN, look)]
    assert names.index(REPAIR) < names.index("Install packages")


def test_a_killed_dpkg_is_repaired():
    look = with_file(GOOD, "/var/lib/dpkg/updates/0003", plain(""))
    assert steps(look)[REPAIR].why == "dpkg was killed at its work"


@pytest.mark.parametrize(("wanted", "word"), [(True, '"1"'), (False, '"0"')])
def test_upgrades_are_told_as_the_person_set_them(wanted, word):
    plan = node_plan(base={"unattended_upgrades": wanted})
    (file,) = plan.roles["base"].files
    assert f"Unattended-Upgrade {word};" in file.text
    assert ("unattended-upgrades" in plan.packages) == wanted


def test_upgrades_that_are_not_set_any_more_leave_no_file_of_ours():
    plan = node_plan(base={"unattended_upgrades": None})
    assert steps(GOOD, plan)["Remove apt's settings"].query == {"paths": [CONF]}
    assert "Remove apt's settings" not in steps(with_file(GOOD, CONF, None), plan)


def test_upgrades_that_are_on_need_their_timers():
    look = with_unit_named(GOOD, UPGRADES_TIMER, enabled="masked", active="inactive")
    assert steps(look)["Start apt's timers"].query["unmask"] == ["apt-daily.timer", UPGRADES_TIMER]
    assert "Start apt's timers" not in steps(look, node_plan(base={"unattended_upgrades": False}))


# Names


def test_the_name_of_the_inventory_is_the_hosts():
    assert PLAN.roles["base"].hostname == "pi5-a"


def test_another_name_is_set_with_its_line_in_hosts():
    text = "127.0.0.1\tlocalhost\n127.0.1.1\traspberrypi rasp\n# mine\n"
    look = with_file(GOOD, "/etc/hosts", plain(text))
    query = steps(look)[NAME].query
    assert query["hosts"] == text.replace("raspberrypi rasp", "pi5-a")
    assert query["was_sha256"] == plain(text).sha256


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", "127.0.1.1\tnode\n"),
        ("127.0.0.1 localhost", "127.0.0.1 localhost\n127.0.1.1\tnode\n"),
        ("127.0.0.1 localhost node\n", "127.0.0.1 localhost node\n"),
        ("127.0.1.1 old node\n", "127.0.1.1\tnode\n"),
        ("#127.0.1.1 node\n", "#127.0.1.1 node\n127.0.1.1\tnode\n"),
        ("10.0.0.9 node\n", "10.0.0.9 node\n127.0.1.1\tnode\n"),
        ("127.0.1.1 node.lan node\n", "127.0.1.1 node.lan node\n"),
        ("127.0.1.1 node.lan node mine # cloud\n", "127.0.1.1 node.lan node mine # cloud\n"),
        ("127.0.1.1 node node\n", "127.0.1.1 node node\n"),  # cloud-init without a domain
        ("127.0.1.1 old\n127.0.1.1 node.lan node\n", "127.0.1.1 old\n127.0.1.1 node.lan node\n"),
        ("127.0.1.1 node.lan\n", "127.0.1.1\tnode.lan node\n"),
        ("127.0.1.1 old.home.lan old\n", "127.0.1.1\tnode.home.lan node\n"),
        ("127.0.1.1 node2.lan node\n", "127.0.1.1\tnode.lan node\n"),
        ("127.0.1.1\n", "127.0.1.1\tnode\n"),
    ],
)
def test_hosts_gets_one_line_for_the_name_and_keeps_all_others(text, after):
    assert hosts.edited(text, "node") == after
    assert hosts.edited(after, "node") == after


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("", None),
        ("manage_etc_hosts: false\n", None),
        ("manage_etc_hosts: true\nmanage_etc_hosts: 'False'\n", None),
        ("manage_etc_hosts: false\nmanage_etc_hosts: localhost\n", "cloudy"),
        ('manage_etc_hosts: "template"\n', "cloudy"),
    ],
)
def test_cloud_init_has_the_last_word_on_hosts_where_it_says_so(said, name):
    look = with_file(GOOD, CLOUD_INSTANCE, plain('{"v1": {"local_hostname": "cloudy"}}'))
    assert cloud.own_name(with_command(look, CLOUD_SETTINGS, Output(0, said))) == name


@pytest.mark.parametrize("text", ["", "{}", '{"v1": 1}'])
def test_metadata_that_tells_no_name_is_not_taken_for_ours(text):
    assert isinstance(cloud.own_name(with_file(GOOD, CLOUD_INSTANCE, plain(text))), Unknown)
    assert isinstance(cloud.own_name(with_file(GOOD, CLOUD_INSTANCE, None)), Unknown)


@pytest.mark.parametrize("unit_name", cloud.UNITS)
def test_cloud_init_is_told_to_leave_the_name_where_it_runs(unit_name):
    plan = node_plan()
    bare = with_file(GOOD, cloud.OVERRIDE, None)
    for name in cloud.UNITS:
        load = "loaded" if name == unit_name else "not-found"
        bare = with_unit_named(bare, name, load=load, enabled="enabled" if load == "loaded" else "")
    step = steps(bare, plan)["Have cloud-init leave the name"]
    (file,) = step.query["files"]
    assert yaml.safe_load(file["text"]) == {"preserve_hostname": True, "manage_etc_hosts": False}
    without = with_unit_named(bare, unit_name, enabled="masked")
    assert steps(without, plan) == {}
    unnamed = node_plan(base={"hostname": None})
    assert steps(bare, unnamed) == {}
    assert set(steps(GOOD, unnamed)) == {"Let cloud-init have the name"}


def test_cloud_init_that_works_is_waited_for_before_anything_else():
    busy = with_command(GOOD, cloud.STATUS, Output(0, "\nstatus: running\n"))
    (name,) = steps(busy)
    assert name == "Wait for cloud-init"
    for said in ("status: done\n", "status: error\n", "status: disabled\n", ""):
        assert steps(with_command(GOOD, cloud.STATUS, Output(0, said))) == {}
    assert steps(with_command(GOOD, cloud.STATUS, None)) == {}


def test_another_time_zone_is_set():
    step = steps(times(GOOD, Timezone="Europe/London"))["Set the time zone"]
    assert step.query == {"argv": ["timedatectl", "set-timezone", "Europe/Vienna"]}


# The way in


def test_keys_are_added_and_others_stay():
    step = steps(keys(f"# mine\n{OTHER}\n"))[KEYS_STEP]
    (file,) = step.query["files"]
    assert file["text"] == f"# mine\n{OTHER}\n{KEY}\n"
    assert (file["mode"], file["owner"], step.confirm) == (0o600, "pi", {"confirm": True})


def test_a_key_with_another_comment_or_options_is_the_same_key():
    assert steps(keys(f'from="10.0.0.0/8" {KEY} at work\n')) == {}


def test_exclusive_keys_remove_all_others_on_trial():
    plan = node_plan(base={"exclusive_keys": True})
    step = steps(keys(f"{OTHER}\n{KEY}\n"), plan)[KEYS_STEP]
    assert step.query["files"][0]["text"] == f"{KEY}\n"
    assert step.confirm == {"confirm": True}


def test_keys_that_sshd_would_not_trust_get_their_mode():
    assert "0666 of pi" in steps(keys(f"{KEY}\n", 0o666))[KEYS_STEP].why


@pytest.mark.parametrize("seen", [None, replace(plain("x"), text=None)])
def test_keys_that_could_not_be_seen_are_never_replaced(seen):
    login = Login("pi", KEYS, seen) if seen else Unknown("permission denied")
    step = steps(replace(GOOD, login=login))[KEYS_STEP]
    assert [file["path"] for file in step.query["files"]] == [DROP_IN]
    assert step.query["files"][0]["text"] is None


def test_sshds_options_are_on_trial_and_need_a_key_where_passwords_go():
    step = steps(with_file(GOOD, DROP_IN, None))[SSHD]
    (file,) = step.query["files"]
    assert "PasswordAuthentication no\nKbdInteractiveAuthentication no\n" in file["text"]
    assert (file["was_sha256"], step.query["keys"]) == (None, KEYS)


@pytest.mark.parametrize("way", ["steps", "revert"])
def test_what_an_earlier_run_left_on_trial_is_taken_back_before_anything_is_decided_by_it(way):
    look = with_file(GOOD, TRIAL, plain("failed=0\n", 0o600))
    first, *_ = [step for step in steps(look, way=way).values() if step.program == "try_ssh"]
    assert first.query == {"take_back": True}
    assert first.look_again
    assert first.confirm is None


def test_options_that_are_not_set_any_more_are_removed_on_trial():
    step = steps(GOOD, node_plan(base={"ssh": {}}))[SSHD]
    assert (step.query["files"][0]["text"], step.query["keys"]) == (None, None)


def test_words_of_sshd_are_those_that_it_repeats():
    plan = node_plan(base={"ssh": {"password_authentication": True, "root_login": True}})
    assert plan.roles["base"].sshd == {
        "passwordauthentication": "yes",
        "permitrootlogin": "without-password",
    }


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("", {}),
        ("#SSHD_OPTS=-oPort=1\n", {}),
        ("SSHD_OPTS=\n", {}),
        ("SSHD_OPTS='-4 -o PermitRootLogin=no'\n", {"permitrootlogin": "no"}),
        ('SSHD_OPTS="-oPermitRootLogin=Yes -o PermitRootLogin=no"\n', {"permitrootlogin": "yes"}),
        ("SSHD_OPTS=-f/etc/ssh/mine\n", {"-f": "/etc/ssh/mine"}),
        ("SSHD_OPTS=-4\nexport SSHD_OPTS='-f /etc/ssh/mine'\n", {"-f": "/etc/ssh/mine"}),
    ],
)
def test_what_sshd_is_started_with_is_read_as_its_unit_reads_it(text, given):
    assert access.command_line(with_file(GOOD, access.DEFAULTS, plain(text))) == given


def test_what_the_running_sshd_was_started_with_counts_first():
    title = ("sshd: /usr/sbin/sshd -D -o PermitRootLogin=no [listener] 0 of 10-100 startups",)
    look = with_unit_named(GOOD, access.SERVICE, process=replace(SSHD_PROCESS, argv=title))
    look = with_file(look, access.DEFAULTS, plain("SSHD_OPTS=-oPermitRootLogin=yes\n"))
    assert access.command_line(look) == {"permitrootlogin": "no"}
    alone = with_file(with_unit_named(look, access.SERVICE, process=None), access.DEFAULTS, None)
    assert access.command_line(alone) == {}


def test_another_configuration_file_of_sshd_is_not_taken_for_ours():
    look = with_file(GOOD, access.DEFAULTS, plain("SSHD_OPTS=-f/etc/ssh/mine\n"))
    node = SimpleNamespace(plan=PLAN, snapshot=look)
    found = checks.sshd_has_its_options(PLAN.roles["base"], node)
    assert (found.status, "started with -f /etc/ssh/mine" in found.got) == ("unknown", True)


# Leaving alone, and taking back


def test_what_is_not_set_is_left_alone():
    look = without(GOOD, CONF, DROP_IN, cloud.OVERRIDE)
    look = replace(look, system=replace(look.system, hostname="raspberrypi"))
    assert steps(times(look, Timezone="Etc/UTC"), node_plan(base=NOTHING)) == {}


def test_our_files_are_taken_back_and_nothing_else():
    taken = steps(GOOD, way="revert")
    own = ["Remove apt's settings", "Let cloud-init have the name", SSHD]
    assert list(taken) == [*own, sudo.STEP], "what we need ourselves last"
    assert taken[SSHD].query["files"][0]["text"] is None
    assert taken[sudo.STEP].query["files"][0]["text"] is None
    gone = without(GOOD, CONF, DROP_IN, cloud.OVERRIDE, sudo.RULE)
    assert steps(gone, way="revert") == {}


# sudo


def test_the_rule_is_on_trial_and_must_be_confirmed_without_a_password():
    step = steps(with_file(GOOD, sudo.RULE, None))[sudo.STEP]
    (file,) = step.query["files"]
    assert file["text"].endswith("\npi ALL=(ALL:ALL) NOPASSWD: ALL\n")
    assert (file["mode"], file["owner"], step.query["of"]) == (0o440, "root", "sudo")
    assert step.confirm == {"confirm": True, "without_password": True}


def test_the_rule_is_removed_where_sudo_is_to_ask_and_left_where_nothing_is_said():
    step = steps(GOOD, node_plan(base={"passwordless_sudo": False}))[sudo.STEP]
    assert (step.query["files"][0]["text"], step.confirm) == (None, {"confirm": True})
    assert steps(GOOD, node_plan(base={"passwordless_sudo": None})) == {}


@pytest.mark.parametrize(
    ("user", "written"), [("first.last", "first.last"), ("a@b", r"a\@b"), ("#1", r"\#1")]
)
def test_an_account_is_named_as_sudoers_reads_it(user, written):
    assert sudo.rule(user).splitlines()[-1].split(" ")[0] == written


def test_root_needs_no_rule():
    look = replace(with_file(GOOD, sudo.RULE, None), login=Login("root", "/root/keys", None))
    assert sudo.STEP not in steps(look)


# Settings


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"packages": ["htop-"]}, "pattern"),  # apt would remove it
        ({"packages": ["htop=3.2.2-2"]}, "pattern"),  # and would never be found installed so
        ({"timezone": "Europe/Wien"}, "is no time zone"),
        ({"hostname": "a_b"}, "write a-b"),
        ({"hostname": "a-"}, "write a "),
        ({"authorized_keys": ["ssh-dss AAAA"]}, "pattern"),
        ({"authorized_keys": [], "exclusive_keys": True}, "would remove every key"),
        ({"clock": {"tolerance_s": 1}}, "greater than or equal to 5"),
    ],
)
def test_values_that_cannot_be_are_refused(values, said):
    with pytest.raises(ValidationError, match=said):
        settings(base=values)


@pytest.mark.parametrize("name", ["g++", "libstdc++6", "libc6:armhf", "python3.11-venv", "0ad"])
def test_packages_are_named_as_debian_names_them(name):
    assert name in settings(base={"packages": [name]})["base"].packages


def test_a_held_package_and_one_that_another_provides_are_not_installed_again():
    plan = node_plan(base={"packages": ["awk", "nosuch"]})
    look = replace(GOOD, packages={**GOOD.packages, "awk": None}, provided={"awk": "mawk"})
    assert steps(look, plan)["Install packages"].query == {"packages": ["nosuch"]}


def test_a_key_is_known_by_its_body():
    assert access.body(KEY) == KEY.split()[1]
    assert access.missing(f"#{KEY}\n", [KEY]) == [KEY]
