"""Of two audits only what differs is told: what is new, what changed, and what is gone."""

import pytest

from bramble.audit import since
from bramble.audit.result import Audit, HostAudit
from tests.unit.audited import TODAY, audit
from tests.unit.test_audit import edited
from tests.unit.test_audit_strangers import scheduled
from tests.unit.test_audit_waivers import waiver

AT = "2026-11-30T18:00:00Z"


def of(*hosts, at=AT):
    return Audit(at=at, hosts=hosts)


def changes(now, before):
    """What differs, by what a waiver names."""
    (host,) = since.differences((now,), of(before))
    return {item.id: item.change for item in host.items}, host.state


def test_nothing_differs_from_itself():
    for host in (audit(), audit(edited()), audit(held=["haproxy"])):
        assert changes(host, host) == ({}, "as planned")


def test_what_is_new_is_told_and_what_was_there_is_not():
    before = audit(held=["haproxy"])
    now = audit(held=["haproxy"], roots=["root", "toor"])
    assert changes(now, before) == ({"root-user toor": "new"}, "differs")


def test_what_is_gone_is_told_and_makes_no_host_differ():
    assert changes(audit(), audit(roots=["root", "toor"])) == (
        {"root-user toor": "gone"},
        "as planned",
    )


def test_a_check_that_fails_now_has_changed_and_so_has_one_that_passes_again():
    spoilt, _ = changes(audit(edited()), audit())
    assert spoilt["serving.files_are_as_written"] == "changed"
    mended, state = changes(audit(), audit(edited()))
    assert mended["serving.files_are_as_written"] == "changed"
    assert state == "as planned"


def test_a_step_with_another_difference_has_changed():
    found, state = changes(audit(edited("# one\n")), audit(edited("# two\n")))
    assert "changed" in found.values()
    assert state == "differs"


def test_a_figure_in_a_check_that_passes_is_no_change():
    host = audit()
    items = tuple(
        item.model_copy(update={"got": f"{item.got} now"}) if item.status == "pass" else item
        for item in host.items
    )
    assert changes(host.model_copy(update={"items": items}), host)[0] == {}


def test_what_was_waived_and_is_not_any_more_has_changed():
    held = {"held": ["haproxy"]}
    found, state = changes(audit(**held), audit(waivers=[waiver(until=TODAY)], **held))
    assert found == {"held-package haproxy": "changed"}
    assert state == "differs"


def test_a_host_that_was_not_there_before_is_all_new():
    (host,) = since.differences((audit(held=["haproxy"]),), of())
    assert {item.change for item in host.items} == {"new"}


def test_a_host_that_cannot_be_told_stays_so():
    dead = HostAudit(host="pi5-a", state="unknown", why="it did not answer")
    assert since.differences((dead,), of(audit())) == (dead,)


def test_an_audit_is_kept_and_read_again(tmp_path):
    whole = of(audit(edited(), **scheduled("cron", "/etc/cron.d/x", "stop llama-server")))
    since.keep(whole, tmp_path / f"1{since.SUFFIX}")
    assert since.read(tmp_path / f"1{since.SUFFIX}") == whole


def test_the_last_audit_is_of_each_host_the_newest_that_could_tell_of_it(tmp_path):
    def named(name, **more):
        return audit(**more).model_copy(update={"host": name})

    dead = HostAudit(host="b", state="unknown", why="it did not answer")
    since.keep(of(named("a"), named("b", held=["haproxy"])), tmp_path / f"1{since.SUFFIX}")
    since.keep(of(named("a", roots=["root", "toor"]), dead), tmp_path / f"2{since.SUFFIX}")
    (tmp_path / "3-other.json").write_text("{}")
    found = {host.host: host for host in since.last(tmp_path, ["a", "b"]).hosts}
    assert "root-user toor" in {item.id for item in found["a"].items}
    assert "held-package haproxy" in {item.id for item in found["b"].items}


def test_no_earlier_audit_is_told(tmp_path):
    with pytest.raises(since.NoAudit, match="has no earlier audit"):
        since.last(tmp_path, ["a"])


@pytest.mark.parametrize("text", ["", "{}", '{"kind": "bramble config"}', "\x00"])
def test_what_is_no_audit_is_told(tmp_path, text):
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(since.NoAudit, match="is no audit"):
        since.read(file)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(since.NoAudit, match="No such file"):
        since.read(tmp_path / "none.json")
