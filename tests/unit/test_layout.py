"""What people read fits their terminal, and stays whole for programs."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from textwrap import dedent

import click
import pytest

from bramble import layout

LINE = "  fail    serving.health_is_ok: HTTP 503 from the server that is there"
ROWS = [("NAME", "STATE", "UNIT"), ("one", "running", ""), ("another", "a long state", "MiB")]


def test_a_line_that_fits_and_one_of_a_file_stay_whole():
    assert layout.wrapped(LINE, 80) == LINE
    assert layout.wrapped(LINE, None) == LINE


@pytest.mark.parametrize("width", [20, 30, 45])
def test_a_long_line_is_broken_between_words_and_indented_below_itself(width):
    lines = layout.wrapped(LINE, width, hang=8).splitlines()
    assert all(len(line) <= width or " " not in line.strip() for line in lines)
    assert [line.split() for line in lines] != [LINE.split()]
    assert " ".join(" ".join(lines).split()) == " ".join(LINE.split())
    assert all(line.startswith(" " * 10) for line in lines[1:])


def test_a_path_is_never_cut_and_styles_take_no_room():
    path = "/var/lib/bramble/a/path/that/is/longer/than/this"
    assert path in layout.wrapped(f"wrote {path} now", 24).split()
    styled = click.style("word", fg="red") + " and another"
    assert layout.wrapped(styled, len("word and another") + 4) == styled


def test_a_table_has_columns_where_they_fit_and_a_line_for_each_cell_where_they_do_not():
    assert layout.table(ROWS, 40) == layout.table(ROWS, None)
    assert layout.table(ROWS, None)[2] == "another  a long state  MiB"
    assert layout.table(ROWS, 20) == [
        "one",
        "  state: running",
        "another",
        "  state: a long\n      state",
        "  unit: MiB",
    ]


COMMAND = "from bramble.cli import main; main()"
# One check of one host, without a node.
VERIFIED = """
from bramble.checks import Result
from bramble.cli import fleet, main
from bramble.cli.driver import Outcome
row = dict(host="a", role="serving", check="c", status="fail", want="x", got="y", remedy="z")
event = {"event": "result", **row}
fleet.driver.run = lambda *words, **options: Outcome(1, (event,), None, None)
raise SystemExit(main(["verify"], standalone_mode=False) and 0)
"""


def on_terminal(columns, *words, cwd, code=COMMAND, **more):
    """What a command writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    hidden = ("COLUMNS", "NO_COLOR", "BRAMBLE_INVENTORY")
    known = {name: value for name, value in os.environ.items() if name not in hidden}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=cwd,
        env={**known, "TERM": "xterm", **more},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    pieces = []
    while True:
        try:
            pieces.append(os.read(ours, 1 << 16))
        except OSError:  # the other end is closed
            break
        if not pieces[-1]:
            break
    os.close(ours)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return b"".join(pieces).decode().replace("\r\n", "\n")


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "fleet.yml").write_text(
        dedent(f"""\
            settings:
              model: {{name: toy, url: http://models.example.org/toy.gguf, sha256: {"d" * 64}}}
            hosts:
              pi5-a: {{}}
            """)
    )
    return tmp_path


@pytest.mark.parametrize("words", [("checks", "serving"), ("config", "pi5-a")], ids=" ".join)
@pytest.mark.parametrize("columns", [40, 300])
def test_commands_keep_to_the_terminals_width(project, words, columns):
    lines = on_terminal(columns, *words, cwd=project).splitlines()
    assert len(lines) > 10
    too_long = [line for line in lines if len(line) > columns]
    # A value or a path that has no space in it stays in one piece.
    assert [line for line in too_long if len(line.split()) > 2] == []


@pytest.mark.parametrize(("variable", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colours_unless_no_color_is_set(project, variable, coloured):
    said = on_terminal(80, cwd=project, code=VERIFIED, **variable)
    assert "serving.c: y" in said
    assert ("\x1b[" in said) is coloured
