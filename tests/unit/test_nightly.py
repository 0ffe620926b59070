"""The script of docs/how-to/nightly.md ends as the page says, whatever the commands in it find."""

import re
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "nightly.md"
BRAMBLE = """\
#!/bin/sh
echo "$*" >>said
case $1 in plan) exit $PLAN ;; verify) exit $VERIFY ;; up) exit $UP ;; esac
"""
PLANNED, CHECKED = "plan --quiet --detailed-exitcode", "verify --quiet"
MENDED = "up --yes --quiet --serial 1"


@pytest.mark.parametrize(
    ("plan", "mend", "up", "verify", "code", "said"),
    [
        (0, "", 0, 0, 0, [PLANNED, CHECKED]),
        (2, "", 0, 0, 2, [PLANNED, CHECKED]),
        (1, "", 0, 0, 1, [PLANNED, CHECKED]),
        (0, "", 0, 1, 1, [PLANNED, CHECKED]),
        (2, "", 0, 3, 1, [PLANNED, CHECKED]),
        (0, "yes", 0, 0, 0, [PLANNED, CHECKED]),
        (1, "yes", 0, 0, 1, [PLANNED, CHECKED]),
        (2, "yes", 0, 0, 0, [PLANNED, MENDED, CHECKED]),
        (2, "yes", 0, 1, 1, [PLANNED, MENDED, CHECKED]),
        (2, "yes", 1, 0, 1, [PLANNED, MENDED]),
    ],
)
def test_the_nightly_script_ends_as_its_page_says(tmp_path, plan, mend, up, verify, code, said):
    text = re.search(r"```text\n(#!/bin/sh\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "nightly.sh").write_text(text[1])
    (tmp_path / "bramble").write_text(BRAMBLE)
    (tmp_path / "bramble").chmod(0o755)
    known = {"PATH": f"{tmp_path}:/usr/bin:/bin", "MEND": mend}
    codes = {"PLAN": str(plan), "UP": str(up), "VERIFY": str(verify)}
    done = subprocess.run(["sh", tmp_path / "nightly.sh"], cwd="/", env=known | codes, check=False)
    assert done.returncode == code
    assert (tmp_path / "said").read_text().splitlines() == said
