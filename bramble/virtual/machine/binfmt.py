"""Let this machine's kernel run arm64 programs through QEMU, to make an image only."""

from pathlib import Path

from bramble.virtual.commands import run
from bramble.virtual.errors import VirtualPiError

REGISTRY = Path("/proc/sys/fs/binfmt_misc")
NAME = "qemu-aarch64"
_RULE = Path("/usr/lib/binfmt.d") / f"{NAME}.conf"


def ensure() -> None:
    """Register Debian's own rule unless it is there, as where systemd did it at boot."""
    if not (REGISTRY / "register").exists():
        run("mount", "-t", "binfmt_misc", "binfmt_misc", str(REGISTRY))
    if (REGISTRY / NAME).exists():
        return
    if not _RULE.is_file():
        raise VirtualPiError(f"{_RULE} is missing: 'apt-get install -y qemu-user-static'")
    (REGISTRY / "register").write_text(rule_in(_RULE.read_text()))


def rule_in(text: str) -> str:
    """Return the one line of a binfmt.d file that is no comment."""
    lines = (line.strip() for line in text.splitlines())
    return next(line for line in lines if line and line[0] not in "#;")
