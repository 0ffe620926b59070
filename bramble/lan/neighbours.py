"""The table of neighbours, and which of them have a hardware address of Raspberry Pi's."""

from __future__ import annotations

import ipaddress
import re

OUIS = ("28:cd:c1", "2c:cf:67", "88:a2:9e", "b8:27:eb", "d8:3a:dd", "dc:a6:32", "e4:5f:01")
"""What IEEE has given to Raspberry Pi; boards with a USB or other network card have another maker's."""

_ADDRESS = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])")
# macOS writes 0a as a.
_MAC = re.compile(r"(?<![0-9A-Fa-f:])((?:[0-9A-Fa-f]{1,2}:){5}[0-9A-Fa-f]{1,2})(?![0-9A-Fa-f:])")
_NOBODY = "00:00:00:00:00:00"


def neighbours(table: str) -> dict[str, str]:
    """Return hardware addresses by IPv4 address, of Linux's /proc/net/arp or of `arp -an`."""
    found = {}
    for line in table.splitlines():
        address, mac = _ADDRESS.search(line), _MAC.search(line)
        if address and mac and _is_address(address[1]):
            written = ":".join(part.zfill(2) for part in mac[1].lower().split(":"))
            if written != _NOBODY:
                found[address[1]] = written
    return found


def is_pi(mac: str) -> bool:
    """Tell whether a hardware address is one of Raspberry Pi's."""
    return mac.startswith(OUIS)


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
