"""A dashboard for Grafana: what the nodes of a fleet do, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

SCHEMA = 39
_WIDTH, _STAT_HEIGHT, _HEIGHT = 24, 4, 8
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_OURS = 'job="bramble", instance=~"$instance"'
_RED_ABOVE_0 = [{"color": "green", "value": None}, {"color": "red", "value": 1}]


@dataclass(frozen=True)
class Panel:
    """One panel: its queries, each with the legend of its lines; `$OURS` are the chosen nodes."""

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: Literal["stat", "timeseries", "state-timeline", "table"] = "timeseries"
    about: str = ""

    @property
    def height(self) -> int:
        """In Grafana's rows."""
        return _STAT_HEIGHT if self.kind == "stat" else _HEIGHT

    @property
    def width(self) -> int:
        """In Grafana's columns: four stats beside each other, or two of the others."""
        return _WIDTH // (4 if self.kind == "stat" else 2)


STATS = (
    Panel("Nodes that tell nothing", [("count(up{$OURS} == 0) or vector(0)", "")], kind="stat"),
    Panel(
        "Servers that are not healthy",
        [("count(bramble_server_up{$OURS} == 0) or vector(0)", "")],
        kind="stat",
    ),
    Panel(
        "Checks that fail",
        [('sum(bramble_checks{$OURS, status="fail"}) or vector(0)', "")],
        kind="stat",
        about="The cheap checks that each node makes by itself; `bramble verify` makes all.",
    ),
    Panel(
        "Nodes that are held back",
        [("count(max by (instance) (bramble_throttled_now{$OURS}) == 1) or vector(0)", "")],
        kind="stat",
        about="By a weak supply or by heat, at this moment.",
    ),
)
LINES = (
    Panel(
        "Speed of the known answer",
        [("bramble_known_answer_tokens_per_second{$OURS}", "{{instance}}")],
        about="Tokens/s of the question that each node asks its own model.",
    ),
    Panel(
        "Tokens for people",
        [
            ("rate(bramble_server_predicted_tokens_total{$OURS}[5m])", "{{instance}} answers"),
            ("rate(bramble_server_prompt_tokens_total{$OURS}[5m])", "{{instance}} prompts"),
        ],
        about="Tokens/s over five minutes, known answers among them.",
    ),
    Panel(
        "Requests",
        [
            ("bramble_server_requests_processing{$OURS}", "{{instance}} at work"),
            ("bramble_server_requests_deferred{$OURS}", "{{instance}} waiting"),
        ],
    ),
    Panel(
        "Answers to clients",
        [
            (
                "sum by (instance, code) (rate(bramble_edge_requests_total{$OURS}[5m])) > 0",
                "{{instance}} {{code}}",
            ),
            ("rate(bramble_edge_refused_total{$OURS}[5m])", "{{instance}} too many"),
        ],
        about="Requests/s by the answer's class; those that were too many are in 4xx and 5xx.",
    ),
    Panel(
        "Clients at the way in",
        [
            ("bramble_edge_connections{$OURS}", "{{instance}} connections"),
            ("bramble_edge_queued{$OURS}", "{{instance}} waiting"),
            ("bramble_edge_queue_places{$OURS}", "{{instance}} may wait"),
        ],
        about="At a full queue the next request is answered with 503.",
    ),
    Panel(
        "Answers of the gateway",
        [
            (
                "sum by (instance, code) (rate(bramble_gateway_requests_total{$OURS}[5m])) > 0",
                "{{instance}} {{code}}",
            ),
            ("rate(bramble_gateway_refused_total{$OURS}[5m])", "{{instance}} too many"),
        ],
        about="Requests/s by the answer's class; those that were too many are in 4xx and 5xx.",
    ),
    Panel(
        "Slots and queues at the gateway",
        [
            (
                "sum by (instance, models) (bramble_gateway_node_busy{$OURS})",
                "{{instance}} {{models}} at work",
            ),
            (
                "sum by (instance, models) (bramble_gateway_node_slots{$OURS})",
                "{{instance}} {{models}} slots",
            ),
            ("bramble_gateway_queued{$OURS}", "{{instance}} {{models}} waiting"),
        ],
        about="By the models that the same nodes serve.",
    ),
    Panel(
        "Nodes at the gateway",
        [("min by (instance, node) (bramble_gateway_node_up{$OURS})", "{{instance}} {{node}}")],
        kind="state-timeline",
        about="1: it takes the gateway's key, and names the planned models.",
    ),
    Panel(
        "Memory of the server",
        [
            ("bramble_server_resident_bytes{$OURS}", "{{instance}} resident"),
            ("bramble_server_locked_bytes{$OURS}", "{{instance}} locked"),
            ("bramble_server_planned_bytes{$OURS}", "{{instance}} planned"),
        ],
        unit="bytes",
        about="Weights that are not resident are read from the disk again for each token.",
    ),
    Panel(
        "Temperature",
        [("bramble_temperature_celsius{$OURS}", "{{instance}}")],
        unit="celsius",
        about="The firmware slows a board down from 80 °C on.",
    ),
    Panel(
        "Held back by",
        [("bramble_throttled_now{$OURS}", "{{instance}} {{condition}}")],
        kind="state-timeline",
    ),
    Panel(
        "Memory that is available",
        [("node_memory_MemAvailable_bytes{$OURS}", "{{instance}}")],
        unit="bytes",
    ),
    Panel(
        "Waiting for memory, the disk and the processor",
        [
            ("rate(node_pressure_memory_stalled_seconds_total{$OURS}[5m])", "{{instance}} memory"),
            ("rate(node_pressure_io_stalled_seconds_total{$OURS}[5m])", "{{instance}} disk"),
            ("rate(node_pressure_cpu_waiting_seconds_total{$OURS}[5m])", "{{instance}} processor"),
        ],
        unit="percentunit",
    ),
    Panel(
        "Processor",
        [
            (
                '1 - avg by (instance) (rate(node_cpu_seconds_total{$OURS, mode="idle"}[5m]))',
                "{{instance}}",
            )
        ],
        unit="percentunit",
    ),
    Panel(
        "Disks that fill up",
        [
            (
                '1 - node_filesystem_avail_bytes{$OURS, fstype!="tmpfs"} '
                '/ node_filesystem_size_bytes{$OURS, fstype!="tmpfs"}',
                "{{instance}} {{mountpoint}}",
            )
        ],
        unit="percentunit",
    ),
    Panel(
        "Restarts of the server in an hour",
        [("increase(bramble_server_restarts_total{$OURS}[1h])", "{{instance}}")],
    ),
    Panel(
        "Checks by node",
        [("bramble_check_success{$OURS}", "{{instance}} {{check}}")],
        kind="state-timeline",
    ),
    Panel(
        "What runs",
        [
            ("bramble_server_build_info{$OURS}", ""),
            ("bramble_model_info{$OURS}", ""),
        ],
        kind="table",
    ),
    Panel(
        "Since the last deploy that changed something",
        [("time() - bramble_deploy_timestamp_seconds{$OURS}", "{{instance}}")],
        unit="s",
    ),
)


def text() -> str:
    """Return the dashboard as Grafana imports it."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


def dashboard() -> dict[str, Any]:
    """Return the dashboard, which asks for its data source and lets one choose nodes."""
    return {
        "title": "bramble",
        "uid": "bramble",
        "description": "Made by `bramble monitoring dashboard`.",
        "schemaVersion": SCHEMA,
        "tags": ["bramble"],
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "editable": True,
        "templating": {"list": _variables()},
        "panels": _placed((*STATS, *LINES)),
    }


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
        {
            "name": "instance",
            "type": "query",
            "label": "Nodes",
            "datasource": _SOURCE,
            "query": 'label_values(up{job="bramble"}, instance)',
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "current": {"text": ["All"], "value": ["$__all"]},
        },
    ]


def _placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Place panels from left to right, and a new line where one is full."""
    made, x, y, height = list[dict[str, Any]](), 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > _WIDTH or (made and height != panel.height):
            x, y = 0, y + height
        height = panel.height
        place = {"x": x, "y": y, "w": panel.width, "h": height}
        made.append(_panel(panel, number) | {"gridPos": place})
        x += panel.width
    return made


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.kind == "stat":
        defaults["thresholds"] = {"mode": "absolute", "steps": _RED_ABOVE_0}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": expr.replace("$OURS", _OURS),
                "legendFormat": legend,
                **_at_once(panel),
            }
            for index, (expr, legend) in enumerate(panel.queries)
        ],
    }


def _at_once(panel: Panel) -> dict[str, Any]:
    """Ask for the present alone where no course is shown."""
    if panel.kind == "table":
        return {"instant": True, "format": "table"}
    return {"instant": panel.kind == "stat"}
