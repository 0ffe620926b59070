"""Hosts as they say what they are doing, for tests of what is shown of them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bramble.settings import SshSettings
from bramble.status.drift import Changes, Drift
from bramble.status.known import Known
from bramble.status.result import host_status
from bramble.status.said import said
from bramble.status.wanted import Wanted

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
COMMIT = "0c1e57098bba43ac29e6e3b677cdceebdd22334f"
LINE = {
    "uptime_s": 7300,
    "temperature_c": 48.3,
    "throttled": 0,
    "unit": "active",
    "restarts": 0,
    "resident_mib": 1200.5,
    "swapped_mib": 0.0,
    "files_ok": None,
    "files_said": None,
    "files_at_s": None,
    "health": "HTTP 200",
    "build": "b11300-0c1e57098",
    "models": {"toy": "loaded"},
    "busy": 1,
    "waiting": 0,
    "tokens_per_s": 7.94,
    "prompt_per_s": 0.0,
    "ages": {"board": 3, "unit": 1.5, "server": 0.2},
}


def line(**changes):
    """What a good node prints, with some values changed."""
    return json.dumps(LINE | changes)


def wanted(host="pi5-a", **changes):
    """What the inventory says of a host that serves."""
    ssh = SshSettings.model_validate(
        {"address": host}, context={"folder": Path("/inventory"), "host": host}
    )
    serves = {"models": ("toy",), "commit": COMMIT, "slots": 1, "planned_mib": 1300, "server": {}}
    serves["server"] = {"unit": "llama-server.service"}
    return Wanted(host, ssh, **serves | changes)


def known(heard_ago_s=0.4, **changes):
    """A host that said this a moment ago; the time is 1000."""
    return Known(900.0).heard(said(line(**changes)), 1000 - heard_ago_s)


def status(host="pi5-a", seen=None, changes=None, **said_changes):
    """The status of a host at the time 1000."""
    seen = seen or known(**said_changes)
    return host_status(wanted(host), seen, changes or Changes(), 1000.0)


def audited(found="none", what="", ago=timedelta(hours=3), deployed=None):
    """What the reports have of a host: an audit, and perhaps a run after it."""
    return Changes(Drift(found=found, by="audit", what=what, at=NOW - ago), deployed)
