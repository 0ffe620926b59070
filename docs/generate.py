"""Write the generated pages of docs/ from settings, checks, commands, plans and tables of faults.

`make docs` runs this; tests/unit/test_docs.py fails when a page is not what this makes.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from docs.pages.checks import checks_page  # noqa: E402
from docs.pages.commands import commands_page  # noqa: E402
from docs.pages.faults import faults_page  # noqa: E402
from docs.pages.files import files_page  # noqa: E402
from docs.pages.planted import planted_page  # noqa: E402
from docs.pages.settings import settings_page  # noqa: E402

NOTICE = "<!-- Written by docs/generate.py (`make docs`): change the code, not this page. -->\n"


def pages() -> dict[str, str]:
    """Return every generated page by its path in docs/."""
    made = {
        "reference/settings.md": settings_page(),
        "reference/checks.md": checks_page(),
        "reference/commands.md": commands_page(),
        "reference/files.md": files_page(),
        "explanation/faults.md": faults_page(),
        "explanation/planted-faults.md": planted_page(),
    }
    return {name: NOTICE + text for name, text in made.items()}


if __name__ == "__main__":
    for page, content in pages().items():
        (HERE / page).write_text(content, encoding="utf-8")
        print(f"wrote docs/{page}")
