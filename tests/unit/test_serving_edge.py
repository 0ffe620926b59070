"""The way in as it is planned: what each exposure writes, what a deploy does, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from bramble.access.keys import Client
from bramble.cli import main
from bramble.edge import findings
from bramble.edge import steps as way_in
from bramble.edge.wanted import DEBIANS, DEBIANS_CONFIG
from bramble.fleet import prepare
from bramble.plan import make
from bramble.roles.serving.edge import PLACE
from bramble.roles.serving.settings import Settings
from bramble.snapshot import Output, Snapshot, Unknown
from tests.unit.good_node import CLIENTS, PEM, PI5, ROLES, good_look, node_plan, settings
from tests.unit.looks import WHY, plain, with_command, with_file, with_unit_named
from tests.unit.roles.serving.good import EDGE

PLANS = {how: node_plan(serving={"expose": how}) for how in ("local", "lan", "tls")}
INVENTORY = Path("/inventory")
RUN, END, REST = "Let clients with a key in", "End the way in", "Leave Debian's HAProxy off"
GONE = "Remove what the way in has no more"


def due(plan, look):
    """What a deploy of the role would do, by its steps' names."""
    steps = way_in.steps(plan.roles["serving"].edge, look)
    return {step.name: step for step in steps if step.why}


def beside(how="tls", **read):
    """The plan of a node beside other keys and certificates."""
    sections = settings(serving={"expose": how})
    return make(
        "pi5-a",
        sections,
        PI5,
        ROLES,
        replace(prepare(INVENTORY, (sections,)), **{"authority": "ca"} | read),
    )


def part(how="tls", **changes):
    return node_plan(serving={"expose": how, **changes}).roles["serving"].edge


def text(found, path=PLACE.config):
    return next(file.text for file in found.files if file.path == path)


def test_who_has_our_own_socket_from_a_reload_and_is_gone_is_nobody_else():
    good, edge = good_look(PLANS["lan"]), part("lan")
    others = tuple(one for one in good.sockets if one.port != edge.port)
    (ours,) = (one for one in good.sockets if one.port == edge.port)

    def judged(*pids):
        sockets = (*others, replace(ours, pids=pids))
        return findings.bound(edge, replace(good, sockets=sockets)).status

    assert judged(*ours.pids, 99) == "pass"
    assert judged(99) == "fail"


@pytest.mark.parametrize("how", PLANS)
def test_a_node_as_planned_has_nothing_left_to_do(how):
    assert due(PLANS[how], good_look(PLANS[how])) == {}


def test_a_first_exposure_writes_all_files_and_starts_the_unit():
    plan = PLANS["tls"]
    look = good_look(PLANS["local"])
    step = due(plan, look)[RUN]
    assert step.program == "serve_edge"
    assert set(step.writes) == set(PLACE.ever)
    assert step.query["changed"] == [*step.writes]
    assert step.query["plan_id"] == plan.roles["serving"].edge.plan_id
    assert not any("PRIVATE KEY" in repr(one) for one in (step, *step.diffs))


def test_a_key_more_changes_the_map_alone_and_the_model_is_not_restarted():
    plan, look = PLANS["tls"], good_look(PLANS["tls"])
    laptop = CLIENTS["laptop"]
    phone = Client(key=laptop.key.model_copy(update={"sha256": "b" * 64}))
    more = beside(clients={**CLIENTS, "phone": phone}, certificates={"pi5-a": PEM})
    (step,) = due(more, look).values()
    assert set(step.writes) == {PLACE.keys, PLACE.config}
    assert not step.query["restart"]
    assert more.roles["serving"].plan_id == plan.roles["serving"].plan_id
    assert more.roles["serving"].edge.plan_id != plan.roles["serving"].edge.plan_id


def test_a_lost_socket_is_mended_by_a_restart():
    plan = PLANS["tls"]
    command = plan.roles["serving"].edge.tells
    (step,) = due(plan, with_command(good_look(plan), command, Output(7, "000"))).values()
    assert (step.writes, step.query["restart"]) == ((), True)


def test_back_to_local_ends_the_unit_and_removes_every_file():
    found = due(PLANS["local"], good_look(PLANS["tls"]))
    assert [*found] == [END, GONE, "Forget the way in"]
    assert found[END].query["stop"] == [EDGE]
    assert set(found[GONE].query["paths"]) == set(PLACE.ever)


def test_without_tls_no_private_key_stays_on_the_node():
    found = due(PLANS["lan"], good_look(PLANS["tls"]))
    assert set(found[GONE].query["paths"]) == {PLACE.certificate, PLACE.authority}
    assert [*found] == [RUN, GONE]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda look: with_unit_named(look, EDGE, active="failed"), "is failed and enabled"),
        (lambda look: with_unit_named(look, EDGE, enabled="disabled"), "is active and disabled"),
        (lambda look: with_unit_named(look, EDGE, needs_reload=True), "an older unit in memory"),
        (lambda look: answering(look, Output(0, "ffffffffffff ok\n200")), "another configuration"),
        (lambda look: answering(look, Output(7, "curl: (7) refused")), "curl: (7) refused"),
        (lambda look: answering(look, None), "there is no curl"),
        (lambda look: answering(look, WHY), WHY.why),
        (lambda look: telling(look, Output(7, "curl: (7)\n000")), "does not tell its figures"),
        (lambda look: telling(look, WHY), WHY.why),
        (lambda look: replace(look, units=WHY), WHY.why),
        (lambda look: with_file(look, PLACE.keys, plain("", 0o640, "haproxy")), PLACE.keys),
        (lambda look: with_file(look, PLACE.certificate, plain(PEM, 0o644)), PLACE.certificate),
    ],
)
def test_what_is_not_as_planned_is_mended_and_told(spoil, why):
    look = spoil(good_look(PLANS["tls"]))
    assert why in due(PLANS["tls"], look)[RUN].why


def telling(look, said):
    return with_command(look, PLANS["tls"].roles["serving"].edge.tells, said)


def answering(look, said):
    return with_command(look, PLANS["tls"].roles["serving"].edge.asks("/health"), said)


def test_debians_unit_is_stopped_and_one_that_somebody_configured_is_left_alone():
    look = with_unit_named(good_look(PLANS["tls"]), DEBIANS, active="active", enabled="enabled")
    assert due(PLANS["tls"], look)[REST].query["disable"] == [DEBIANS]
    good = good_look(PLANS["tls"])
    fresh = replace(good, packages={**good.packages, "haproxy": None})
    assert due(PLANS["tls"], fresh)[REST].query["stop"] == [DEBIANS]
    theirs = with_file(look, DEBIANS_CONFIG, plain("frontend shop\n    bind :80\n"))
    steps = way_in.steps(PLANS["tls"].roles["serving"].edge, theirs)
    assert "left to whoever wrote it" in steps[0].note
    assert steps[0].why is None


def test_a_revert_ends_it_and_leaves_no_file_behind():
    found = [step for step in way_in.revert(PLACE, good_look(PLANS["tls"])) if step.why]
    assert [step.program for step in found] == ["systemd", "remove_files", "systemd"]
    assert set(found[1].query["paths"]) == set(PLACE.ever)
    assert [step for step in way_in.revert(PLACE, good_look(PLANS["local"])) if step.why] == []
    blind = way_in.revert(PLACE, Snapshot(units=Unknown("why"), files=Unknown("why")))
    assert all(step.why for step in blind)


@pytest.mark.parametrize(
    ("how", "clients", "pems", "said"),
    [
        ("lan", {}, {}, "bramble key create NAME"),
        ("tls", CLIENTS, {}, "bramble tls issue pi5-a"),
        ("tls", {}, {"pi5-a": PEM}, "bramble key create NAME"),
        ("tls", CLIENTS, {"pi5-b": PEM}, "no tls/pi5-a.pem"),
    ],
)
def test_an_exposure_that_lacks_something_is_refused_with_what_to_run(how, clients, pems, said):
    (why,) = beside(how, clients=clients, certificates=pems).roles["serving"].refusals()
    assert said in why
    assert why.startswith(f"serving.expose is {how}")


def test_keys_that_cannot_be_read_refuse_the_exposure_and_nothing_else():
    for how, refused in (("lan", 1), ("local", 0)):
        plan = beside(how, clients_error="keys.lock:3: odd")
        refusals = plan.roles["serving"].refusals()
        assert len(refusals) == refused
        assert all("keys.lock:3: odd" in why for why in refusals)


def test_two_servers_cannot_have_one_port():
    plan = node_plan(serving={"expose": "lan", "port": 8081})
    assert "are both 8081" in plan.refusals[0]


def test_the_configuration_follows_the_settings():
    found = text(part(slots=3, edge={"allow": ["192.168.1.0/24"], "at_once": 5, "queue": 7}))
    assert "acl near src 127.0.0.0/8 ::1/128 192.168.1.0/24\n" in found
    assert "server local 127.0.0.1:8080 maxconn 3 " in found
    assert "{ sc_conn_cur(0,clients) gt 5 }" in found
    assert "{ queue(llama) ge 7 }" in found
    assert "bind [::]:8443 v4v6 tcp-ut 20s ssl crt edge.pem" in found
    assert " ssl " not in text(part("lan"))
    assert "bind [fd00::1]:9000 tcp-ut" in text(part(edge={"address": "fd00::1", "port": 9000}))


def test_no_key_and_no_word_of_a_request_can_come_into_the_log():
    line = next(line for line in text(part()).splitlines() if "log-format" in line)
    assert "body" not in line
    assert "authorization" not in line
    assert "query" not in line
    assert "http-request unset-var(txn.key)" in text(part())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"allow": ["192.168.1.40/24"]}, "has host bits set"),
        ({"allow": ["home"]}, "write a network"),
        ({"address": "192.168.1.0/24"}, "write one address"),
        ({"name": "pi5 a"}, "pattern"),
        ({"port": 443}, "1024"),
    ],
)
def test_what_haproxy_could_not_read_is_refused_before(values, said):
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate({"edge": values})


@pytest.mark.parametrize(
    ("how", "address", "base"),
    [
        ("local", "192.168.1.41", "http://127.0.0.1:8080/v1"),
        ("lan", "192.168.1.41", "http://192.168.1.41:8081/v1"),
        ("tls", "fd00::41", "https://[fd00::41]:8443/v1"),
    ],
)
def test_what_a_client_needs_is_printed_for_each_exposure(
    tmp_path, monkeypatch, how, address, base
):
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    model = {"name": "tiny", "url": "http://localhost/m.gguf", "sha256": "1" * 64}
    host = {"ssh": {"address": address}, "model": model, "serving": {"expose": how}}
    (tmp_path / "fleet.yml").write_text(json.dumps({"hosts": {"pi5-a": host}}))
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.crt").write_text("x")
    run = CliRunner().invoke(main, ["connect", "pi5-a", "--json"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert (found["base_url"], found["model"]) == (base, "tiny")
    assert found["needs_key"] == (how != "local")
    assert (found["authority"] is not None) == (how == "tls")
    words = CliRunner().invoke(main, ["connect", "pi5-a"]).stdout
    assert f"Base URL:  {base}\n" in words
    assert ("BRAMBLE_API_KEY" in words) == (how != "local")
    assert ("SSL_CERT_FILE" in words) == (how == "tls")
    assert ("ssh -N -L 8080:127.0.0.1:8080" in words) == (how == "local")


# What the node reads of it


def frontends(found):
    """The configuration's frontends by their names."""
    parts = ("\n" + text(found)).split("\nfrontend ")[1:]
    return {part.split("\n", 1)[0]: part.partition("\nbackend ")[0] for part in parts}


@pytest.mark.parametrize("how", ["lan", "tls"])
def test_figures_are_told_by_a_socket_of_the_node_and_to_no_client(how):
    found = part(how)
    each = frontends(found)
    assert [name for name, lines in each.items() if "prometheus-exporter" in lines] == ["figures"]
    binds = [line.strip() for line in each["figures"].splitlines() if "bind" in line]
    assert binds == [f"bind unix@{PLACE.figures} mode 666"]
    assert f"RuntimeDirectory={Path(PLACE.figures).parent.name}\n" in found.unit_text


def test_what_is_too_much_is_denied_so_that_it_is_counted_and_a_wrong_key_is_not():
    lines = frontends(part())["edge"].splitlines()
    denied = {line.split(" status ")[1][:3] for line in lines if " deny " in line}
    returned = {line.split(" status ")[1][:3] for line in lines if "http-request return" in line}
    assert denied == {"429", "503"}
    assert "429" not in returned
    assert {"401", "403", "404"} <= returned
