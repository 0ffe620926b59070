"""What the programs that build llama.cpp share: commands, sums, and the error that stops a build."""

import hashlib
import subprocess


class BuildError(Exception):
    """A build that cannot go on; its text says what to do."""


def say(text):
    """A line for people; "::" is what the follower passes on."""
    print(f":: {text}", flush=True)


def call(*argv, **options):
    """Run a command with its output on ours; a failure is an error that names the command."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, **options)
    except FileNotFoundError:
        raise BuildError(f"{argv[0]} is not installed here; install its package again") from None
    if done.returncode:
        raise BuildError(f"{' '.join(argv[:3])} ... ended with exit code {done.returncode}")


def output(*argv):
    """A command's standard output, stripped."""
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def sha256(path, algorithm="sha256"):
    """The sha256 of a file, or another sum of it, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
