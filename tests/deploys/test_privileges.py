"""How a program becomes root on a host: as the host's data say, by sudo where they say nothing."""

from types import SimpleNamespace

import pytest

from bramble.pyinfra.connection import privileges

NONE = {"_sudo": None, "_doas": None, "_su_user": None}


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        ({}, {"_sudo": True}),
        ({"_sudo": True}, NONE | {"_sudo": True}),
        ({"_sudo": False}, NONE | {"_sudo": False}),
        ({"_doas": True}, NONE | {"_doas": True}),
        ({"_su_user": "root"}, NONE | {"_su_user": "root"}),
        ({"_sudo_password": "x"}, {"_sudo": True, "_sudo_password": "x"}),
    ],
)
def test_the_hosts_data_say_how_a_program_becomes_root(data, arguments):
    host = SimpleNamespace(data=data)
    assert privileges(host, as_root=True) == arguments
    assert privileges(host, as_root=False) == NONE
