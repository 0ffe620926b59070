"""Metrics as Prometheus reads them: its text format, version 0.0.4."""

import re

KINDS = ("counter", "gauge")
# As HAProxy writes them: its labels' values have neither quotes nor backslashes.
LABELLED = re.compile(r"^(\w+)\{([^}]*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


def text(families):
    """Return the text of families, each `(name, kind, help, samples)`.

    Samples are pairs of labels and a value; a family without samples is left out.
    """
    return "".join(_family(*family) for family in families if family[3])


def _family(name, kind, about, samples):
    if kind not in KINDS:
        raise ValueError(f"{name}: a {kind} is neither {' nor '.join(KINDS)}")
    head = f"# HELP {name} {_escaped(about)}\n# TYPE {name} {kind}\n"
    return head + "".join(
        f"{name}{_labels(labels)} {_number(value)}\n" for labels, value in samples
    )


def _labels(labels):
    pairs = ",".join(f'{name}="{_escaped(value, quoted=True)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(words, *, quoted=False):
    made = str(words).replace("\\", "\\\\").replace("\n", "\\n")
    return made.replace('"', '\\"') if quoted else made


def _number(value):
    """Return the shortest digits that are the value again; True is 1."""
    if isinstance(value, bool | int):
        return str(int(value))
    return repr(float(value)).removesuffix(".0")


def samples(words):
    """Return the samples without labels of such a text, by their names; other lines are skipped."""
    found = {}
    for line in words.splitlines():
        name, _, value = line.partition(" ")
        if name and name[0] != "#" and "{" not in name:
            try:
                found[name] = float(value)
            except ValueError:
                continue
    return found


def labelled(words):
    """Return the samples with labels of such a text, each `(name, labels, value)`."""
    found = []
    for name, labels, value in LABELLED.findall(words):
        try:
            found.append((name, dict(LABEL.findall(labels)), float(value)))
        except ValueError:
            continue
    return found
