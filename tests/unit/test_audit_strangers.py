"""Each kind of stranger is seen where it is there, and nothing is where it is not."""

from dataclasses import replace

import pytest

from bramble.audit.strangers import KINDS
from bramble.roles.memory.beside import beside
from bramble.snapshot import Output
from bramble.system import parse
from tests.unit.audited import LOOK, audit, holder, origin, told
from tests.unit.looks import WHY, in_container, with_command, with_unit_named
from tests.unit.spoiled import PLAN
from tests.unit.strangers import (
    NINE,
    RC_LOCAL,
    STRANGERS,
    listening,
    loose,
    scheduled,
    with_drop_in,
)


def test_a_good_node_has_no_stranger():
    host = audit()
    assert told(host) == {}
    assert host.state == "as planned"


@pytest.mark.parametrize("what", STRANGERS)
def test_each_stranger_is_found_where_it_is_there(what):
    planted, name, status = STRANGERS[what]
    host = audit(**planted)
    item = told(host)[name]
    assert item.status == status
    assert item.kind == name.split()[0]
    assert item.got
    assert item.remedy
    assert host.state == ("differs" if status == "fail" else "as planned")


def test_every_kind_is_planted():
    assert {name.split()[0] for _, name, _ in STRANGERS.values()} == {kind.name for kind in KINDS}


HARMLESS = {
    "a planned drop-in": {
        "look": with_drop_in(
            "/etc/systemd/system/prometheus-node-exporter.service.d/99-bramble.conf",
            "prometheus-node-exporter.service",
        )
    },
    "a package's drop-in": {
        "look": with_drop_in("/lib/systemd/system/service.d/10-x.conf"),
        "origins": {"/lib/systemd/system/service.d/10-x.conf": origin(package="x")},
    },
    "what a generator made": {
        "look": with_drop_in("/run/systemd/generator/llama-server.service.d/x.conf")
    },
    "a listener on the node itself": listening("127.0.0.1", 9999, 77, **{"77": NINE}),
    "another by IPv6": listening("::1", 9999, 77, **{"77": NINE}),
    "sshd on another port": listening("0.0.0.0", 2222, 35),
    "a package that is not ours": {"held": ["some-game"]},
    "a script as its package brought it": scheduled(
        "cron", "/etc/cron.daily/x", "cp /etc/hosts /tmp", package="x", as_packaged=True
    ),
    "our own timer": scheduled(
        "timer", "/etc/systemd/system/bramble-metrics.timer", "Unit=bramble-metrics.service"
    ),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_what_is_meant_to_be_there_is_no_stranger(what):
    kinds = {kind.name for kind in KINDS}
    items = told(audit(**HARMLESS[what])).values()
    assert [item.id for item in items if item.kind in kinds] == []


def test_systemd_may_listen_for_sshd_where_the_unit_says_so():
    systemd = holder("/usr/lib/systemd/systemd", "init.scope")
    planted = listening("0.0.0.0", 2222, 1, **{"1": systemd})
    properties = {**LOOK.unit("ssh.service").properties, "TriggeredBy": "ssh.socket"}
    look = with_unit_named(planted["look"], "ssh.service", properties=properties)
    said = LOOK.command("sshd -T").output
    there = with_command(look, "sshd -T", Output(0, f"port 2222\n{said}"))
    assert "listener 0.0.0.0:2222" not in told(audit(there, holders=planted["holders"]))
    elsewhere = with_command(look, "sshd -T", Output(0, f"port 22\n{said}"))
    assert "listener 0.0.0.0:2222" in told(audit(elsewhere, holders=planted["holders"]))


def test_a_listener_names_its_program_user_and_unit():
    item = told(audit(**STRANGERS["a second server"][0]))["listener 0.0.0.0:9999"]
    assert "/usr/bin/llama-server of pi (user@1000.service, process 77)" in item.got


def test_keys_are_told_one_by_one_so_that_a_waiver_lets_no_other_in():
    host = audit(**STRANGERS["a key more for the login"][0])
    assert set(told(host)) == {"login-key pi SHA256:a", "login-key pi SHA256:b"}


def test_a_line_of_cron_that_may_hold_a_secret_is_not_shown():
    line = "0 3 * * * root llama-server --api-key verysecret"
    host = audit(**scheduled("cron", "/etc/cron.d/x", line))
    assert "verysecret" not in host.model_dump_json()
    assert [item.kind for item in told(host).values()] == ["cron"]


PART_OF = {
    "failed": ("failed-unit", "other-failed-unit"),
    "held": ("held-package",),
    "holders": ("listener",),
    "roots": ("root-user",),
    "keys": ("login-key", "other-account-key"),
    "loose": ("writable", "owned-by-other"),
    "scheduled": ("cron", "timer"),
}


@pytest.mark.parametrize("part", PART_OF)
def test_what_the_node_does_not_tell_is_unknown_and_not_absent(part):
    host = audit(**{part: PermissionError("no")})
    found = {item.kind for item in told(host).values() if item.status == "unknown"}
    assert found == set(PART_OF[part])
    assert host.state == "unknown"


def test_units_and_sockets_that_are_not_known_make_their_strangers_unknown():
    kinds = {item.kind for item in told(audit(replace(LOOK, units=WHY, sockets=WHY))).values()}
    assert {"drop-in", "other-drop-in", "listener"} <= kinds


def test_too_much_to_look_at_is_unknown():
    host = audit(**loose(whole=False))
    assert {item.id for item in told(host).values()} == {"writable ?"}


def test_a_containers_swap_is_its_hosts():
    look = in_container(replace(LOOK, swap_makers=(*LOOK.swap_makers, RC_LOCAL)))
    assert beside(PLAN.roles["memory"], look) == ()


def test_swap_of_rpi_swap_is_left_where_it_is_to_be():
    maker = parse.SwapMaker("x.swap", "/etc/rpi/swap.conf", "What=/var/swap")
    swap = parse.Swap("/var/swap", "file", 1024, 0, 5)
    makers = (*LOOK.swap_makers, maker)
    look = replace(LOOK, swaps=(*LOOK.swaps, swap), swap_makers=makers)
    plan = PLAN.roles["memory"]
    assert [one.subject for one in beside(replace(plan, rpi_swap="replace"), look)] == ["/var/swap"]
    assert beside(replace(plan, rpi_swap="leave"), look) == ()
