"""Write bramble/models/dimensions.yml: dimensions of models.yml's files, for where no hub is reached.

    python -m tests.shapes.shipped_dimensions

They are of the published models as `models.py` has them, in the mixtures of llama-quantize; a file's
header may differ, and is read where it can be.
"""

import re
from pathlib import Path

from bramble.models import catalogue, known, lock
from bramble.models.dims import Dims, dims_of
from bramble.models.geometry import geometry
from bramble.models.gguf import read
from tests.shapes.models import all_shapes

HEAD = """\
# Written by `python -m tests.shapes.shipped_dimensions`: dimensions of models.yml's files, by REPO/FILE,
# as the published models have them in llama-quantize's mixtures. Where a hub answers, headers are read.
"""
# What a name of models.yml has besides the shape's.
MORE = re.compile(r"-(instruct|chat|it|4k)\b")


def shipped() -> dict[str, Dims]:
    """The dimensions of each file that has a shape, by REPO/FILE."""
    shapes, found = all_shapes(), {}
    for use, place in catalogue.places(catalogue.load(Path("/nowhere"))).items():
        name, _, quant = use.partition(":")
        plain = MORE.sub("", name)
        if shape := shapes.get(f"{plain}-{quant}"):
            found[f"{place.repo}/{place.file}"] = dims_of(geometry(read(shape.header())))
    return found


def text() -> str:
    """The file's text."""
    lines = [HEAD + "models:"]
    for place, dims in sorted(shipped().items()):
        lines += [f"  {place}:", *lock.lines_of(dims.model_dump(), 4)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    known.FILE.write_text(text(), encoding="utf-8")
    print(f"wrote {known.FILE}")
