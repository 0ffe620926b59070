"""`bramble usage`: each request once, tokens where they are known, and what is not known in words."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from bramble.cli import main
from bramble.cli import usage as command
from bramble.ssh.each import Said
from bramble.usage.said import Counts, Journal, Row, journal
from bramble.usage.sums import Gateway, HostJournal, Usage, used
from bramble.usage.told import as_csv, lacking, table
from tests.unit import gateways

DAY, NEXT = "2026-11-18", "2026-11-19"
SINCE_S = 1_795_000_000
ONE = [1, 0, 0, 94, 112, 1000, 500, 0, 0]
REFUSED = [1, 1, 0, 0, 112, 0, 0, 0, 0]


def row(kind, client="", node="", model="", counts=ONE, day=DAY):
    return [day, kind, client, node, model, *counts]


def tokens(read, written, day=DAY):
    return row("model", counts=[0] * 7 + [read, written], day=day)


def said(*rows, **changes):
    told = {"rows": [*rows], "begins_s": SINCE_S, "lost": 0, "unread": 0, "left_out": 0}
    return json.dumps(told | changes)


GATEWAY = said(
    row("gateway", "laptop", "pi5-a", "small"),
    row("gateway", "laptop", "pi5-b", "small", day=NEXT),
    row("gateway", "bot", "pi5-a", "gpt-4o"),
    row("gateway", "bot", "", "", REFUSED),
)
NODES = {
    "pi5-a": said(
        row("edge", "gateway", counts=[2, *ONE[1:]]), row("edge", "phone"), tokens(50, 9)
    ),
    "pi5-b": said(row("edge", "gateway", day=NEXT), tokens(30, 4, NEXT)),
}
EVERY = {"gw": GATEWAY, **NODES}
LED = {"gw": Gateway("gateway", frozenset(NODES))}


def summed(by, hosts=EVERY):
    rows, total = used({name: journal(text) for name, text in hosts.items()}, LED, by)
    return {one.name: one for one in rows}, total


def counts(rows):
    return {name: (one.requests, one.tokens_in, one.tokens_out) for name, one in rows.items()}


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ("client", {"laptop": (2, None, None), "bot": (2, None, None), "phone": (1, None, None)}),
        ("node", {"pi5-a": (3, 50, 9), "pi5-b": (1, 30, 4), "(none)": (1, None, None)}),
        (
            "model",
            {"small": (2, None, None), "gpt-4o": (1, None, None), "(not told)": (2, None, None)},
        ),
        ("day", {DAY: (4, 50, 9), NEXT: (1, 30, 4)}),
    ],
)
def test_a_request_that_came_by_a_gateway_counts_once_and_tokens_where_they_are_known(by, wanted):
    rows, total = summed(by)
    assert counts(rows) == wanted
    assert (total.requests, total.refused, total.tokens_in, total.tokens_out) == (5, 1, 80, 13)
    assert (total.work_s, total.queue_s) == (4.0, 2.0)
    assert sum(one.requests for one in rows.values()) == total.requests


def test_the_most_requests_come_first_and_days_in_their_order():
    assert [*summed("client")[0]] == ["bot", "laptop", "phone"]
    assert [*summed("day")[0]] == [DAY, NEXT]


def test_of_a_gateway_whose_journal_is_not_there_the_nodes_tell_what_it_asked():
    rows, total = summed("client", NODES)
    assert counts(rows) == {"gateway": (3, None, None), "phone": (1, None, None)}
    assert total.requests == 4


def test_of_a_gateway_alone_no_tokens_are_known():
    rows, total = summed("day", {"gw": GATEWAY})
    assert counts(rows) == {DAY: (3, None, None), NEXT: (1, None, None)}
    assert total.tokens_in is None


def test_a_client_of_a_node_has_its_own_name_even_if_that_is_the_gateways_elsewhere():
    rows, _ = summed("client", {"gw": GATEWAY, "pi5-x": said(row("edge", "gateway"))})
    assert rows["gateway"].requests == 1


@pytest.mark.parametrize(
    "output",
    [
        "",
        "[]",
        said(7),
        said(["x"]),
        said(row("gateway", 7)),
        said(row("gateway", counts=[*ONE, 1])),
        said(row("gateway", counts=ONE[:-1])),
        said(row("gateway", counts=[-1, *ONE[1:]])),
        said(row("gateway", counts=["1", *ONE[1:]])),
        said(row("gateway", counts=[1.5, *ONE[1:]])),
        said(row("gateway", counts=[True, *ONE[1:]])),
        said(row("gateway", counts=[2**70, *ONE[1:]])),
        said(*[row("gateway")] * 2001),
        said(lost="many"),
        said(begins_s=1.5),
    ],
)
def test_what_is_not_of_the_form_that_was_asked_for_is_not_believed(output):
    with pytest.raises(ValueError, match=r".*"):
        journal(output)


def test_what_a_host_writes_moves_no_cursor():
    found = journal(said(row("gateway", "\x1b[2Jme", "x" * 5000)))
    assert found.rows[0].client == "?[2Jme"
    assert len(found.rows[0].node) <= 1000


def whole(by="node", **changes):
    rows, total = summed(by)
    since = datetime.fromtimestamp(SINCE_S, UTC)
    told = {"since": since, "by": by, "rows": tuple(rows.values()), "total": total, "hosts": ()}
    return Usage(**told | changes)


def test_the_table_has_the_sum_last_and_a_question_mark_for_what_is_not_known():
    head, first, *_, last = table(whole())
    assert head[:6] == ("NODE", "REQUESTS", "REFUSED", "FAILED", "TOKENS IN", "TOKENS OUT")
    assert first == ("pi5-a", "3", "0", "0", "50", "9", "3.0 s", "1.5 s", "282 B", "336 B")
    assert last[:2] == ("total", "5")
    none = next(one for one in table(whole()) if one[0] == "(none)")
    assert none[4:6] == ("?", "?")


def test_a_spreadsheet_gets_numbers_empty_cells_and_no_formula():
    rows = [*csv.DictReader(io.StringIO(as_csv(whole())))]
    assert [one["node"] for one in rows] == ["pi5-a", "(none)", "pi5-b"]
    assert (rows[0]["tokens_in"], rows[1]["tokens_in"], rows[0]["queue_s"]) == ("50", "", "1.5")
    evil = {"x": Journal((Row(DAY, "edge", "=1+1", "", "", Counts(1)),), None, 0, 0, 0)}
    (made,), _ = used(evil, {}, "client")
    assert "\n'=1+1,1," in as_csv(whole(rows=(made,)))


def test_all_that_is_not_known_is_said():
    assert [*lacking(whole())] == []
    assert "know no client" in next(lacking(whole("client")))
    none = whole().total.model_copy(update={"tokens_in": None})
    assert "name the nodes" in next(lacking(whole(total=none)))
    begins = datetime.fromtimestamp(SINCE_S + 3600, UTC)
    hosts = (
        HostJournal(host="a", problem="no route"),
        HostJournal(host="b", begins=begins, lost=3, unread=2, left_out=1),
        HostJournal(host="c", begins=datetime.fromtimestamp(SINCE_S - 5, UTC)),
    )
    assert [*lacking(whole(hosts=hosts))] == [
        "a is not in the sums: no route",
        "b: its journal begins at 2026-11-18 12:06 UTC: what was before is gone",
        "b: journald dropped 3 lines, of which nothing is known",
        "b: 2 lines could not be read",
        "b: 1 lines are of more sums than are kept",
    ]


@pytest.fixture
def bramble(tmp_path, monkeypatch):
    """The command on an inventory whose hosts say these."""
    hosts = gateways.nodes() | {"pi5-l": gateways.node(7, expose="local")}
    hosts["plain"] = {"ssh": {"address": "192.168.1.60"}, "node": {"roles": ["base"]}}
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(gateways.inventory(tmp_path, hosts)))
    told = {name: Said(name, 0, text) for name, text in (EVERY | {"pi5-l": said()}).items()}

    def on_each(settings, line, timeout_s):
        asked.append(([*settings], line))
        return [told[name] for name in settings]

    asked = []
    monkeypatch.setattr("bramble.ssh.each.on_each", on_each)

    def run(*words, **changes):
        told.update(changes)
        return CliRunner().invoke(main, ["usage", *words])

    run.asked = asked
    return run


def test_all_gateways_and_nodes_are_asked_by_one_command_each(bramble):
    done = bramble("--by", "node", "--json")
    assert done.exit_code == 0, done.output
    found = Usage.model_validate_json(done.stdout)
    assert found.total.requests == 5
    ((names, line),) = bramble.asked
    assert sorted(names) == ["gw", "pi5-a", "pi5-b", "pi5-l"]
    assert line.startswith("python3 -Iuc ")
    assert {one.host for one in found.hosts} == {*names}


def test_people_get_a_table_and_programs_csv(bramble):
    done = bramble("gw", "pi5-a", "pi5-b")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].split()[:2] == ["CLIENT", "REQUESTS"]
    assert "know no client" in done.output
    assert bramble("gw", "--csv").stdout.startswith("client,requests,refused,failed,tokens_in,")


@pytest.mark.parametrize(
    ("said_by_it", "why"),
    [
        (Said("gw", 255, "", "no route to host"), "gw is not in the sums: no route to host"),
        (Said("gw", 1, "x\nthe journal cannot be read: No\n"), "the journal cannot be read: No"),
        (Said("gw", 0, "\x1b[2J"), "what it says cannot be read"),
    ],
)
def test_a_host_that_cannot_be_read_is_told_and_the_others_are_summed(bramble, said_by_it, why):
    done = bramble("--by", "client", gw=said_by_it)
    assert done.exit_code == 1
    assert why in done.output
    assert "phone" in done.stdout
    assert "\x1b" not in done.output


def test_where_nothing_was_asked_that_is_said(bramble):
    done = bramble("pi5-l")
    assert (done.exit_code, "no request since then" in done.output) == (0, True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["plain"], "plain gets neither the role serving nor a gateway"),
        (["nobody"], "nobody"),
        (["--since", "7"], "found '7', allowed: a whole number with m, h, d or w"),
        (["--since", "0d"], "allowed"),
        (["--since", "9999w"], "at most ten years"),
        (["--since", "-3d"], "allowed"),
        (["--by", "colour"], "colour"),
        (["--json", "--csv"], "choose one of --json and --csv"),
    ],
)
def test_wrong_words_are_refused_before_a_connection(bramble, words, why):
    done = bramble(*words)
    assert done.exit_code == 2
    assert why in done.output
    assert bramble.asked == []


def test_a_span_is_taken_back_from_now(bramble, monkeypatch):
    monkeypatch.setattr(command.time, "time", lambda: SINCE_S + 2 * 3600)
    found = Usage.model_validate_json(bramble("gw", "--since", "2h", "--json").stdout)
    assert found.since == datetime.fromtimestamp(SINCE_S, UTC)
