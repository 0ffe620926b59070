"""What is planted beside the plan of a good node, for each kind of stranger, and how to plant more."""

from dataclasses import replace

from bramble.system import parse
from bramble.system.parse import Socket
from tests.unit.audited import BESIDE, EDGE, HOLDERS, LOOK, SOCKETS, holder, origin
from tests.unit.looks import FOLDER, with_file, with_unit_named

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
STRANGERS = {
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
"""Of each fault, what an audit is told other than of a good node, what it calls it, and its status."""
