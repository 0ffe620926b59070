"""What this machine must have for virtual Pis; a sentence for each thing that is missing."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bramble.virtual.backend import Needs

# A root shell by plain su has no sbin in its path.
SBIN = Path("/usr/sbin")
_FILE_SYSTEMS = Path("/proc/filesystems")


def missing(
    needs: Needs,
    which: Callable[[str], str | None] = shutil.which,
    effective_user: Callable[[], int] = os.geteuid,
    platform: str = sys.platform,
    file_systems: Path = _FILE_SYSTEMS,
) -> list[str]:
    """Return one sentence for each thing that is missing, none when virtual Pis can be started."""
    if platform != "linux":
        return [
            f"virtual Pis need Linux, this is {platform}: use a Debian machine or virtual machine"
        ]
    return [
        *_missing_root(effective_user),
        *_missing_tools(which, needs.tools),
        *_missing_file_systems(file_systems, needs.file_systems),
    ]


def _missing_root(effective_user: Callable[[], int]) -> list[str]:
    if effective_user() == 0:
        return []
    return ["virtual Pis need root (mounts, namespaces, systemd-nspawn): run 'sudo -E bramble ...'"]


def _missing_tools(which: Callable[[str], str | None], tools: Mapping[str, str]) -> list[str]:
    return [
        f"{tool} is missing: 'apt-get install -y {package}'"
        for tool, package in tools.items()
        if not (which(tool) or (SBIN / tool).exists())
    ]


def _missing_file_systems(file_systems: Path, modules: Mapping[str, str]) -> list[str]:
    known = {line.split()[-1] for line in file_systems.read_text().splitlines() if line.strip()}
    return [
        f"the kernel does not offer {name}: '{mend}'"
        for name, mend in modules.items()
        if name not in known
    ]
