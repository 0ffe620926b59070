"""Bookworm's custom.toml, which `firstboot` reads once; at a fault in it the board waits for a key.

The sections and keys are those of raspberrypi-sys-mods' init_config; a user without a password there is
locked, and logs in by a key alone. sudo asks the first user for none on these images.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from bramble.firstboot.volume import CUSTOM_TOML
from bramble.firstboot.wanted import FirstBoot

_HEAD = (
    "# Written by `bramble flash-config {host}`: read at the first boot, which removes this file.\n"
)


def files(wanted: FirstBoot) -> dict[str, str]:
    """Return the texts by their names on the volume; raise ValueError where one would not be read so."""
    values = _values(wanted)
    text = _HEAD.format(host=wanted.host) + "".join(_lines(values))
    # What is written is what the board reads, so it is read back here first.
    if tomllib.loads(text) != values:
        raise ValueError(f"{CUSTOM_TOML} would not be read as it is meant")
    return {CUSTOM_TOML: text}


def _values(wanted: FirstBoot) -> dict[str, Any]:
    values: dict[str, Any] = {
        "config_version": 1,
        "system": {"hostname": wanted.hostname},
        "user": {"name": wanted.user},
        "ssh": {
            "enabled": True,
            "password_authentication": False,
            "authorized_keys": [*wanted.keys],
        },
    }
    if wanted.wifi:
        values["wlan"] = {
            "ssid": wanted.wifi.ssid,
            "password": wanted.wifi.psk,
            "password_encrypted": True,
            "country": wanted.wifi.country,
        }
    if wanted.timezone:
        values["locale"] = {"timezone": wanted.timezone}
    return values


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of TOML: a JSON text of printable characters is one of TOML too."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield f"\n[{name}]\n"
            yield from _lines(value)
        else:
            yield f"{name} = {json.dumps(value, ensure_ascii=False)}\n"
