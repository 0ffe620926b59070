"""What monitoring wants: an exporter on one address, a node that watches itself, and who is told."""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address

from bramble.board import Board
from bramble.plan import FactsNeeded, File, Inputs, NodePlan
from bramble.remote import program
from bramble.render import render
from bramble.roles.monitoring import ways_in
from bramble.roles.monitoring.settings import Settings
from bramble.roles.monitoring.wanted import (
    DROP_IN,
    EXPORTER,
    FOLDER,
    KINDS,
    METRICS,
    METRICS_FILE,
    PACKAGE,
    PUSH,
    PUSH_FILE,
    SECRETS,
    STATUS,
    TELL,
    TEXTFILE,
    TIMER,
    TIMER_FILE,
    TOLD,
    WATCH,
    WATCHED,
    MonitoringPlan,
    place,
    secret_path,
    url_of,
    watched,
)
from bramble.secret_sources import Missing
from bramble.snapshot import Snapshot, Unknown
from bramble.steps import Step, install_packages, remove_files, systemd, write_files
from bramble.steps import lacking as package_missing

COLLECTORS = (
    *("cpu", "cpufreq", "diskstats", "filesystem", "hwmon", "loadavg", "meminfo", "netdev"),
    *("pressure", "stat", "textfile", "thermal_zone", "time", "uname", "vmstat"),
)
# Debian's own default leaves out what is below /mnt, where the SSD is.
NOT_MOUNTS = "^/(dev|proc|run|sys)($|/)"
PUBLIC = (DROP_IN, METRICS_FILE, TIMER_FILE, PUSH_FILE, WATCH, TELL, WATCHED)
SECRET = tuple(secret_path(kind) for kind in KINDS)
PROPERTIES = ("ExecMainExitTimestamp", "ExecMainStatus")


def facts_needed(settings: Settings, inputs: Inputs) -> FactsNeeded:
    """Ask for files, units, the exporter's process, and what it tells."""
    return FactsNeeded(
        files=(*PUBLIC, *SECRET, TEXTFILE, TOLD),
        secret=SECRET,
        units=(EXPORTER, METRICS, TIMER, PUSH),
        packages=(PACKAGE,),
        http=(url_of(settings.host, settings.port),),
        properties=PROPERTIES,
    )


def plan(settings: Settings, board: Board, inputs: Inputs) -> MonitoringPlan:
    """Plan the exporter, the programs with their units, and the secrets that this run was given."""
    secrets = {kind: inputs.prepared.secret(s) for kind, s in settings.secrets.given.items()}
    kinds = tuple(kind for kind in KINDS if kind in secrets)
    argv = command_line(settings)
    return MonitoringPlan(
        files=(*_public(settings, argv, kinds), *_secret(secrets)),
        argv=argv,
        host=settings.host,
        port=settings.port,
        every_s=settings.every_s,
        question_every_s=settings.question_every_min * 60,
        question_deadline_s=settings.question_deadline_s,
        kinds=kinds,
        missing={kind: s.why for kind, s in secrets.items() if isinstance(s, Missing)},
        telegram_chat=settings.telegram_chat,
    )


def command_line(settings: Settings) -> tuple[str, ...]:
    """Return the exporter's command line: its collectors, by name, and nothing by default."""
    return (
        f"/usr/bin/{PACKAGE}",
        f"--web.listen-address={place(settings.host, settings.port)}",
        "--web.disable-exporter-metrics",
        "--collector.disable-defaults",
        *(f"--collector.{name}" for name in COLLECTORS),
        f"--collector.filesystem.mount-points-exclude={NOT_MOUNTS}",
        f"--collector.textfile.directory={FOLDER}",
    )


def _public(settings: Settings, argv: tuple[str, ...], kinds: tuple[str, ...]) -> tuple[File, ...]:
    # systemd reads $ as the begin of a variable.
    quoted = tuple(word.replace("$", "$$") for word in argv)
    loopback = ip_address(settings.host).is_loopback
    texts = {
        DROP_IN: render("monitoring/exporter.conf.j2", argv=quoted, loopback=loopback),
        METRICS_FILE: render(
            "monitoring/bramble-metrics.service.j2",
            program=WATCH,
            folder=FOLDER.removeprefix("/run/"),
            deadline_s=settings.question_deadline_s + 60,
            push=PUSH if kinds else None,
        ),
        TIMER_FILE: render("monitoring/bramble-metrics.timer.j2", every_s=settings.every_s),
        WATCH: _program("node_watch"),
    }
    if kinds:
        unit = {"program": TELL, "kinds": kinds, "secrets": SECRETS}
        texts[PUSH_FILE] = render("monitoring/bramble-push.service.j2", **unit)
        texts[TELL] = _program("push")
    return tuple(File(path=path, text=text) for path, text in texts.items())


@cache
def _program(name: str) -> str:
    """Return the whole text of a program, read once in a process as templates are."""
    return program(name, {"plan": WATCHED, "status": STATUS})


def _secret(secrets: dict[str, str | Missing]) -> tuple[File, ...]:
    return tuple(
        File(path=secret_path(kind), text=f"{said}\n", mode=0o600, secret=True)
        for kind, said in secrets.items()
        if not isinstance(said, Missing)
    )


def steps(plan: MonitoringPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Write everything before the package comes, which starts the exporter; then run it all."""
    written = write_files("Write monitoring's files", (*plan.files, watched(plan, node)), snapshot)
    left = remove_files("Remove what nobody is told by any more", _left(plan), snapshot)
    installed = install_packages("Install the exporter", (PACKAGE,), snapshot)
    return (
        _secrets(plan, snapshot),
        written,
        left,
        installed,
        _export(plan, snapshot, written, installed),
        _watch(plan, node, snapshot, written, left),
    )


def _left(plan: MonitoringPlan) -> list[str]:
    """Return the files of channels that are not planned."""
    gone = [secret_path(kind) for kind in KINDS if kind not in plan.kinds]
    return gone if plan.kinds else [*gone, PUSH_FILE, TELL]


def lacking(plan: MonitoringPlan, snapshot: Snapshot) -> dict[str, str | Unknown]:
    """Return the channels whose secret neither this run nor the node has, and why."""
    found: dict[str, str | Unknown] = {}
    for kind, why in plan.missing.items():
        seen = snapshot.file(secret_path(kind))
        if seen is None:
            found[kind] = why
        elif isinstance(seen, Unknown):
            found[kind] = seen
    return found


def _secrets(plan: MonitoringPlan, snapshot: Snapshot) -> Step:
    """Refuse to go on without a secret, as the unit would not start without it."""
    name = "See that each channel has its secret"
    missing = [
        f"monitoring.secrets.{kind}: {why}"
        for kind, why in lacking(plan, snapshot).items()
        if not isinstance(why, Unknown)
    ]
    if not missing:
        return Step(name, None)
    why = f"{'; '.join(missing)}, and the node has none yet: give it in this run, or take it out"
    return Step(name, why, "refuse", {"why": why})


def _export(plan: MonitoringPlan, snapshot: Snapshot, written: Step, installed: Step) -> Step:
    name, why = "Run the exporter", not_exporting(plan, snapshot)
    if why is None and DROP_IN in written.writes:
        why = "its drop-in is written again"
    if why is None and installed.why is None:
        return Step(name, None)
    query = {"unit": EXPORTER, "reload": True, "enable": True, "restart": True}
    return Step(name, why or "it is installed", "service", query)


def not_exporting(plan: MonitoringPlan, snapshot: Snapshot) -> str | None:
    """Return why the exporter does not run as planned; None when it does."""
    unit = snapshot.unit(EXPORTER)
    if isinstance(unit, Unknown):
        return unit.why
    if not isinstance(snapshot.packages, Unknown) and package_missing((PACKAGE,), snapshot):
        return f"{PACKAGE} is not installed"
    if unit.active != "active" or unit.enabled != "enabled":
        return f"{EXPORTER} is {unit.active} and {unit.enabled or 'not there'}"
    if unit.needs_reload:
        return "systemd has an older exporter in memory"
    if isinstance(unit.process, Unknown):
        return unit.process.why
    if unit.process is None or unit.process.argv != plan.argv:
        return "the exporter runs with other arguments"
    return None


def _watch(
    plan: MonitoringPlan, node: NodePlan, snapshot: Snapshot, written: Step, left: Step
) -> Step:
    """Start the timer, and have the node watch itself once, so that a failure is one of this run."""
    why = not_watching(plan, snapshot)
    ours = {METRICS_FILE, TIMER_FILE, PUSH_FILE, WATCH, TELL, WATCHED, *SECRET}
    if why is None and ours & {*written.writes, *left.writes}:
        why = "what it runs is written again"
    why = why or ways_in.down(node, snapshot)
    return systemd(
        "Have the node watch itself",
        why,
        reload=True,
        enable=(TIMER,),
        restart=(TIMER,),
        # Whom it cannot tell then, a check says: a receiver that is away is no reason to fail here.
        start=(METRICS,),
    )


def not_watching(plan: MonitoringPlan, snapshot: Snapshot) -> str | None:
    """Return why the timer does not run as planned; None when it does."""
    for name in (TIMER, *plan.units):
        unit = snapshot.unit(name)
        if isinstance(unit, Unknown):
            return unit.why
        if unit.needs_reload or unit.load != "loaded":
            return f"systemd has {name} as {'it was before' if unit.needs_reload else unit.load}"
    timer = snapshot.unit(TIMER)
    assert not isinstance(timer, Unknown)
    if (timer.active, timer.enabled) != ("active", "enabled"):
        return f"{TIMER} is {timer.active} and {timer.enabled or 'not there'}"
    return None


def revert(plan: MonitoringPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """End it all and remove our files, secrets too; Debian's package stays, and does not run."""
    paths = (*PUBLIC, *SECRET, TOLD)
    there = [path for path in paths if snapshot.file(path) is not None]
    running = [
        name
        for name in (TIMER, EXPORTER)
        if not isinstance(unit := snapshot.unit(name), Unknown)
        and (unit.active not in ("inactive", "failed") or unit.enabled == "enabled")
    ]
    why = f"{', '.join(running)} runs, or would at boot" if running else None
    return (
        systemd("End the exporter and the timer", why, stop=running, disable=running),
        remove_files("Remove monitoring's files", paths, snapshot),
        systemd("Have systemd forget them", "its files go" if there else None, reload=True),
    )
