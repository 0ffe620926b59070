"""Requests as the journal tells them: one line each, and nothing that is none."""

from bramble.node.requests import requests

AT = "2026-11-30T14:02:47+0000"
# As llama-server of 0c1e57098 and HAProxy 2.6.12 wrote them on a virtual Pi.
SERVER = """\
0.53.497.067 I slot get_availabl: id  0 | task -1 | selected slot by LRU, t_last = 1991714545
0.53.497.124 I slot launch_slot_: id  0 | task 123 | processing task, is_child = 0
0.53.508.315 I slot print_timing: id  0 | task 123 | prompt eval time =       6.19 ms /    22 tokens (    0.28 ms per token,  3551.82 tokens per second)
0.53.508.337 I slot print_timing: id  0 | task 123 |        eval time =      400.00 ms /     20 tokens (    4.98 ms per token,   200.96 tokens per second)
0.53.508.338 I slot print_timing: id  0 | task 123 |       total time =      406.19 ms /    42 tokens
0.53.508.339 I slot print_timing: id  0 | task 123 |    graphs reused =        101
0.53.508.357 I slot      release: id  0 | task 123 | stop processing: n_tokens = 25, truncated = 0
"""  # noqa: E501
REFUSED = (
    "0.53.258.236 E srv    send_error: task id = 120, error: request (560005 tokens) exceeds the "
    "available context size (512 tokens), try increasing it"
)
EDGE = (
    '{"client":"laptop","from":"::ffff:10.77.0.1","method":"POST","path":"\\/v1\\/chat\\/completions",'
    '"status":200,"bytes_in":"44","bytes_out":151,"queue_ms":1009,"first_byte_ms":1003,'
    '"total_ms":2013,"end":"----"}'
)


def told(*texts, name="llama-server"):
    return [*requests(f"{AT} {name}[1044]: {text}\n" for text in texts)]


def test_a_request_is_one_line_with_its_tokens_and_seconds():
    assert told(*SERVER.splitlines()) == [
        f"{AT} model: 22 tokens read in 0.01 s, 20 written in 0.40 s, 50.0 tokens/s"
    ]


def test_two_slots_are_told_apart_by_their_tasks():
    other = [
        line.replace("task 123", "task 9").replace(" 22 ", " 7 ") for line in SERVER.splitlines()
    ]
    mixed = [line for pair in zip(SERVER.splitlines(), other, strict=True) for line in pair]
    assert [line.split("model: ")[1].split()[0] for line in told(*mixed)] == ["22", "7"]


def test_servers_of_several_models_are_told_apart_though_their_tasks_have_one_number():
    first = [f"[56919] {line}" for line in SERVER.splitlines()]
    second = [f"[46475] {line.replace(' 22 ', ' 7 ')}" for line in SERVER.splitlines()]
    mixed = [line for pair in zip(first, second, strict=True) for line in pair]
    assert [line.split("model: ")[1].split()[0] for line in told(*mixed)] == ["22", "7"]


def test_what_the_server_refused_is_told_with_its_reason():
    (line,) = told(REFUSED)
    assert line.startswith(f"{AT} model: refused: request (560005 tokens) exceeds")


def test_a_line_of_the_edge_names_the_client_and_how_long_it_waited():
    assert told(EDGE, name="haproxy") == [
        f"{AT} edge: laptop from 10.77.0.1: POST /v1/chat/completions 200 in 2.01 s after 1.01 s in "
        "the queue"
    ]
    nobody = EDGE.replace('"laptop"', '"-"').replace("200", "401").replace("1009", "-1")
    assert "edge: nobody from 10.77.0.1" in told(nobody, name="haproxy")[0]


# As HAProxy 2.6.12 wrote it before two nodes (tests/unit/test_gateway_clients_haproxy.py).
GATEWAY = (
    '{"client":"bot","from":"127.0.0.1","method":"POST","path":"\\/v1\\/chat\\/completions",'
    '"model":"small","node":"pi5-a","status":200,"bytes_in":"94","bytes_out":112,"queue_ms":1500,'
    '"first_byte_ms":20,"total_ms":1540,"retries":"0","end":"----"}'
)


def test_a_line_of_a_gateway_names_client_model_node_queue_and_first_byte():
    assert told(GATEWAY, name="haproxy") == [
        f"{AT} gateway: bot from 127.0.0.1: POST /v1/chat/completions for small by pi5-a: 200 in "
        "1.54 s after 1.50 s in the queue, first byte after 0.02 s"
    ]


def test_a_request_that_no_node_got_is_told_as_that():
    refused = GATEWAY.replace("pi5-a", "<NOSRV>").replace("1500", "-1").replace("200", "503")
    refused = refused.replace('"small"', '"-"').replace(":1540", ":3").replace(":20,", ":-1,")
    assert told(refused, name="haproxy") == [
        f"{AT} gateway: bot from 127.0.0.1: POST /v1/chat/completions by no node: 503 in 0.00 s"
    ]


def test_what_a_stranger_writes_of_a_gateway_is_cut_and_no_line_of_another_form_is_told():
    long = GATEWAY.replace("chat", "c" * 5000)
    assert len(told(long, name="haproxy")[0]) < 500
    for wrong in ('"node":7', '"node":[]', '"node":null'):
        assert told(GATEWAY.replace('"node":"pi5-a"', wrong), name="haproxy") == []


def test_what_is_no_request_is_left_out():
    assert told("main: model loaded", "print_timing: nonsense") == []
    assert told("Server llama/local is UP", "{", '{"client": 1}', "[]", name="haproxy") == []
    assert [*requests(["-- No entries --\n", "", "\x00"])] == []
    assert told(EDGE, name="sshd") == []
