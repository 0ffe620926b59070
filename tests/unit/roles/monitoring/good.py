"""What a good node shows of monitoring: an exporter on its address, and figures of a moment ago."""

from pathlib import Path

from bramble.plan import NodePlan
from bramble.snapshot import Answer, Snapshot
from bramble.system.parse import Socket
from bramble.system.process import Process
from bramble.testing.roles import unit
from tests.unit.looks import plain

EXPORTER = "prometheus-node-exporter.service"
METRICS, PUSH = "bramble-metrics.service", "bramble-push.service"
TIMER = "bramble-metrics.timer"
WATCHED = "/etc/bramble/watched.json"
TEXTFILE = "/run/bramble-metrics/bramble.prom"
NTFY = "/etc/bramble/secrets/push/ntfy"
SETTINGS = {"secrets": {"ntfy": {"file": str(Path(__file__).with_name("ntfy-address"))}}}
FIGURES = """\
# HELP bramble_run_timestamp_seconds When the node last watched itself.
# TYPE bramble_run_timestamp_seconds gauge
bramble_run_timestamp_seconds 1795225700
# HELP bramble_edge_up Whether the way in tells its figures.
# TYPE bramble_edge_up gauge
bramble_edge_up 1
# HELP bramble_gateway_up Whether the gateway tells its figures.
# TYPE bramble_gateway_up gauge
bramble_gateway_up 1
"""
RAN = unit(
    "inactive", "static", properties={"ExecMainExitTimestamp": "Mon 2026-11-16 12:00:00 CET"}
)


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    from bramble.roles.monitoring.wanted import watched

    monitoring = plan.roles["monitoring"]
    process = Process(monitoring.argv[0], "0" * 64, 110, monitoring.argv, {})
    exporter = unit(process=process, properties={"MainPID": "812"})
    kept = watched(monitoring, plan)
    return Snapshot(
        units={EXPORTER: exporter, TIMER: unit(sub="waiting"), METRICS: RAN, PUSH: RAN},
        packages={"prometheus-node-exporter": "1.5.0-1+b6"},
        sockets=(Socket(monitoring.host, monitoring.port, (812,)),),
        files={
            WATCHED: plain(kept.text),
            TEXTFILE: plain(FIGURES),
            **dict.fromkeys(f"/etc/bramble/secrets/push/{k}" for k in OTHERS),
        },
        http={monitoring.url: Answer(200, f"{FIGURES}node_load1 0.5\n")},
    )


OTHERS = ("heartbeat", "kuma", "webhook", "telegram")
