"""Build llama.cpp on this node from a pinned source and install it as a release.

Interrupted work goes on where it was: the source is kept once it is whole, ninja keeps what it has
compiled (but for empty objects, which a power cut leaves behind), and the release appears by one
rename. Source and build folders are always the same, because ccache's entries depend on the paths.
"""

import datetime
import difflib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess

NEEDED_BYTES = 1024**3
# Plain variables of llama.cpp's and CMake's own, which no project declares as options.
UNDECLARED_BY_DESIGN = re.compile(r"^(CMAKE_.*|LLAMA_BUILD_NUMBER|LLAMA_BUILD_COMMIT)$")


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


def sha256(path):
    """The sha256 of a file, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_space(folder):
    """Refuse to begin what would fill the disk."""
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise BuildError(
            f"{folder} has {free // 2**20} MiB free and the build needs {NEEDED_BYTES // 2**20}; "
            "free some, or give /opt/bramble a larger disk"
        )


def get_source(source, folder):
    """Have the pinned source in `folder`; a whole one of the same identity is kept."""
    stamp = os.path.join(folder, ".bramble-source")
    identity = json.dumps(source, sort_keys=True)
    if os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == identity:
        say("the source is there already")
        return
    new = f"{folder}.new"
    for stale in (new, folder):
        shutil.rmtree(stale, ignore_errors=True)
    os.makedirs(new)
    (unpack if source["kind"] == "archive" else fetch)(source, new)
    with open(os.path.join(new, ".bramble-source"), "w", encoding="utf-8") as file:
        file.write(identity)
    os.sync()
    os.rename(new, folder)


def unpack(source, folder):
    """Unpack an uploaded archive once its sha256 is right; the copy is ours alone while we hash it."""
    say("unpacking the source archive")
    archive = f"{folder}.archive"
    shutil.copyfile(source["upload"], archive)
    found = sha256(archive)
    try:
        if found != source["sha256"]:
            raise BuildError(
                f"the source archive's sha256 is {found} and the inventory pins "
                f"{source['sha256']}; nothing was built. Correct engine.source.archive"
            )
        prefix = source["subdir"].strip("/")
        depth = len(prefix.split("/")) if prefix else 0
        only = [f"{prefix}/"] if prefix else []
        call(
            "tar",
            "--extract",
            "--file",
            archive,
            "--directory",
            folder,
            "--no-same-owner",
            f"--strip-components={depth}",
            "--exclude=.git",
            *only,
        )
    finally:
        os.unlink(archive)
        os.unlink(source["upload"])


def fetch(source, folder):
    """Fetch one commit, without its history, and make sure that it is the one."""
    say(f"fetching {source['commit'][:12]} from {source['url']}")
    git = ("git", "-C", folder)
    call(*git, "init", "--quiet")
    call(*git, "fetch", "--quiet", "--depth", "1", source["url"], source["commit"])
    found = output(*git, "rev-parse", "FETCH_HEAD")
    if found != source["commit"]:
        raise BuildError(f"{source['url']} gave commit {found} for {source['commit']}")
    call(*git, "checkout", "--quiet", "--detach", "FETCH_HEAD")
    shutil.rmtree(os.path.join(folder, ".git"))


def configure(source, build, options, toolchain=None):
    """Run CMake from a fresh cache, then refuse options that llama.cpp does not declare.

    llama.cpp uses up every GGML_ variable, so CMake never warns of a mistyped one: an option that
    nothing declared is one whose type in the cache is UNINITIALIZED.
    """
    say("configuring")
    flags = [f"-D{name}={value}" for name, value in sorted(options.items())]
    if toolchain:
        path = f"{build}.cmake"
        with open(path, "w", encoding="utf-8") as file:
            file.write(toolchain["text"])
        flags.append(f"-DCMAKE_TOOLCHAIN_FILE={path}")
    call("cmake", "--fresh", "-S", source, "-B", build, "-G", "Ninja", *flags)
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as file:
        entries = re.findall(r"^([A-Za-z0-9_]+):([A-Z]+)=", file.read(), re.MULTILINE)
    declared = [name for name, kind in entries if kind != "UNINITIALIZED"]
    for name, kind in entries:
        if kind == "UNINITIALIZED" and not UNDECLARED_BY_DESIGN.match(name):
            near = difflib.get_close_matches(name, declared, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise BuildError(f"llama.cpp has no option {name}{hint} (engine.options)")


def compile_targets(build, targets, jobs):
    """Compile; objects that a power cut left empty would be taken for done, so they go first."""
    for folder, _, names in os.walk(build):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith((".o", ".a")) and os.path.getsize(path) == 0:
                os.unlink(path)
    say(f"compiling {', '.join(targets)} with {jobs} at a time")
    environment = {**os.environ, "NINJA_STATUS": "[%f/%t] "}
    call("ninja", "-C", build, f"-j{jobs}", *targets, env=environment)


def compiled_in(build):
    """What the build really has: the flags of ggml's kernels but for warnings, and ggml's parts."""
    with open(os.path.join(build, "build.ninja"), encoding="utf-8") as file:
        text = file.read()
    found = re.search(r"/ggml-cpu\.c\.o: .*?^  FLAGS = (.*?)$", text, re.MULTILINE | re.DOTALL)
    flags = found[1].split() if found else ["unknown"]
    return {
        "cpu_flags": " ".join(flag for flag in flags if not flag.startswith("-W")),
        "parts": sorted(set(re.findall(r"-DGGML_USE_(\w+)", text))),
    }


def needed_versions(paths):
    """The newest version of the C and C++ libraries' symbols that the programs ask for."""
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
            raise BuildError(
                f"the programs need {name}_{found} and the nodes have {limit} at most; build with "
                "the compiler of the nodes' own Debian release"
            )


def install(query, build):
    """Copy the stripped binaries and their manifest into the release, which appears by a rename."""
    release, toolchain = query["release"], query.get("toolchain")
    prefix = toolchain["prefix"] if toolchain else ""
    new = os.path.join(os.path.dirname(release), f".{os.path.basename(release)}.new")
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(os.path.join(new, "bin"))
    sums = {}
    for target in query["targets"]:
        path = os.path.join(new, "bin", target)
        shutil.copy2(os.path.join(build, "bin", target), path)
        call(f"{prefix}strip", path)
        sums[target] = sha256(path)
    if not toolchain:
        check_starts(os.path.join(new, "bin", "llama-server"))
    needed = needed_versions(os.path.join(new, "bin", target) for target in query["targets"])
    check_versions(needed, query["needs_at_most"])
    manifest = query["manifest"] | {
        "binaries": sums,
        "builder": f"{os.uname().nodename} ({os.uname().machine})",
        "built_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "compiled_in": compiled_in(build),
        "compiler": output(f"{prefix}g++", "--version").splitlines()[0],
        "needs": needed,
    }
    with open(os.path.join(new, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2, sort_keys=True)
    os.sync()
    # A damaged release of this name goes aside first: its program may be running.
    old = f"{new}.old"
    shutil.rmtree(old, ignore_errors=True)
    if os.path.exists(release):
        os.rename(release, old)
    os.rename(new, release)
    os.sync()
    shutil.rmtree(old, ignore_errors=True)
    say(f"installed {release}")


def check_starts(server):
    """Refuse a server that cannot even say its version."""
    version = subprocess.run([server, "--version"], capture_output=True, text=True)
    if version.returncode:
        raise BuildError(f"the new llama-server does not start: {version.stderr.strip()}")


def build(query):
    """Source, configuration, compilation, release; one build at a time on a node."""
    work = query["work"]
    for folder in (work, os.path.dirname(query["release"])):
        os.makedirs(folder, exist_ok=True)
    os.environ["CCACHE_DIR"] = query["ccache"]
    os.environ["CCACHE_BASEDIR"] = work
    os.makedirs(query["ccache"], exist_ok=True)
    with open(os.path.join(work, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check_space(work)
        source, folder = os.path.join(work, "src"), os.path.join(work, "build")
        get_source(query["source"], source)
        configure(source, folder, query["options"], query.get("toolchain"))
        compile_targets(folder, query["targets"], query["jobs"])
        install(query, folder)


def main(query):
    """Build and install the release of `query`."""
    try:
        build(query)
    except (BuildError, OSError, subprocess.SubprocessError) as error:
        say(f"the build stopped: {error}")
        return 1
    return 0
