"""What is waived is shown as waived, never as a pass, until its last day; strange names are refused."""

import json
from datetime import date, timedelta

import pytest

from bramble.audit.settings import Waiver
from bramble.audit.waivers import Names, matches, problem_of
from bramble.documents.problems import InventoryError
from bramble.fleet import load
from tests.unit.audited import LOOK, TODAY, audit, told
from tests.unit.looks import with_file
from tests.unit.test_audit import edited

HELD = {"held": ["haproxy"]}
NAME = "held-package haproxy"
MODEL = {"name": "toy", "url": "http://models.example.org/toy.gguf", "sha256": "d" * 64}


def waiver(what=NAME, until=TODAY, **more):
    return Waiver(what=what, owner="Ada", reason="until it moves", until=until, **more)


def test_what_is_waived_is_shown_as_waived_and_is_no_pass():
    host = audit(waivers=[waiver()], **HELD)
    item = told(host)[NAME]
    assert item.status == "waived"
    assert (item.waiver.owner, item.waiver.status) == ("Ada", "fail")
    assert host.state == "as planned"
    (result,) = [one for one in host.results() if one.check == NAME]
    assert result.status == "warn"


def test_on_the_day_after_its_last_it_fails_and_so_does_what_it_waived():
    host = audit(waivers=[waiver(until=TODAY - timedelta(days=1))], **HELD)
    assert told(host)[NAME].status == "fail"
    expired = told(host)[f"waiver {NAME}"]
    assert expired.status == "fail"
    assert "Ada" in expired.got
    assert host.state == "differs"


def test_one_that_expired_fails_where_nothing_is_waived_too():
    host = audit(waivers=[waiver(until=date(2020, 1, 1))])
    assert [item.kind for item in told(host).values()] == ["waiver"]


def test_a_pass_is_never_waived():
    host = audit(waivers=[waiver("base.*")])
    assert "waived" not in {item.status for item in host.items}


WAIVED = {
    "a check": ("serving.files_are_as_written", {"look": edited()}),
    "checks": ("serving.files_*", {"look": edited()}),
    "a finding": ("held-package *", HELD),
    "what is not known": ("held-package *", {"held": PermissionError("no")}),
    "a key that only warns": (
        "login-key *",
        {"keys": [{"user": "pi", "path": "/x", "fingerprints": ["y"]}]},
    ),
}


@pytest.mark.parametrize("what", WAIVED)
def test_all_that_an_audit_tells_is_waived_by_its_name(what):
    pattern, planted = WAIVED[what]
    before, after = audit(**planted), audit(waivers=[waiver(pattern)], **planted)
    waived = {item.id for item in after.items if item.status == "waived"}
    assert waived
    assert waived <= set(told(before))


def test_a_step_is_waived_as_a_plan_names_it():
    names = [item.id for item in audit(edited()).items if item.kind == "step"]
    host = audit(edited(), waivers=[waiver(names[0])])
    assert [item.id for item in host.items if item.status == "waived"] == [names[0]]


def test_a_waiver_of_a_step_that_there_is_not_fails_with_the_closest():
    (name, *_) = [item.id for item in audit(edited()).items if item.kind == "step"]
    host = audit(waivers=[waiver(f"{name}x")])
    (item,) = told(host).values()
    assert (item.kind, item.status) == ("waiver", "fail")
    assert name in item.remedy


def test_brackets_of_an_address_stand_for_themselves():
    assert matches("listener [::]:9999", "listener [::]:9999")
    assert matches("listener [::]:9999", "listener [*]:9999")
    assert not matches("listener ::9999", "listener [::]:9999")


def test_a_waiver_counts_for_its_hosts_alone():
    assert told(audit(waivers=[waiver(hosts=("pi4-*",))], **HELD))[NAME].status == "fail"
    assert told(audit(waivers=[waiver(hosts=("pi4-b", "pi5-*"))], **HELD))[NAME].status == "waived"


def test_an_expired_waiver_of_another_host_is_not_this_ones():
    waivers = [waiver(hosts=("pi4-b",), until=date(2020, 1, 1))]
    assert told(audit(waivers=waivers)) == {}


# What they may name

NAMES = Names(
    ("serving.unit_is_active", "base.packages_are_installed"),
    ("base", "serving"),
    ("listener", "cron"),
)


@pytest.mark.parametrize(
    "what",
    [
        "serving.unit_is_active",
        "serving.*",
        "*.unit_is_*",
        "listener *:9090",
        "serving: Run it",
        "base: *",
    ],
)
def test_what_there_is_may_be_waived(what):
    assert problem_of(what, NAMES) is None


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("serving.unit_is_activ", "did you mean 'serving.unit_is_active'?"),
        ("servin: Run it", "no role 'servin'; did you mean 'serving'?"),
        ("listner *:9090", "did you mean 'listener'?"),
        ("listener", "lacks its subject"),
        ("nothing.like_it_*", "known: "),
    ],
)
def test_what_there_is_not_is_refused_with_the_closest(what, said):
    assert said in problem_of(what, NAMES)


def inventory(tmp_path, *waivers, hosts="{pi5-a: {}}"):
    (tmp_path / "known_hosts").write_text("")
    text = json.dumps(waivers)
    settings = f"settings:\n  model: {json.dumps(MODEL)}\n  audit:\n    waivers: {text}\n"
    (tmp_path / "fleet.yml").write_text(f"{settings}hosts: {hosts}\n")
    return load(tmp_path)


GOOD = {"what": "serving.unit_is_active", "owner": "Ada", "reason": "x", "until": "2027-01-31"}


def test_an_inventory_names_waivers(tmp_path):
    found = inventory(tmp_path, GOOD, GOOD | {"hosts": ["pi5-*"], "what": "listener *:9090"})
    first, second = found.hosts["pi5-a"].settings["audit"].waivers
    assert (first.what, first.until, first.hosts) == (GOOD["what"], date(2027, 1, 31), None)
    assert second.hosts == ("pi5-*",)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"what": "serving.unit_is_activ"}, "audit.waivers[0].what: no check"),
        ({"hosts": ["pi5-b"]}, "audit.waivers[0].hosts: no host 'pi5-b'; did you mean 'pi5-a'?"),
        ({"until": "soon"}, 'audit.waivers[0].until: found "soon"'),
        ({"owner": ""}, 'audit.waivers[0].owner: found ""'),
        (
            {"untill": "2027-01-31"},
            "audit.waivers[0].untill: unknown setting; did you mean 'until'?",
        ),
    ],
)
def test_a_waiver_of_what_there_is_not_is_a_problem_with_its_line(tmp_path, wrong, said):
    with pytest.raises(InventoryError) as error:
        inventory(tmp_path, GOOD | wrong)
    (line,) = str(error.value).splitlines()
    assert f"fleet.yml:4: {said}" in line


@pytest.mark.parametrize("key", ["what", "owner", "reason", "until"])
def test_a_waiver_says_all_that_it_must(tmp_path, key):
    with pytest.raises(InventoryError, match=f"audit.waivers\\[0\\].{key}: not set but needed"):
        inventory(tmp_path, {name: said for name, said in GOOD.items() if name != key})


def test_a_problem_of_all_hosts_is_told_once(tmp_path):
    with pytest.raises(InventoryError) as error:
        inventory(tmp_path, GOOD | {"what": "x.y"}, hosts="{a: {}, b: {}, c: {}}")
    assert len(error.value.problems) == 1


def test_a_file_that_is_gone_is_found_whoever_waives_others():
    host = audit(with_file(LOOK, "/etc/bramble/firewall.nft", None), waivers=[waiver("serving.*")])
    assert host.state == "differs"
