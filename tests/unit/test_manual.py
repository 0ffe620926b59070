"""`bramble man`: every command with its options, and nothing that man(1) warns of."""

import shutil
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bramble import manual
from bramble.cli import main


def commands(found, context):
    """The whole name of every command below one."""
    for name in getattr(found, "commands", {}):
        inner = found.get_command(context, name)
        below = click.Context(inner, info_name=name, parent=context)
        yield below.command_path
        yield from commands(inner, below)


@pytest.fixture(scope="module")
def page():
    done = CliRunner().invoke(main, ["man"])
    assert done.exit_code == 0
    return done.stdout


def test_every_command_has_its_part(page):
    written = page.replace("\\-", "-").splitlines()
    names = [*commands(main, click.Context(main, info_name="bramble"))]
    assert len(names) > 40
    assert [name for name in names if f".SS {name}" not in written] == []


def test_an_option_stands_with_its_help(page):
    assert ".TP\n.B \\-\\-fingerprint TEXT\nTrust the key only" in page


def test_lines_of_examples_stay_lines_and_none_is_a_request():
    @click.command("x", help="One.\n\n\b\n.first \\ word\n'second'\n\nTwo - three.")
    def x():
        pass

    made = manual.page(click.Group("bramble", commands={"x": x}), "1")
    assert ".nf\n.RS 2\n\\&.first \\e word\n\\&'second'\n.RE\n.fi\n.PP\nTwo \\- three.\n" in made


def test_the_variables_are_ones_that_bramble_reads():
    code = "".join(
        f.read_text() for f in Path(manual.__file__).parent.rglob("*.py") if f.name != "manual.py"
    )
    assert [name for name, _ in manual.VARIABLES if f'"{name}"' not in code] == []


def test_groff_has_nothing_to_warn_of(page):
    if shutil.which("groff") is None:
        pytest.skip("there is no groff")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"],
        input=page,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
