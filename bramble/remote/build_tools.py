"""What the programs that build llama.cpp share: commands, checksums, and the error that ends a build."""

import ctypes
import functools
import hashlib
import os
import signal
import subprocess

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


class BuildError(Exception):
    """A build that cannot continue; the text says what to do."""


def end_with(parent):
    """Have the kernel end this process once its parent, which has this number, has ended.

    Nobody else would where the parent is killed: a compile goes on until its next line finds no reader.
    ninja ends its compilers when it is ended.
    """
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it has ended before the kernel was told
        os.kill(os.getpid(), signal.SIGTERM)


def call(*argv, **options):
    """Run a command, printing its output; raise BuildError where it fails. It ends with this process."""
    tied = functools.partial(end_with, os.getpid())
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, preexec_fn=tied, **options)
    except FileNotFoundError:
        raise BuildError(f"{argv[0]} is not installed here; install its package again") from None
    if done.returncode:
        raise BuildError(f"{' '.join(argv[:3])} ... ended with exit code {done.returncode}")


def output(*argv):
    """Return a command's standard output, stripped."""
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def sha256(path, algorithm="sha256"):
    """Return the sha256 of a file, or another checksum, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
