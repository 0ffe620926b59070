"""Whatever stands in a journal, and whatever a gateway tells of itself: sums and rows, or words."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given

from bramble.node.requests import requests
from bramble.remote import usage
from bramble.status import gateway, rows
from bramble.status.drift import Changes
from bramble.status.known import Known
from bramble.status.result import host_status
from bramble.status.said import said
from bramble.usage.said import journal
from bramble.usage.sums import Usage, used
from bramble.usage.told import as_csv, lacking, table
from tests.faults.fuzz import examples, mangled
from tests.unit.remote.test_node_usage import entry
from tests.unit.status_made import line, wanted
from tests.unit.test_requests import AT, GATEWAY
from tests.unit.test_status_gateway import POOLS, TOLD
from tests.unit.test_usage import GATEWAY as SUMS

pytestmark = pytest.mark.untrusted
ROW = json.loads(GATEWAY)


@examples(200)
@given(mangled(ROW))
@example({**ROW, "total_ms": 10**400})
@example({**ROW, "node": "\x1b[2J"})
@example({**ROW, "status": {"a": [1]}})
@example([])
def test_a_line_of_a_gateway_is_told_or_left_out(row):
    found = [*requests([f"{AT} haproxy[7]: {json.dumps(row)}"])]
    assert len(found) <= 1


@examples(200)
@given(mangled(ROW))
@example({**ROW, "bytes_in": "9" * 5000})
@example({**ROW, "end": ""})
@example({**ROW, "status": "200"})
@example({**ROW, "queue_ms": -(2**70)})
def test_a_line_of_a_gateway_is_summed_up_or_counted_as_unread(row):
    sums = usage.Sums()
    sums.take(entry("gateway", json.dumps(row)))
    for key, counts in sums.rows.items():
        assert all(len(word) <= usage.LONGEST for word in key)
        assert all(type(n) is int and 0 <= n <= usage.LARGEST for n in counts.values())
    assert not (sums.rows and sums.unread)


@examples(200)
@given(mangled(json.loads(entry("gateway", GATEWAY))))
@example({"MESSAGE_ID": usage.DROPPED, "N_DROPPED": "x", "__REALTIME_TIMESTAMP": "0"})
@example({"_SYSTEMD_UNIT": [], "__REALTIME_TIMESTAMP": "0"})
def test_an_entry_of_a_journal_is_summed_up_or_counted_as_unread(found):
    sums = usage.Sums()
    sums.take(json.dumps(found))
    assert len(sums.rows) <= 1


@examples(200)
@given(mangled(json.loads(SUMS)))
def test_the_sums_of_a_host_are_believed_whole_or_refused(told):
    try:
        found = journal(json.dumps(told))
    except ValueError:
        return
    every, total = used({"gw": found}, {}, "client")
    since = datetime(2026, 11, 18, tzinfo=UTC)
    whole = Usage(since=since, by="client", rows=every, total=total, hosts=())
    shown = [*lacking(whole), *(cell for row in table(whole) for cell in row)]
    assert all(text.isprintable() for text in shown)
    assert as_csv(whole).count("\n") == len(every) + 1


@examples(200)
@given(mangled({name: TOLD[name] for name in ("gateway", "queues", "nodes")}))
@example({"gateway": "active", "queues": {}, "nodes": {"pool1/pi5-a": {"state": 7, "check": 9}}})
def test_what_a_gateway_tells_is_shown_or_not_believed(told):
    try:
        heard = said(line(**TOLD | (told if isinstance(told, dict) else {"nodes": told})))
    except ValueError:
        return
    host = wanted("gw", pools=POOLS, queue=32, server=None, models=(), slots=0)
    found = host_status(host, Known(900.0).heard(heard, 999.6), Changes(), 1000.0)
    cells = [cell.text for cell in rows.cells(found).values()]
    shown = [*cells, *(text for row in gateway.rows("gw", found.gateway) for text in row)]
    assert all(text.isprintable() for text in (found.why, *shown))
