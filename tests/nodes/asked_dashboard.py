"""What a Grafana asks Prometheus for a dashboard, and whether what comes can be drawn as it says.

There is no Grafana here: this is about each panel's queries, their legends and units, and not its looks.
"""

import json
import math
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 30
STEP_S, SHOWN_S = 5, 60
LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")
# The smallest and the largest that may be drawn in a unit; a rate is extrapolated, so beyond 0 and 1.
UNITS = {
    "short": (0, 1e9),
    "bytes": (0, 1e13),
    "celsius": (1, 120),
    "percentunit": (-0.05, 1.05),
    "s": (0, 86400),
}


@dataclass(frozen=True)
class Series:
    """One line of a panel: its labels, and its values."""

    labels: Mapping[str, str]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Prometheus:
    """A server's interface for questions."""

    url: str

    def get(self, path: str, **words: Any) -> Any:
        """The data of an answer."""
        query = urllib.parse.urlencode(words)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{self.url}/api/v1/{path}?{query}", timeout=TIMEOUT_S) as said:
            return json.load(said)["data"]

    def drawn(self, target: Mapping[str, Any], chosen: str) -> list[Series]:
        """What a query of a panel gives for the chosen nodes: for the last minute, or now."""
        expr = target["expr"].replace("$instance", chosen)
        if target["instant"]:
            found = self.get("query", query=expr)["result"]
            return [Series(one["metric"], (float(one["value"][1]),)) for one in found]
        now = time.time()
        span = {"start": now - SHOWN_S, "end": now, "step": STEP_S}
        found = self.get("query_range", query=expr, **span)["result"]
        return [
            Series(one["metric"], tuple(float(value) for _, value in one["values"]))
            for one in found
        ]

    def all_of(self, variable: Mapping[str, Any]) -> str:
        """What "All" of a variable stands for: each of its values, as Grafana writes them."""
        matched = LABEL_VALUES.fullmatch(variable["query"])
        assert matched, variable["query"]
        values = self.get(f"label/{matched[2]}/values", **{"match[]": matched[1]})
        return f"({'|'.join(values)})"


def queries(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Each query with the title and the unit of its panel."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], panel["fieldConfig"]["defaults"]["unit"], target


def variable(dashboard: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """One of the dashboard's variables."""
    return next(one for one in dashboard["templating"]["list"] if one["name"] == name)


def problems(unit: str, target: Mapping[str, Any], found: Sequence[Series]) -> list[str]:
    """Why an answer cannot be drawn: it is empty, beyond its unit, or its legend has no label."""
    if not found:
        return ["nothing"]
    least, most = UNITS[unit]
    values = [value for series in found for value in series.values]
    beyond = [value for value in values if math.isnan(value) or not least <= value <= most]
    wanted = re.findall(r"{{(\w+)}}", target["legendFormat"])
    lacking = {label for label in wanted for series in found if label not in series.labels}
    return [f"{value} {unit}" for value in beyond[:3]] + [
        f"no label {label}" for label in sorted(lacking)
    ]
