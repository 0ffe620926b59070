"""Programs that run on nodes: standard library only, fed to `python3 -` on standard input.

Each program here has a `main(query)` that returns the exit code, and does nothing when imported. It
may import other modules of this folder, in one line: `from bramble.remote import ONE, TWO`; their text
is sent with it. Standard input keeps programs and queries out of argv, out of sudo's log and off the
disk.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bramble import strict_json
from bramble.typed import conforms

COMMAND = "python3 -Iu -"
"""The interpreter's command line: isolated from the user's environment, and unbuffered."""

# What a program itself does not explain, such as a disk that fails, is told in one sentence.
# What it makes may be read by the services that it is for, whatever the umask of the login is.
_CALL = """\
import os

os.umask(0o022)
try:
    code = main(json.loads({query!r}))
except OSError as error:
    code = f"it was not done, or not all of it: {{error}}"
raise SystemExit(code)"""

_HERE = Path(__file__).parent
_IMPORT = re.compile(r"^from bramble\.remote import (\w+(?:, \w+)*|\([\w,\s]+\))$", re.MULTILINE)
_NAME = re.compile(r"\w+")


def program(name: str, query: Mapping[str, Any]) -> str:
    """Return the text of `bramble/remote/<name>.py` with the modules that it imports, run on `query`."""
    modules = "".join(_module(one) for one in _stands_on(name))
    call = _CALL.format(query=json.dumps(query))
    return f"import json\nimport sys\nimport types\n\n{modules}\n{_text(name)}\n\n{call}\n"


def reader(text: str) -> str:
    """Return the command that runs a program of this text from its input, which stays open after it."""
    return f"python3 -Iuc 'import sys; exec(sys.stdin.buffer.read({len(text.encode())}))'"


def command_line(name: str, query: Mapping[str, Any]) -> str:
    """Return the program as a shell command, compressed in argv, for use without standard input."""
    text = base64.b64encode(zlib.compress(program(name, query).encode(), 9)).decode()
    return (
        f"python3 -Iuc 'import base64, zlib; exec(zlib.decompress(base64.b64decode(\"{text}\")))'"
    )


def _stands_on(name: str) -> list[str]:
    """Return the modules of this folder that a module imports, each once and after its own imports."""
    found: dict[str, None] = {}
    for names in _IMPORT.findall(_source(name)):
        for one in _NAME.findall(names):
            found |= dict.fromkeys([*_stands_on(one), one])
    return list(found)


def _source(name: str) -> str:
    return (_HERE / f"{name}.py").read_text(encoding="utf-8")


def _text(name: str) -> str:
    """Return a module's text with its imports of this folder replaced by look-ups in sys.modules."""
    return _IMPORT.sub(
        lambda found: "import sys\n" + "\n".join(map(_taken, _NAME.findall(found[1]))),
        _source(name),
    )


def _taken(name: str) -> str:
    return f"{name} = sys.modules['bramble.remote.{name}']"


def _module(name: str) -> str:
    """Return the code that creates a module of the folder, once for all that import it."""
    made = f"{name} = sys.modules['bramble.remote.{name}'] = types.ModuleType('{name}')"
    return f"{made}\nexec({_text(name)!r}, {name}.__dict__)\n"


def answer(output: str, **kinds: Any) -> dict[str, Any]:
    """Return the JSON object in a program's last line of output; raise ValueError where it is none.

    What is named with its type must be of that type: the node that answers may not be ours any more.
    """
    lines = output.strip().splitlines()
    found = strict_json.loads(lines[-1] if lines else "")
    if not isinstance(found, dict):
        raise ValueError(f"{type(found).__name__} and not an object")
    found = dict.fromkeys(kinds) | found
    for name, kind in kinds.items():
        if not conforms(found[name], kind):
            raise ValueError(f"'{name}' is {type(found[name]).__name__}, or holds what it cannot")
    return found
