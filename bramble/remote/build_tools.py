"""What the programs that build llama.cpp share: commands, checksums, and the error that ends a build."""

import hashlib
import subprocess

from bramble.remote import build_user


class BuildError(Exception):
    """A build that cannot continue; the text says what to do."""


def call(*argv, by=build_user.options):
    """Run a command, printing its output; raise BuildError where it fails. It ends with this process."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, **by())
    except FileNotFoundError:
        raise BuildError(f"{argv[0]} is not installed here; install its package again") from None
    if done.returncode:
        raise BuildError(f"{' '.join(argv[:3])} ... ended with exit code {done.returncode}")


def output(*argv, by=build_user.options):
    """Return a command's standard output, stripped."""
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, **by()
    )
    return done.stdout.strip()


def sha256(path, algorithm="sha256"):
    """Return the sha256 of a file, or another checksum, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
