"""The formats by their names; a module is imported when its format is asked for."""

from __future__ import annotations

from importlib import import_module

from bramble.reporting.results import Checked

_MODULES = {
    "text": "text",
    "json": "json_text",
    "junit": "junit",
    "tap": "tap",
    "nagios": "nagios",
    "prometheus": "prometheus",
    "csv": "csv_text",
    "html": "html",
}
NAMES = tuple(_MODULES)
WITH_HISTORY = ("html",)
"""The formats that tell of earlier runs too."""


def written(name: str, checked: Checked) -> str:
    """Return the results in the format of this name."""
    made: str = import_module(f"bramble.reporting.{_MODULES[name]}").text(checked)
    return made
