"""What counts as a change, what an operation prints of its arguments, how files.put writes."""

from io import StringIO
from pathlib import Path

from canary_notes import note
from pyinfra import host, state
from pyinfra.api import operation
from pyinfra.operations import files, python, server


@operation()
def agree():
    host.noop("already so")
    yield from ()


def note_inode(moment):
    note(f"inode {moment} files.put: {Path('put').stat().st_ino}")


def note_commands():
    commands = state.ops[host][put._hash].operation_meta._commands
    note("files.put: " + " then ".join(type(command).__name__ for command in commands))
    note(f"files.put ends with: {commands[-1]}")


python.call(name="Call a function", function=note_inode, moment="before")
agree(name="Agree")
server.shell(name="Skip", commands="true", _if=lambda: False)
put = files.put(name="Put", src=StringIO("new"), dest="put", mode="600")
python.call(name="Call once more", function=note_inode, moment="after")
python.call(name="Note commands", function=note_commands)
files.template(src=StringIO("{{ token }}"), dest="unnamed", token="s3cret")
files.template(name="Named", src=StringIO("{{ token }}"), dest="named", token="s3cret")
