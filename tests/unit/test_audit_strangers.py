"""Each kind of stranger is seen where it is there, and nothing is where it is not."""

from dataclasses import replace

import pytest

from bramble.audit.strangers import KINDS
from bramble.roles.memory.beside import beside
from bramble.snapshot import Output
from bramble.system import parse
from bramble.system.parse import Socket
from tests.unit.audited import BESIDE, EDGE, HOLDERS, LOOK, SOCKETS, audit, holder, origin, told
from tests.unit.looks import FOLDER, WHY, in_container, with_command, with_file, with_unit_named
from tests.unit.spoiled import PLAN

DROP_IN = "/etc/systemd/system/llama-server.service.d/override.conf"
UNIT_FILE = "/etc/systemd/system/llama-server.service"


def with_drop_in(path, unit="llama-server.service", look=LOOK):
    properties = {**look.unit(unit).properties, "DropInPaths": path}
    return with_unit_named(look, unit, properties=properties)


def listening(address, port, *pids, **holders):
    """A look with one more socket, and who holds it."""
    look = replace(LOOK, sockets=(*SOCKETS, Socket(address, port, pids)))
    return {"look": look, "holders": {**HOLDERS, **holders}}


def entry(path, kind="file", mode=0o644, owner="root", group="root"):
    return {"path": path, "kind": kind, "mode": mode, "owner": owner, "group": group}


def loose(*entries, more=0, whole=True):
    return {"loose": {"entries": list(entries), "more": more, "whole": whole}}


def scheduled(kind, path, line, **known):
    row = {"kind": kind, "path": path, "line": line}
    return {"scheduled": [row], "origins": {**BESIDE["origins"], path: origin(**known)}}


def keys(user, *fingerprints):
    one = {"user": user, "path": f"/home/{user}/.ssh/authorized_keys"}
    return {"keys": [*BESIDE["keys"], {**one, "fingerprints": list(fingerprints)}]}


def swapping(path="/dev/sda2", maker=None):
    swap = parse.Swap(path, "partition", 1024, 0, 5)
    makers = (*LOOK.swap_makers, *([maker] if maker else []))
    return {"look": replace(LOOK, swaps=(*LOOK.swaps, swap), swap_makers=makers)}


NINE = holder("/usr/bin/llama-server", "user@1000.service", "pi")
RC_LOCAL = parse.SwapMaker("rc-local.service", "/etc/rc.local", "swapon /swap")
PLANTED = {
    "a drop-in of a unit of ours": (
        {"look": with_drop_in(DROP_IN)},
        f"drop-in llama-server.service {DROP_IN}",
        "fail",
    ),
    "a drop-in that no package brought": (
        {"look": with_drop_in("/usr/lib/systemd/system/llama-server.service.d/x.conf")},
        "drop-in llama-server.service /usr/lib/systemd/system/llama-server.service.d/x.conf",
        "fail",
    ),
    "a limit set until the next boot": (
        {"look": with_drop_in("/run/systemd/system.control/llama-server.service.d/50-x.conf")},
        "drop-in llama-server.service /run/systemd/system.control/llama-server.service.d/50-x.conf",
        "fail",
    ),
    "a drop-in of another unit": (
        {"look": with_drop_in("/etc/systemd/system/ssh.service.d/x.conf", "ssh.service")},
        "other-drop-in ssh.service /etc/systemd/system/ssh.service.d/x.conf",
        "warn",
    ),
    "a second server": (
        listening("0.0.0.0", 9999, 77, **{"77": NINE}),
        "listener 0.0.0.0:9999",
        "fail",
    ),
    "a listener by IPv6": (
        listening("::", 9999, 77, **{"77": NINE}),
        "listener [::]:9999",
        "fail",
    ),
    "a listener that ended meanwhile": (
        listening("192.168.1.4", 9999, 77),
        "listener 192.168.1.4:9999",
        "fail",
    ),
    "ours on another port": (
        listening("*", 8444, EDGE),
        "listener *:8444",
        "fail",
    ),
    "a stranger on our port": (
        listening("192.168.1.4", 8443, 77, **{"77": NINE}),
        "listener 192.168.1.4:8443",
        "fail",
    ),
    "an sshd of somebody's own": (
        listening("0.0.0.0", 2222, 77, **{"77": holder("/usr/sbin/sshd", "session-1.scope")}),
        "listener 0.0.0.0:2222",
        "fail",
    ),
    "systemd for another than sshd": (
        listening("0.0.0.0", 9090, 1, **{"1": holder("/usr/lib/systemd/systemd", "init.scope")}),
        "listener 0.0.0.0:9090",
        "fail",
    ),
    "swap by hand": (swapping(), "swap-owner /dev/sda2", "fail"),
    "swap at the next boot": (
        {"look": replace(LOOK, swap_makers=(*LOOK.swap_makers, RC_LOCAL))},
        "swap-owner rc-local.service",
        "fail",
    ),
    "a package of ours that is held": (
        {"held": ["haproxy", "some-game"]},
        "held-package haproxy",
        "fail",
    ),
    "a unit of ours that failed": (
        {"failed": ["llama-server.service"]},
        "failed-unit llama-server.service",
        "fail",
    ),
    "a unit that we look at and that failed": (
        {"failed": ["ssh.service"]},
        "failed-unit ssh.service",
        "fail",
    ),
    "another unit that failed": (
        {"failed": ["cups.service"]},
        "other-failed-unit cups.service",
        "warn",
    ),
    "a line of cron": (
        scheduled("cron", "/etc/cron.d/nightly", "0 3 * * * root systemctl stop llama-server"),
        "cron /etc/cron.d/nightly: 0 3 * * * root systemctl stop llama-server",
        "fail",
    ),
    "a package's script that somebody changed": (
        scheduled(
            "cron", "/etc/cron.daily/x", "rm -r /opt/bramble", package="x", as_packaged=False
        ),
        "cron /etc/cron.daily/x: rm -r /opt/bramble",
        "fail",
    ),
    "a timer": (
        scheduled("timer", "/etc/systemd/system/x.timer", "ExecStart=/bin/rm -r /opt/bramble"),
        "timer /etc/systemd/system/x.timer: ExecStart=/bin/rm -r /opt/bramble",
        "fail",
    ),
    "another root": ({"roots": ["root", "toor"]}, "root-user toor", "fail"),
    "a key more for the login": (
        {"keys": [{**BESIDE["keys"][0], "fingerprints": ["SHA256:a", "SHA256:b"]}]},
        "login-key pi SHA256:b",
        "warn",
    ),
    "a key of root's": (keys("root", "SHA256:c"), "other-account-key root SHA256:c", "fail"),
    "our key for another account": (
        keys("eve", *BESIDE["keys"][0]["fingerprints"]),
        f"other-account-key eve {BESIDE['keys'][0]['fingerprints'][0]}",
        "fail",
    ),
    "a file that everybody may write": (
        loose(entry("/opt/bramble/engine/current/bin/x", mode=0o777)),
        "writable /opt/bramble/engine/current/bin/x",
        "fail",
    ),
    "a file that its group may write": (
        loose(entry("/etc/bramble/x", mode=0o664, group="pi")),
        "writable /etc/bramble/x",
        "fail",
    ),
    "a planned file elsewhere that everybody may write": (
        {"look": with_file(LOOK, UNIT_FILE, replace(LOOK.file(UNIT_FILE), mode=0o666))},
        f"writable {UNIT_FILE}",
        "fail",
    ),
    "a folder above ours that everybody may write": (
        {"look": with_file(LOOK, "/opt", replace(FOLDER, mode=0o777))},
        "writable /opt",
        "fail",
    ),
    "more than can be told": (
        loose(entry("/etc/bramble/x", mode=0o666), more=7),
        "writable more",
        "fail",
    ),
    "a folder of another's": (
        loose(entry("/var/lib/bramble/models", "directory", 0o755, "pi")),
        "owned-by-other /var/lib/bramble/models",
        "fail",
    ),
}


def test_a_good_node_has_no_stranger():
    host = audit()
    assert told(host) == {}
    assert host.state == "as planned"


@pytest.mark.parametrize("what", PLANTED)
def test_each_stranger_is_found_where_it_is_there(what):
    planted, name, status = PLANTED[what]
    host = audit(**planted)
    item = told(host)[name]
    assert item.status == status
    assert item.kind == name.split()[0]
    assert item.got
    assert item.remedy
    assert host.state == ("differs" if status == "fail" else "as planned")


def test_every_kind_is_planted():
    assert {name.split()[0] for _, name, _ in PLANTED.values()} == {kind.name for kind in KINDS}


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
    item = told(audit(**PLANTED["a second server"][0]))["listener 0.0.0.0:9999"]
    assert "/usr/bin/llama-server of pi (user@1000.service, process 77)" in item.got


def test_keys_are_told_one_by_one_so_that_a_waiver_lets_no_other_in():
    host = audit(**PLANTED["a key more for the login"][0])
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
