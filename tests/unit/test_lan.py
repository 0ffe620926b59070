"""Boards on the network: neighbours, messages of mDNS from anybody, and what is made of both."""

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble.lan import mdns, pis
from bramble.lan.mdns import PTR, A, Record
from bramble.lan.neighbours import is_pi, neighbours

LINUX = """\
IP address       HW type     Flags       HW address            Mask     Device
192.168.1.41     0x1         0x2         dc:a6:32:01:02:03     *        eth0
192.168.1.7      0x1         0x0         00:00:00:00:00:00     *        eth0
192.168.1.1      0x1         0x2         3c:a6:2f:00:00:01     *        eth0
"""
MACOS = """\
? (192.168.1.42) at 2c:cf:67:a:b:c on en0 ifscope [ethernet]
? (192.168.1.50) at (incomplete) on en0 ifscope [ethernet]
router.lan (192.168.1.1) at 3c:a6:2f:0:0:1 on en0 ifscope [ethernet]
"""


@pytest.mark.parametrize(
    ("table", "address", "mac"),
    [(LINUX, "192.168.1.41", "dc:a6:32:01:02:03"), (MACOS, "192.168.1.42", "2c:cf:67:0a:0b:0c")],
    ids=["linux", "macos"],
)
def test_a_table_of_neighbours_has_those_that_answered(table, address, mac):
    assert neighbours(table) == {address: mac, "192.168.1.1": "3c:a6:2f:00:00:01"}


def test_a_raspberry_pi_is_known_by_its_hardware_address():
    ours = ("28:cd:c1", "2c:cf:67", "88:a2:9e", "b8:27:eb", "d8:3a:dd", "dc:a6:32", "e4:5f:01")
    assert all(is_pi(f"{oui}:00:00:01") for oui in ours)
    assert not is_pi("3c:a6:2f:00:00:01")


def name(text):
    return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"


def answer(*records, flags=b"\x84\x00"):
    """A message with these answers, each as bytes of name, kind and data."""
    parts = [
        made
        + kind.to_bytes(2, "big")
        + b"\x80\x01"
        + b"\0\0\0\x78"
        + len(data).to_bytes(2, "big")
        + data
        for made, kind, data in records
    ]
    return b"\0\0" + flags + b"\0\0" + len(parts).to_bytes(2, "big") + b"\0" * 4 + b"".join(parts)


def test_answers_are_read_with_names_that_point_back():
    address = (name("raspberrypi.local"), A, bytes([192, 168, 1, 41]))
    # 12: where the first name begins.
    pointer = (name("41.1.168.192.in-addr.arpa"), PTR, b"\xc0\x0c")
    found = mdns.records(answer(address, pointer, (name("x.local"), 16, b"text")))
    assert found == [
        Record("raspberrypi.local", A, "192.168.1.41"),
        Record("41.1.168.192.in-addr.arpa", PTR, "raspberrypi.local"),
    ]


def test_a_question_says_what_is_asked_and_is_no_answer():
    asked = mdns.question([("raspberrypi.local", A), ("_ssh._tcp.local", PTR)])
    assert asked[4:6] == b"\0\2"
    assert (
        asked[12:]
        == name("raspberrypi.local") + b"\0\1\0\1" + name("_ssh._tcp.local") + b"\0\x0c\0\1"
    )
    assert mdns.records(asked) == []


DAMAGED = {
    "a name that points at itself": answer((b"\xc0\x0c", A, bytes(4))),
    "a record that is cut off": answer((name("a.local"), A, bytes(4)))[:-2],
    "a label beyond the end": answer((b"\x3fabc", A, bytes(4))),
    "a kind of label that there is not": answer((b"\x80\0", A, bytes(4))),
    "nothing": b"",
}


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_message_has_no_answer(how):
    assert mdns.records(DAMAGED[how]) == []


@given(st.binary(max_size=300))
def test_no_message_does_harm(data):
    for record in mdns.records(b"\0\0\x84\0" + data):
        assert record.name.isprintable()


def test_a_name_of_a_stranger_moves_no_cursor():
    (found,) = mdns.records(answer((b"\x05a\x1b[2Jb"[:6] + b"\0", A, bytes([10, 0, 0, 1]))))
    assert "\x1b" not in found.name


def test_what_answers_within_its_time_is_heard():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def respond():
            _, client = server.recvfrom(9000)
            server.sendto(b"damaged", client)
            server.sendto(answer((name("a.local"), A, bytes([127, 0, 0, 1]))), client)

        thread = threading.Thread(target=respond)
        thread.start()
        found = mdns.ask([("a.local", A)], group=server.getsockname(), wait_s=2)
        thread.join()
    assert found == {"127.0.0.1": [Record("a.local", A, "127.0.0.1")]}


def test_without_a_network_nothing_is_heard():
    assert mdns.ask([("a.local", A)], group=("256.0.0.1", 5353), wait_s=1) == {}


def found(*heard):
    """What is found where each question in turn is answered so."""
    answers, asked, knocked = list(heard), [], []

    def ask(names):
        asked.append(list(names))
        return answers.pop(0)

    return pis.find(ask, lambda: LINUX, lambda: knocked.append(True)), asked, knocked


def test_a_board_is_found_by_its_hardware_address_and_asked_for_its_name():
    reverse = "41.1.168.192.in-addr.arpa"
    boards, asked, knocked = found({}, {"192.168.1.41": [Record(reverse, PTR, "kitchen.local")]})
    assert boards == [pis.Pi("192.168.1.41", "dc:a6:32:01:02:03", "kitchen.local")]
    assert (asked[1], knocked) == ([(reverse, PTR)], [True])


def test_an_image_without_a_name_of_its_own_is_found_by_that_of_the_image():
    record = Record("raspberrypi.local", A, "192.168.1.60")
    boards, _, _ = found({"192.168.1.60": [record]}, {})
    assert [pi.address for pi in boards] == ["192.168.1.41", "192.168.1.60"]


def test_what_is_no_board_is_none_whatever_it_says():
    said = {
        "192.168.1.1": [Record("raspberrypi.local", A, "192.168.1.1")],
        "192.168.1.9": [Record("nas.local", A, "192.168.1.9")],
        # An address that is not the sender's own is hearsay.
        "192.168.1.8": [Record("raspberrypi.local", A, "10.0.0.1")],
    }
    boards, _, _ = found(said, {})
    assert [pi.address for pi in boards] == ["192.168.1.41"]
