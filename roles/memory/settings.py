"""Settings of the role memory."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from bramble.roles.memory.rpi_swap import PRIORITY, RpiSwap
from bramble.settings import Section, option
from bramble.system.debian import RELEASES

SwapPath = Annotated[
    str, Field(pattern=r"^/(mnt|srv|media|data)(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$", max_length=96)
]


class Zram(Section):
    """Swap that stays in RAM, compressed."""

    percent: int = option(
        50,
        help="Size of the device in percent of the RAM: how much may be swapped out, before it is "
        "compressed. It is no room for a model.",
        unit="%",
        ge=5,
        le=100,
    )
    algorithm: str | None = option(
        None,
        help="How it is compressed; null: "
        f"{', '.join(f'{r.zram_algorithm} on {r.name}' for r in RELEASES.values())}. The node's kernel "
        "must have it (on a Pi mostly lzo, lzo-rle, lz4 and zstd): a deploy refuses another one and "
        "says which there are.",
        example="lz4",
        pattern=r"^[a-z0-9][a-z0-9-]{1,15}$",
    )
    priority: int = option(
        100, help="Its priority as swap; the highest one is used first.", ge=1, le=32767
    )


class SwapFile(Section):
    """A swap file on the SSD, for what does not fit into zram."""

    on_ssd: Literal["auto", "required", "never"] = option(
        "auto",
        help="`auto`: where the node has an SSD; `required`: a node without one fails; `never`: no "
        "swap file is made, and one that was made before stays.",
    )
    path: SwapPath = option(
        "/mnt/ssd/swapfile",
        help="The file; it must lie below the mount point of the SSD (`storage.ssd.mount`).",
        example="/srv/ssd/swapfile",
    )
    size_mib: int = option(2048, help="Its size.", unit="MiB", ge=128, le=65536)
    priority: int = option(10, help="Its priority as swap, below that of zram.", ge=0, le=32766)


class Kernel(Section):
    """How eagerly the kernel swaps (`vm.*` in /proc/sys)."""

    swappiness: int = option(
        133,
        help="vm.swappiness: above 100 the kernel rather swaps a program's memory to zram than "
        "drops pages of files, a mapped model among them.",
        ge=0,
        le=200,
    )
    page_cluster: int = option(
        0,
        help="vm.page-cluster: 2 to the power of it pages are read from swap at once.",
        ge=0,
        le=8,
    )
    watermark_boost_factor: int | None = option(
        None, help="vm.watermark_boost_factor; not set: as it is.", example=0, ge=0, le=30000
    )
    watermark_scale_factor: int | None = option(
        None, help="vm.watermark_scale_factor; not set: as it is.", example=125, ge=1, le=3000
    )


class Settings(Section):
    """Room for what is not the model: zram, swap on the SSD behind it, and when they are used."""

    needs: ClassVar[tuple[str, ...]] = ("storage",)

    zram: Zram = option(Zram(), help="Compressed swap in RAM.")
    swap_file: SwapFile = option(SwapFile(), help="Swap on the SSD.")
    rpi_swap: RpiSwap = option(
        "replace",
        help="Where Raspberry Pi OS has swap of its own (rpi-swap, from Trixie on): `replace`: it makes "
        "none, all swap is what this section says; `zram`: it makes zram of the size and algorithm "
        "said here, and no file; `leave`: that zram writes idle pages to its file on the card too.",
    )
    kernel: Kernel = option(Kernel(), help="The kernel's values.")

    @model_validator(mode="after")
    def _zram_first(self) -> Settings:
        if self.rpi_swap != "replace" and self.zram.priority != PRIORITY:
            raise ValueError(
                f"zram.priority is {self.zram.priority}, and rpi_swap is {self.rpi_swap}: rpi-swap's "
                f"zram has priority {PRIORITY} always. Leave zram.priority out, or set "
                "rpi_swap to replace"
            )
        if self.swap_file.priority >= self.zram.priority:
            raise ValueError(
                f"swap_file.priority is {self.swap_file.priority} and zram.priority "
                f"{self.zram.priority}: the slow SSD would be used first. Give swap_file.priority a "
                "lower value than zram.priority"
            )
        return self
