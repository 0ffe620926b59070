"""For spreadsheets: CSV in which no cell is taken for a formula, whoever wrote its text."""

from __future__ import annotations

import csv
import re
from io import StringIO

from bramble.reporting.results import Checked

COLUMNS = ("at", "host", "role", "check", "status", "want", "got", "remedy")

# What begins a formula, also in full width; at the beginning, and after what a spreadsheet of another
# language takes for the end of a cell. https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = re.compile(r"(^|[;,|\t\n])([\s\"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")


def text(checked: Checked) -> str:
    """Return a head and a line for each result, as RFC 4180 has them."""
    made = StringIO()
    writer = csv.writer(made, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for results in checked.hosts.values():
        for result in results:
            row = {"at": checked.at, **result.as_dict()}
            writer.writerow([harmless(row[name]) for name in COLUMNS])
    return made.getvalue()


def harmless(cell: str) -> str:
    """Put an apostrophe before what a spreadsheet would compute."""
    return _FORMULA.sub(r"\1\2'", cell)
