"""Templates to text: one strict Jinja environment, and no logic in templates beyond if and for."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

FOLDER = Path(__file__).parent / "templates"


@cache
def _environment(folder: Path) -> jinja2.Environment:
    # Importing it is slow, and most commands render nothing.
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        # The results are systemd units and configuration files, not HTML.
        autoescape=False,
    )


def render(template: str, folder: Path = FOLDER, /, **values: Any) -> str:
    """Return the text of `templates/<template>` with `values`, or of a template in another folder.

    A name that is missing is an error.
    """
    return _environment(folder).get_template(template).render(**values)
