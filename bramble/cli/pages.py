"""`bramble docs`: the pages that come with bramble, without a checkout or a network."""

from __future__ import annotations

import click

from bramble.cli.inventory import refuse


@click.command("docs")
@click.argument("page", required=False)
def docs(page: str | None) -> None:
    """List the pages that come with bramble, or show PAGE.

    \b
    bramble docs
    bramble docs reference/commands
    bramble docs json
    """
    from bramble.documents.problems import unknown
    from bramble.project import SHIPPED

    place = SHIPPED / "docs"
    files = {str(f.relative_to(place).with_suffix("")): f for f in sorted(place.rglob("*.md"))}
    if page is None:
        click.echo("\n".join(files))
        return
    asked = page.removeprefix("docs/").removesuffix(".md")
    found = [name for name in files if asked in (name, name.rpartition("/")[2])]
    if not found:
        lasts = {name.rpartition("/")[2]: name for name in files}
        refuse(f"no page '{page}'; {unknown(asked, [*files, *lasts])} (`bramble docs` lists them)")
    if len(found) > 1:
        refuse(f"there are several pages '{page}': {', '.join(found)}")
    click.echo_via_pager(files[found[0]].read_text(encoding="utf-8"))
