"""A host sums up what its journal has of requests: each once, and nothing that is none."""

import json

import pytest

from bramble.remote import usage
from bramble.usage.said import Counts, journal
from tests.unit.test_requests import EDGE, GATEWAY, SERVER

AT_US = 1_795_000_000_000_000  # 2026-11-18 10:26:40 UTC
DAY = "2026-11-18"
UNITS = {"gateway": usage.GATEWAY, "edge": usage.EDGE, "model": "llama-server.service"}


def entry(kind, message, at_us=AT_US, **more):
    unit = UNITS.get(kind, kind)
    return json.dumps(
        {"_SYSTEMD_UNIT": unit, "MESSAGE": message, "__REALTIME_TIMESTAMP": str(at_us), **more}
    )


def summed(*entries):
    sums = usage.Sums()
    for one in entries:
        sums.take(one.encode())
    return sums


def rows(sums):
    return {key: Counts(**counts) for key, counts in sums.rows.items()}


def test_requests_of_a_gateway_are_summed_by_client_node_model_and_day():
    later = entry("gateway", GATEWAY, AT_US + 86_400_000_000)
    other = entry("gateway", GATEWAY.replace('"bot"', '"laptop"'))
    found = rows(summed(entry("gateway", GATEWAY), entry("gateway", GATEWAY), other, later))
    one = Counts(requests=1, bytes_in=94, bytes_out=112, work_ms=40, queue_ms=1500)
    two = Counts(requests=2, bytes_in=188, bytes_out=224, work_ms=80, queue_ms=3000)
    assert found == {
        (DAY, "gateway", "bot", "pi5-a", "small"): two,
        (DAY, "gateway", "laptop", "pi5-a", "small"): one,
        ("2026-11-19", "gateway", "bot", "pi5-a", "small"): one,
    }


def gateway(**changes):
    return entry("gateway", json.dumps(json.loads(GATEWAY) | changes))


@pytest.mark.parametrize(
    ("changes", "refused", "failed", "work_ms"),
    [
        ({}, 0, 0, 40),
        ({"node": "<NOSRV>", "status": 429, "end": "PR--", "queue_ms": -1, "total_ms": 2}, 1, 0, 0),
        ({"node": "<NOSRV>", "status": 403, "end": "LR--"}, 1, 0, 0),
        ({"node": "<NOSRV>", "status": 503, "end": "sQ--"}, 1, 0, 0),
        ({"node": "<NOSRV>", "status": -1, "end": "CQ--"}, 1, 0, 0),
        ({"status": 400}, 0, 1, 40),
        ({"status": 200, "end": "SD--"}, 0, 1, 40),
        ({"status": 200, "end": "CD--"}, 0, 1, 40),
        ({"status": 504, "end": "sH--"}, 0, 1, 40),
        ({"status": 503, "end": "SC--"}, 1, 0, 0),
    ],
)
def test_what_no_node_got_is_refused_and_what_one_got_and_did_not_answer_whole_failed(
    changes, refused, failed, work_ms
):
    (found,) = rows(summed(gateway(**changes))).values()
    assert (found.requests, found.refused, found.failed) == (1, refused, failed)
    assert found.work_ms == work_ms
    assert found.queue_ms >= 0


def test_a_nodes_own_way_in_has_clients_and_its_refusals():
    refused = EDGE.replace('"----"', '"PR--"').replace("200", "429")
    found = rows(summed(entry("edge", EDGE), entry("edge", refused)))
    assert found == {
        (DAY, "edge", "laptop", "", ""): Counts(
            requests=2,
            refused=1,
            bytes_in=88,
            bytes_out=302,
            work_ms=1004,
            queue_ms=2018,
        )
    }


def test_who_asks_for_names_asks_no_model_and_nobody_is_no_name():
    listed = gateway(method="GET")
    nobody = gateway(client="-", model="-", node="<NOSRV>", end="LR--", bytes_in="-")
    assert [*rows(summed(listed, nobody))] == [(DAY, "gateway", "", "", "")]


def test_tokens_are_those_that_the_server_counted_each_once():
    found = rows(summed(*(entry("model", line) for line in SERVER.splitlines())))
    assert found == {(DAY, "model", "", "", ""): Counts(tokens_in=22, tokens_out=20)}


def test_lines_that_journald_dropped_are_counted():
    said = f"Suppressed 17 messages from {usage.GATEWAY}"
    more = {"MESSAGE_ID": usage.DROPPED, "N_DROPPED": "17"}
    sums = summed(entry("systemd-journald.service", said, **more))
    assert (sums.lost, sums.rows, sums.unread) == (17, {}, 0)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "7",
        entry("gateway", None),
        entry("gateway", [123, 34]),
        entry("gateway", "{"),
        entry("gateway", '{"client": 1}'),
        gateway(total_ms="40"),
        gateway(total_ms=True),
        gateway(bytes_out=2**60),
        gateway(bytes_out=1.5),
        gateway(client=["x"]),
        gateway(end="-"),
        gateway(node=None),
        entry("gateway", GATEWAY, at_us="soon"),
        entry("gateway", GATEWAY, at_us=10**40),
        entry("model", SERVER.splitlines()[2].replace("22 tokens", f"{2**60} tokens")),
    ],
)
def test_a_line_that_cannot_be_read_is_counted_and_adds_nothing(line):
    sums = summed(line)
    assert (sums.rows, sums.unread) == ({}, 1)


def test_other_lines_are_none_of_requests():
    sums = summed(
        entry("gateway", "[NOTICE]   (8430) : Loading success."),
        entry("init.scope", "Started bramble-gateway.service"),
        entry("sshd.service", GATEWAY),
        entry("model", "main: model loaded"),
        entry("model", None),
    )
    assert (sums.rows, sums.unread) == ({}, 0)


def test_sums_are_bounded_in_number_and_length(monkeypatch):
    monkeypatch.setattr(usage, "MOST_ROWS", 2)
    sums = summed(*(gateway(client=f"{n}" * 500) for n in range(4)), gateway(client="0" * 500))
    assert (len(sums.rows), sums.left_out) == (2, 2)
    assert all(len(word) <= usage.LONGEST for key in sums.rows for word in key)


@pytest.fixture
def read(commands, capsys, monkeypatch):
    """What the program prints of a journal that the command `journalctl` is."""
    monkeypatch.setattr(usage.signal, "alarm", int)
    monkeypatch.setattr(usage.os, "nice", int)

    def run(script, sudo="exit 1"):
        commands("sudo", sudo)
        commands("journalctl", script)
        return usage.main({"since_s": 1_795_000_000}), capsys.readouterr()

    return run


def test_the_journal_is_read_since_a_time_and_told_with_its_begin(read, tmp_path):
    (tmp_path / "lines").write_text(f"{entry('gateway', GATEWAY)}\n{gateway(client='-')}\n")
    asked = tmp_path / "asked"
    script = f'echo "$@" >> {asked}; cat {tmp_path}/lines'
    code, said = read(script)
    found = journal(said.out)
    assert (code, found.begins_s, found.lost, found.unread) == (0, AT_US // 10**6, 0, 0)
    assert sum(row.counts.requests for row in found.rows) == 2
    first, second = asked.read_text().splitlines()
    assert "--since=@1795000000" in first
    assert all(f"-u {unit}" in first for unit in usage.UNITS)
    assert "--since" not in second


def test_root_reads_it_where_that_takes_no_password(read, tmp_path):
    (tmp_path / "lines").write_text(f"{entry('gateway', GATEWAY)}\n")
    code, said = read("exit 1", sudo=f"cat {tmp_path}/lines")
    assert (code, len(journal(said.out).rows)) == (0, 1)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (
            "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1",
            "No j",
        ),
        ("echo 'Hint: You are currently not seeing messages from other users' >&2", "not seeing"),
        ("exit 3", "it ended with 3"),
    ],
)
def test_a_journal_that_may_not_be_read_is_no_sum_of_nothing(read, script, why):
    code, said = read(script)
    assert (code, said.out) == (1, "")
    assert why in said.err


def test_what_was_read_of_a_journal_that_broke_off_is_not_read_again(read, tmp_path):
    (tmp_path / "lines").write_text(f"{entry('gateway', GATEWAY)}\n")
    code, said = read(f"cat {tmp_path}/lines", sudo=f"cat {tmp_path}/lines; exit 1")
    assert (code, said.out) == (1, "")


def test_a_journal_without_an_entry_has_no_begin(read):
    code, said = read("exit 0")
    assert (code, journal(said.out).rows, journal(said.out).begins_s) == (0, (), None)


def test_a_host_without_journalctl_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(usage.signal, "alarm", int)
    monkeypatch.setattr(usage.os, "nice", int)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert usage.main({"since_s": 0}) == 1
    assert "there is no journalctl" in capsys.readouterr().err
