"""What a detached step tells the program that follows it, beside its lines for people."""

import json

PREFIX = ":= "


def tell(**fields):
    """Print the outcome as JSON on a line of its own, which people are not shown."""
    print(f"{PREFIX}{json.dumps(fields)}", flush=True)


def read(output):
    """Return an output's lines for people, and the fields of its last outcome.

    They are none where the program told no outcome, or one that is no JSON object.
    """
    lines = output.splitlines()
    reported = [line for line in lines if line.startswith(PREFIX)]
    rest = "\n".join(line for line in lines if not line.startswith(PREFIX))
    try:
        fields = json.loads(reported[-1].removeprefix(PREFIX)) if reported else {}
    except (ValueError, RecursionError):
        fields = {}
    return rest, fields if isinstance(fields, dict) else {}
