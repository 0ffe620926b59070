"""Trixie's user-data, network-config and meta-data for cloud-init, and its words of cmdline.txt.

They are as Raspberry Pi Imager 2 writes them: `user` in the singular, which keeps the groups of the
image's own user; sshd, which the image does not start, by a command; sudo's rule by one besides.
"""

from __future__ import annotations

import hashlib
from typing import Any

import yaml

from bramble.firstboot.volume import CMDLINE, META_DATA, NETWORK_CONFIG, USER_DATA, Volume
from bramble.firstboot.wanted import FirstBoot, HostKey, Wifi

HEAD = "#cloud-config\n"
_ABOUT = "# Written by `bramble flash-config {host}`: read at the first boot.\n"
_MOUNTED = f"/boot/firmware/{USER_DATA}"
_BEGIN, _END = "# The host key, which the first boot takes away", "# The end of the host key"
_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
# cloud-init's own word for its source, and for the instance, which it knows again at later boots by it.
_SOURCE = "ds=nocloud"
# What the image's own meta-data names.
STOCK_INSTANCE = "rpios-image"


def files(wanted: FirstBoot, volume: Volume) -> dict[str, str]:
    """Return the texts by their names on the volume, in the order in which they are written.

    cmdline.txt is the last: what it names is there by then. Raise ValueError where one would not be
    read as it is meant.
    """
    text = _user_data(wanted)
    instance = f"bramble-{hashlib.sha256(without_host_key(text).encode()).hexdigest()[:16]}"
    found = {USER_DATA: text}
    if wanted.wifi:
        found[NETWORK_CONFIG] = _read_back(_network(wanted.wifi), NETWORK_CONFIG)
    found[META_DATA] = _read_back({"instance-id": instance}, META_DATA)
    found[CMDLINE] = _cmdline(volume.cmdline, instance)
    return found


def is_stock(name: str, text: str) -> bool:
    """Tell whether a file says nothing but what the image came with."""
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError:
        return False
    if name == META_DATA:
        return isinstance(said, dict) and STOCK_INSTANCE in (
            said.get("instance_id"),
            said.get("instance-id"),
        )
    return said is None


def is_customised(cmdline: str) -> bool:
    """Tell whether a command line names an instance of cloud-init already."""
    return any(word.startswith(_SOURCE) for word in cmdline.split())


def without_host_key(text: str) -> str:
    """Return user-data as the first boot leaves it."""
    before, _, rest = text.partition(f"{_BEGIN}\n")
    return before + rest.partition(f"{_END}\n")[2]


def _user_data(wanted: FirstBoot) -> str:
    values = _values(wanted)
    text = HEAD + _ABOUT.format(host=wanted.host)
    if wanted.host_key:
        written = _written(wanted.host_key)
        text += f"{_BEGIN}\n{_dumped(written)}{_END}\n"
        values = written | values
    text += _dumped({name: value for name, value in values.items() if name != "write_files"})
    if yaml.safe_load(text) != values:
        raise ValueError(f"{USER_DATA} would not be read as it is meant")
    return text


def _values(wanted: FirstBoot) -> dict[str, Any]:
    zone = {"timezone": wanted.timezone} if wanted.timezone else {}
    return {
        "hostname": wanted.hostname,
        **zone,
        "user": {
            "name": wanted.user,
            "shell": "/bin/bash",
            "lock_passwd": True,
            "ssh_authorized_keys": [*wanted.keys],
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
        },
        "ssh_pwauth": False,
        "runcmd": _commands(wanted),
    }


def _commands(wanted: FirstBoot) -> list[list[str]]:
    """Return what is run once, at the end; names that a shell reads otherwise are refused before."""
    rule = f"{wanted.user} ALL=(ALL) NOPASSWD:ALL"
    commands = [
        ["sed", "-i", rf"s/^127\.0\.1\.1[[:space:]].*/127.0.1.1 {wanted.hostname}/", "/etc/hosts"],
        ["sh", "-c", f"umask 337; echo '{rule}' > /etc/sudoers.d/010_{wanted.user}-nopasswd"],
    ]
    if wanted.host_key:
        commands.append(["sed", "-i", f"/^{_BEGIN}$/,/^{_END}$/d", _MOUNTED])
    # The last, so that no other host key is shown meanwhile.
    return [*commands, ["systemctl", "enable", "--now", "ssh"]]


def _written(key: HostKey) -> dict[str, Any]:
    """Return the files of a host key, which land after the system has made keys of its own."""
    parts = ((_HOST_KEY, key.private, "0600"), (f"{_HOST_KEY}.pub", f"{key.public}\n", "0644"))
    return {
        "write_files": [
            {
                "path": path,
                "content": text,
                "owner": "root:root",
                "permissions": mode,
                "defer": True,
            }
            for path, text, mode in parts
        ]
    }


def _network(wifi: Wifi) -> dict[str, Any]:
    """Return netplan's configuration: it takes the place of the image's, so the wire is named too."""
    wired = {"dhcp4": True, "dhcp6": True, "optional": True}
    radio = {
        "dhcp4": True,
        "optional": True,
        "regulatory-domain": wifi.country,
        "access-points": {wifi.ssid: {"password": wifi.psk}},
    }
    return {"network": {"version": 2, "ethernets": {"eth0": wired}, "wifis": {"wlan0": radio}}}


def _cmdline(text: str, instance: str) -> str:
    kept = [word for word in text.split(" ") if not word.startswith(_SOURCE)]
    return f"{' '.join(kept).rstrip()} {_SOURCE};i={instance}\n"


def _read_back(values: dict[str, Any], name: str) -> str:
    text = _dumped(values)
    if yaml.safe_load(text) != values:
        raise ValueError(f"{name} would not be read as it is meant")
    return text


def _dumped(values: dict[str, Any]) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=1 << 16)
