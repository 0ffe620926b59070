"""What HAProxy is told to find at its next start, and what it says that cannot be understood."""

import socket
import threading

import pytest

from bramble.remote import balancer

NAMES = "be_name srv_name srv_op_state srv_admin_state srv_uweight srv_port srv_use_ssl"
CONFIG = """\
frontend gateway
    bind [::]:8082 v4v6
backend pool1
    balance leastconn
    server pi5-a 192.168.1.41:8443 maxconn 1 ssl verify required
    server pi5-b [fd00::42]:8081 maxconn 2
backend pool2
    server pi5-b [fd00::42]:8081 maxconn 2
"""


def servers(*rows):
    """Servers as HAProxy tells of them."""
    named = [dict(zip(NAMES.split(), row.split(), strict=True)) for row in rows]
    made = [balancer.server(row | {"srv_time_since_last_change": "7"}) for row in named]
    found = [one._replace(row=row) for one, row in zip(made, named, strict=True)]
    return {one[:2]: one for one in found}


def kept(*rows):
    """The rows that are kept of these."""
    lines = balancer.kept(servers(*rows), CONFIG).splitlines()
    assert lines[:2] == ["1", f"# {NAMES}"]
    return lines[2:]


def test_who_is_drained_or_in_maintenance_is_kept_and_nobody_else():
    assert kept("pool1 pi5-a 2 0 1 8443 1", "pool1 pi5-b 0 0 1 8081 0") == []
    assert kept("pool1 pi5-a 2 8 0 8443 1", "pool1 pi5-b 0 1 1 8081 0") == [
        "pool1 pi5-a 2 8 0 8443 1",
        "pool1 pi5-b 0 1 1 8081 0",
    ]


def test_its_port_and_tls_are_those_of_the_configuration():
    assert kept("pool1 pi5-a 2 8 0 8081 0") == ["pool1 pi5-a 2 8 0 8443 1"]
    assert kept("pool1 pi5-b 2 8 0 8443 1") == ["pool1 pi5-b 2 8 0 8081 0"]


def test_a_server_that_is_planned_no_more_is_forgotten():
    assert kept("pool2 pi5-a 2 8 0 8081 0", "pool3 pi5-b 2 8 0 8081 0") == []


@pytest.mark.parametrize("said", ["", "2\n# be_id\n", "1\n", "Unknown command\n"])
def test_what_is_no_list_of_servers_is_told(tmp_path, said):
    place = str(tmp_path / "admin.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(said.encode())

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(balancer.BalancerError, match="it does not tell its servers"):
            balancer.servers(place)
        thread.join()
