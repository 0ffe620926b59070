#!/usr/bin/env python3
"""Print held-out questions and answers as plain lines, the text for llama-perplexity.

python models/demo/heldout_text.py > heldout.txt
llama-perplexity -m models/bramble-demo-q8_0.gguf -f heldout.txt -c 256
"""

from __future__ import annotations

import argparse
from itertools import islice

from corpus import HELD_OUT_SEED, stream


def main() -> None:
    """Print as many examples as asked for."""
    parser = argparse.ArgumentParser(description="Print held-out text.")
    parser.add_argument("--examples", type=int, default=2000, help="how many, two lines each")
    options = parser.parse_args()
    for example in islice(stream(HELD_OUT_SEED, held_out=True), options.examples):
        print(f"{example.question}\n{example.answer}")


if __name__ == "__main__":
    main()
