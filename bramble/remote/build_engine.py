"""Build llama.cpp on this node from a pinned source and install it as a release.

Interrupted work goes on where it was: the source is kept once it is whole, ninja keeps what it has
compiled in this boot, and the release appears by one rename. What another boot compiled may be empty
after a power cut; ccache sums its entries and gives back what was whole of it. Source and build folders
are always the same, because ccache's entries depend on the paths.
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
import tempfile
import urllib.request

from bramble.remote import atomic, owned

BOOT_ID = "/proc/sys/kernel/random/boot_id"
NEEDED_BYTES = 1024**3
# A build that leaves less than this free is thrown away: the system needs it.
RESERVE_BYTES = 256 * 1024**2
# Plain variables of llama.cpp's and CMake's own, which no project declares as options.
UNDECLARED_BY_DESIGN = re.compile(r"^(CMAKE_.*|FETCHCONTENT_.*|LLAMA_BUILD_(NUMBER|COMMIT))$")
DOWNLOAD_LIMIT = 64 * 1024**2
DOWNLOAD_TIMEOUT_S, TELL_TIMEOUT_S = 60, 30


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


def check_space(folder):
    """Refuse to begin what would fill the disk."""
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise BuildError(
            f"{folder} has {free // 2**20} MiB free and the build needs {NEEDED_BYTES // 2**20}; "
            "free some, or give /opt/bramble a larger disk"
        )


def get_source(source, folder, setting="engine.source"):
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
    if source["kind"] == "git":
        fetch(source, new)
    else:
        unpack(source, new, setting)
    with open(os.path.join(new, ".bramble-source"), "w", encoding="utf-8") as file:
        file.write(identity)
    os.sync()  # thousands of files: one by one they would take minutes on a card
    atomic.rename(new, folder)


def unpack(source, folder, setting):
    """Unpack an archive once its sum is right; what is hashed and unpacked is a copy of our own."""
    archive, upload = f"{folder}.archive", source.get("upload")
    try:
        if upload:
            owned.taken(upload, archive)
            check_sum(archive, "sha256", source["sha256"], f"{setting}.archive")
        else:
            download(source["url"], archive)
            check_sum(archive, "md5", source["md5"], setting)
        say("unpacking the source archive")
        prefix = source.get("subdir", "").strip("/")
        depth = len(prefix.split("/")) if prefix else 0
        only = [f"{prefix}/"] if prefix else []
        where = ["--file", archive, "--directory", folder, f"--strip-components={depth}"]
        call("tar", "--extract", *where, "--no-same-owner", "--exclude=.git", *only)
    finally:
        for path in (archive, upload):
            if path and os.path.lexists(path):
                os.unlink(path)


def check_sum(archive, algorithm, wanted, setting):
    """Refuse an archive that is not the pinned one."""
    found = sha256(archive, algorithm)
    if found != wanted:
        raise BuildError(
            f"the source archive's {algorithm} is {found} and the inventory pins {wanted}; nothing "
            f"was built. Correct {setting}"
        )


def download(url, path):
    """Fetch a small file; who calls compares its sum."""
    say(f"fetching {url}")
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT_S) as answer:
            content = answer.read(DOWNLOAD_LIMIT)
    except OSError as error:
        hint = "give engine.kleidiai.archive, a local one"
        raise BuildError(f"{url} cannot be fetched ({error}); {hint}") from error
    with open(path, "wb") as file:
        file.write(content)


def kleidiai(source, work):
    """KleidiAI's source beside llama.cpp's, and CMake's options to take it and to fetch nothing."""
    folder = os.path.join(work, "kleidiai")
    get_source(source, folder, "engine.kleidiai")
    inside = [name for name in sorted(os.listdir(folder)) if name != ".bramble-source"]
    if len(inside) == 1:
        folder = os.path.join(folder, inside[0])
    if not os.path.exists(os.path.join(folder, "CMakeLists.txt")):
        raise BuildError("KleidiAI's archive has no CMakeLists.txt there; correct its subdir")
    return {
        "FETCHCONTENT_FULLY_DISCONNECTED": "ON",
        "FETCHCONTENT_SOURCE_DIR_KLEIDIAI": folder,
    }


def hooked(hook, work):
    """CMake's option to run what mends a file for the compiler."""
    path = os.path.join(work, "hook.cmake")
    with open(path, "w", encoding="utf-8") as file:
        file.write(hook)
    return {"CMAKE_PROJECT_INCLUDE": path}


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


def forget_other_boots(work, build):
    """Throw away what another boot compiled: ninja takes by its time what a power cut left empty."""
    with open(BOOT_ID, encoding="ascii") as file:
        boot = file.read()
    note = os.path.join(work, "boot")
    if os.path.exists(note) and open(note, encoding="ascii").read() == boot:
        return
    if os.path.isdir(build):
        say("what an earlier boot compiled is thrown away; ccache gives back what is whole of it")
        shutil.rmtree(build)
    atomic.write(note, boot)


def compile_targets(build, targets, jobs):
    """Compile what is not compiled yet."""
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


def kleidiai_kernels(server, prefix):
    """How many of KleidiAI's kernels a program has; "compiled in" alone has meant none before."""
    symbols = output(f"{prefix}nm", server)
    kernels = set(re.findall(r" [Tt] (kai_run_\w+)$", symbols, re.MULTILINE))
    if not kernels:
        raise BuildError("llama-server has none of KleidiAI's kernels, though they were asked for")
    return len(kernels)


def system_info(argv):
    """What llama-server tells of its features when it starts, None where it tells nothing.

    It is given a model that is not there and a socket of its own, and ends by itself.
    """
    with tempfile.TemporaryDirectory() as folder:
        nothing, socket = os.path.join(folder, "none.gguf"), os.path.join(folder, "own.sock")
        options = ["--offline", "--host", socket, "-m", nothing, "-lv", "4"]
        try:
            done = subprocess.run(
                [*argv, *options], capture_output=True, text=True, timeout=TELL_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
    line = re.search(r"system_info: (.*)", done.stdout + done.stderr)
    return dict(re.findall(r"(\w+) = (\w+) \|", line[1].partition("|")[2])) if line else None


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
    found, sums = compiled_in(build), {}
    if query.get("kleidiai"):
        built = os.path.join(build, "bin", "llama-server")
        found["kleidiai_kernels"] = kleidiai_kernels(built, prefix)
    for target in query["targets"]:
        path = os.path.join(new, "bin", target)
        shutil.copy2(os.path.join(build, "bin", target), path)
        call(f"{prefix}strip", path)
        sums[target] = sha256(path)
    server = os.path.join(new, "bin", "llama-server")
    if not toolchain:
        check_starts(server)
    runner = query.get("emulator") if toolchain else []
    found["system_info"] = system_info([*runner, server]) if runner is not None else None
    check_features(found["system_info"], query.get("wants", ()))
    needed = needed_versions(os.path.join(new, "bin", target) for target in query["targets"])
    check_versions(needed, query["needs_at_most"])
    manifest = query["manifest"] | {
        "binaries": sums,
        "builder": f"{os.uname().nodename} ({os.uname().machine})",
        "built_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "compiled_in": found,
        "compiler": output(f"{prefix}g++", "--version").splitlines()[0],
        "needs": needed,
    }
    with open(os.path.join(new, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2, sort_keys=True)
    # A damaged release of this name is where the new one was then: its program may be running.
    atomic.place(new, release)
    shutil.rmtree(new, ignore_errors=True)
    say(f"installed {release}")


def check_features(told, wants):
    """Refuse programs that say of themselves that they lack what was asked for."""
    missing = [name for name in wants if told is not None and name not in told]
    if missing:
        raise BuildError(f"the new llama-server has no {', '.join(missing)}, only {list(told)}")


def check_starts(server):
    """Refuse a server that cannot even say its version."""
    done = subprocess.run([server, "--version"], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"the new llama-server does not start: {done.stderr.strip()}")


def build(query):
    """Source, configuration, compilation, release; one build at a time on a node."""
    work = query["work"]
    for folder in (work, os.path.dirname(query["release"]), query["ccache"]):
        if why := owned.have(folder):
            raise BuildError(why)
    os.environ["CCACHE_DIR"] = query["ccache"]
    os.environ["CCACHE_BASEDIR"] = work
    with open(os.path.join(work, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check_space(work)
        source, folder = os.path.join(work, "src"), os.path.join(work, "build")
        get_source(query["source"], source)
        forget_other_boots(work, folder)
        options = query["options"]
        if query.get("kleidiai"):
            options = options | kleidiai(query["kleidiai"], work)
        if query.get("hook"):
            options = options | hooked(query["hook"], work)
        configure(source, folder, options, query.get("toolchain"))
        compile_targets(folder, query["targets"], query["jobs"])
        install(query, folder)
    for old in query.get("old", ()):
        shutil.rmtree(old, ignore_errors=True)


def tidy_up(query):
    """Leave no half of a source or a release, and on a disk that was filled nothing of the build.

    Why it was thrown away, None where it may go on from there.
    """
    work, (folder, name) = query["work"], os.path.split(query["release"])
    for half in (os.path.join(work, "src.new"), os.path.join(folder, f".{name}.new")):
        shutil.rmtree(half, ignore_errors=True)
    free = shutil.disk_usage(work).free
    if free >= RESERVE_BYTES:
        return None
    for part in ("build", "src", "kleidiai"):
        shutil.rmtree(os.path.join(work, part), ignore_errors=True)
    return (
        f"{work} had {free >> 20} MiB left, and {RESERVE_BYTES >> 20} are to stay free; what was built "
        f"is removed. A build needs {NEEDED_BYTES >> 20} MiB: free some, or give /opt/bramble a larger "
        "disk"
    )


def main(query):
    """Build and install the release of `query`."""
    try:
        build(query)
    except (BuildError, OSError, subprocess.SubprocessError) as error:
        say(f"the build stopped: {error}")
        if os.path.isdir(query["work"]) and (why := tidy_up(query)):
            say(why)
        return 1
    return 0
