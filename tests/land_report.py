"""Land what a board's own tools said in a report of `bramble report --share` among the recordings.

    python tests/land_report.py bramble-report.txt host-1 pi5/healthy

Writes what differs below bramble/virtual/recorded/BOARD/CASE, and names each file. What the recordings
are from is said by hand, in the README there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))

from bramble.sanitize import sanitize  # noqa: E402
from bramble.share.asked import COMMANDS, TOOLS  # noqa: E402
from bramble.share.text import HEAD, recordings  # noqa: E402
from bramble.virtual.doubles import RECORDED  # noqa: E402


def files(report: str, host: str) -> Mapping[str, str]:
    """Return the recordings of a host by their paths in a case, with codes that are not 0."""
    found: dict[str, str] = {}
    for (whose, line), (said, code) in recordings(report).items():
        tool, *arguments = line.split()
        # Files of strangers name no paths of ours.
        if whose == host and tool in TOOLS and line in COMMANDS:
            path = f"{tool}/{'_'.join(arguments) or '_'}"
            found[path] = sanitize(said, "\n\t")
            if code:
                found[f"{path}.exit"] = f"{code}\n"
    return found


def land(report: str, host: str, case: Path) -> list[str]:
    """Write what differs; return the paths that were written."""
    found = files(report, host)
    changed = [path for path, said in found.items() if _text(case / path) != said]
    for path in changed:
        (case / path).parent.mkdir(parents=True, exist_ok=True)
        (case / path).write_text(found[path], encoding="utf-8")
    return changed


def _text(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.is_file() else None


def main(words: list[str]) -> int:
    """Land one report."""
    if len(words) != 3:
        print(__doc__)
        return 2
    file, host, case = words
    said = Path(file).read_text(encoding="utf-8")
    if not said.startswith(HEAD) or not files(said, host):
        print(f"{file} is no report of `bramble report --share` with tools of {host}")
        return 1
    for path in land(said, host, RECORDED / case):
        print(f"wrote bramble/virtual/recorded/{case}/{path}")
    print(
        "next: `git diff`; say in bramble/virtual/recorded/README.md what is recorded, on which board"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
