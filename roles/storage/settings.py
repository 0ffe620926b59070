"""Settings of the role storage."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from bramble.roles.storage.log_settings import Journal, Log2ram, LogFolder, Repository, too_small
from bramble.settings import Section, option

BY_ID = re.compile(r"(usb|nvme|ata|scsi|wwn|mmc|virtio)-[A-Za-z0-9_.:@+-]+")
TAGGED = re.compile(r"(UUID|LABEL)=[A-Za-z0-9_.:-]{1,36}")


def _stable(name: str) -> str:
    """Take only names that stay with a disk: sda is the next disk's after a reboot."""
    if name in ("auto", "off") or BY_ID.fullmatch(name) or TAGGED.fullmatch(name):
        return name
    raise ValueError(
        f"{name!r} is no name that stays with one disk. Allowed are auto, off, a name below "
        "/dev/disk/by-id (usb-..., nvme-..., ata-...), UUID=... and LABEL=...; names such as sda "
        "change from boot to boot. `ls /dev/disk/by-id` on the node shows the names"
    )


def _by_id(name: str) -> str:
    """Take only the whole disk's own name."""
    if BY_ID.fullmatch(name) and not re.search(r"-part\d+$", name):
        return name
    raise ValueError(
        f"{name!r} is not the name of a whole disk below /dev/disk/by-id (usb-..., nvme-..., "
        "ata-...); `ls /dev/disk/by-id` on the node shows them"
    )


Device = Annotated[str, AfterValidator(_stable), Field(max_length=128)]
ById = Annotated[str, AfterValidator(_by_id), Field(max_length=128)]
Folder = Annotated[str, Field(pattern=r"^/(mnt|srv|media|data)(/[A-Za-z0-9_-]+)*$", max_length=64)]


class Ssd(Section):
    """The disk for what is written often: swap, models, logs."""

    device: Device = option(
        "auto",
        help="Which disk: `auto` is the one USB or NVMe disk that nothing else uses, if there is "
        "exactly one; otherwise its name below /dev/disk/by-id, `UUID=...` or `LABEL=...` of its "
        "file system; `off`: none.",
        example="usb-Samsung_PSSD_T7_S5TANS0R123456A-0:0",
    )
    mount: Folder = option("/mnt/ssd", help="Where it is mounted.", example="/srv/ssd")
    erase: ById | None = option(
        None,
        help="Name below /dev/disk/by-id of the one disk that may be formatted although something "
        "is on it: **all that is on it is lost**. A blank disk is formatted without it.",
        example="usb-Samsung_PSSD_T7_S5TANS0R123456A-0:0",
    )
    required: bool | None = option(
        None,
        help="Whether a node without a usable disk fails; not set: only where `device` names one.",
        example=True,
    )
    least_gib: int = option(
        8, help="Size below which a disk is not used.", unit="GiB", ge=1, le=1024
    )
    free_gib: int = option(
        4, help="Free space on it below which a check fails.", unit="GiB", ge=0, le=1024
    )
    device_timeout_s: int = option(
        90,
        help="How long the mount waits at boot for the disk to show up. Nothing but what needs the "
        "SSD waits with it.",
        unit="s",
        ge=5,
        le=600,
    )


class Settings(Section):
    """Where a node keeps what it writes: an SSD if there is one, as little as possible on the card."""

    ssd: Ssd = option(Ssd(), help="The SSD.")
    journal: Journal = option(Journal(), help="systemd's journal.")
    log2ram: Log2ram = option(
        "auto",
        help="Whether log2ram keeps /var/log in memory and writes it back daily and at shutdown; "
        "`auto`: where logs would be written to an SD card.",
    )
    log2ram_size_mib: int = option(
        128, help="Memory that log2ram may take.", unit="MiB", ge=32, le=2048
    )
    log2ram_repository: Repository = option(
        Repository(), help="Where Bookworm gets log2ram from; Debian has it from Trixie on."
    )
    log_folders: tuple[LogFolder, ...] = option(
        (),
        help="Folders that applications log to, for log2ram to keep in memory too.",
        example=["/opt/sensor/log"],
    )

    @model_validator(mode="after")
    def _logs_fit(self) -> Settings:
        problem = too_small(self.log2ram, self.log2ram_size_mib, self.journal)
        if problem:
            raise ValueError(problem)
        return self
