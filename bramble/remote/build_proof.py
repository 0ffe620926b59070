"""Proofs of what a build contains: flags, kernels, features and requirements, read from its results."""

import os
import re
import subprocess

from bramble.remote import build_tools, build_user, owned

TELL_TIMEOUT_S = 30
# Of llama.cpp, build.ninja has less than 2 MiB.
MOST_BYTES = 64 * 1024**2


def read(path):
    """Return the text of a file that a build made: no link, and no more of it than it may be."""
    with owned.opened(path, "rb") as file:
        return file.read(MOST_BYTES).decode("utf-8", "replace")


def compiled_in(build):
    """Return the flags of ggml's kernels without those for warnings, and ggml's parts."""
    text = read(os.path.join(build, "build.ninja"))
    found = re.search(r"/ggml-cpu\.c\.o: .*?^  FLAGS = (.*?)$", text, re.MULTILINE | re.DOTALL)
    flags = found[1].split() if found else ["unknown"]
    return {
        "cpu_flags": " ".join(flag for flag in flags if not flag.startswith("-W")),
        "parts": sorted(set(re.findall(r"-DGGML_USE_(\w+)", text))),
    }


def kleidiai_kernels(server, prefix, by=build_user.options):
    """Count KleidiAI's kernels in a program; raise BuildError for none, which "compiled in" can mean."""
    symbols = build_tools.output(f"{prefix}nm", server, by=by)
    kernels = set(re.findall(r" [Tt] (kai_run_\w+)$", symbols, re.MULTILINE))
    if not kernels:
        raise build_tools.BuildError(
            "llama-server has none of KleidiAI's kernels, though they were asked for"
        )
    return len(kernels)


def system_info(argv, user=None):
    """Return the features that llama-server reports when it starts; None where it reports none.

    It gets a missing model and a socket of its own, and ends by itself.
    """
    with build_user.scratch(user) as folder:
        nothing, socket = os.path.join(folder, "none.gguf"), os.path.join(folder, "own.sock")
        options = ["--offline", "--host", socket, "-m", nothing, "-lv", "4"]
        try:
            done = subprocess.run(
                [*argv, *options],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TELL_TIMEOUT_S,
                **build_user.options(user, (folder,), LC_ALL="C"),
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
    line = re.search(r"system_info: (.*)", done.stdout + done.stderr)
    return dict(re.findall(r"(\w+) = (\w+) \|", line[1].partition("|")[2])) if line else None


def needed_versions(paths):
    """Return the newest version of the C and C++ libraries' symbols that the programs need."""
    newest: dict[str, tuple[int, ...]] = {}
    for path in paths:
        with open(path, "rb") as file:
            found = re.findall(rb"\b(GLIBC|GLIBCXX)_(\d+(?:\.\d+)+)\0", file.read())
        for name, version in found:
            parts = tuple(int(part) for part in version.split(b"."))
            newest[name.decode()] = max(parts, newest.get(name.decode(), ()))
    return {name: ".".join(map(str, parts)) for name, parts in sorted(newest.items())}


def check_versions(needed, at_most):
    """Refuse programs that the node's own libraries could not load."""
    for name, limit in at_most.items():
        found = needed.get(name, "0")
        if [int(part) for part in found.split(".")] > [int(part) for part in limit.split(".")]:
            raise build_tools.BuildError(
                f"the programs need {name}_{found} and the nodes have {limit} at most; build with "
                "the compiler of the nodes' own Debian release"
            )


def check_features(reported, wants):
    """Refuse programs that report that they lack a wanted feature."""
    missing = [name for name in wants if reported is not None and name not in reported]
    if missing:
        raise build_tools.BuildError(
            f"the new llama-server has no {', '.join(missing)}, only {list(reported)}"
        )


def check_starts(server, user=None):
    """Refuse a server that cannot even print its version."""
    done = subprocess.run(
        [server, "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        **build_user.options(user),
    )
    if done.returncode:
        raise build_tools.BuildError(f"the new llama-server does not start: {done.stderr.strip()}")
