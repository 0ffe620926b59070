"""What llama-server writes when it has answered: the tokens and seconds of prompt, answer and both."""

import re

PATTERN = re.compile(
    r"print_timing: id +(?P<slot>\d+) \| task (?P<task>\d+) \| +(?P<what>prompt eval|eval|total) time ="
    r" +(?P<ms>[\d.]+) ms / +(?P<tokens>\d+) tokens"
)
