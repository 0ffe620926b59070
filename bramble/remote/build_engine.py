"""Build llama.cpp on this node from a pinned source and install it as a release.

Interrupted work is resumed: a complete source is kept, ninja keeps what it compiled in this boot, and
the release appears by one rename. What another boot compiled may be empty after a power cut; ccache
checksums its entries and returns the intact ones. Source and build folders are always the same,
because ccache's entries depend on the paths.

On a node root unpacks the verified source and installs what came of it. All that the source itself has a
say in (CMake, the compilers, its scripts, its programs) runs as a user that can write to nothing but
`build`, `scratch` and the compiler cache, and has no network; what it left is read as a stranger's.
"""

import datetime
import difflib
import fcntl
import functools
import json
import os
import re
import shutil
import subprocess

from bramble.remote import (
    atomic,
    build_proof,
    build_source,
    build_tools,
    build_user,
    engine_home,
    owned,
    progress,
)

BOOT_ID = "/proc/sys/kernel/random/boot_id"
NEEDED_BYTES = 1024**3
# A build that leaves less than this free is removed: the system needs it.
RESERVE_BYTES = 256 * 1024**2
# llama-server, stripped and linked statically, has less than 32 MiB.
MOST_BYTES = 512 * 1024**2
# Plain variables of llama.cpp and CMake, which no project declares as options.
UNDECLARED_BY_DESIGN = re.compile(r"^(CMAKE_.*|FETCHCONTENT_.*|LLAMA_BUILD_(NUMBER|COMMIT))$")


def check_space(folder):
    """Refuse to begin a build that would fill the disk."""
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise build_tools.BuildError(
            f"{folder} has {free // 2**20} MiB free and the build needs {NEEDED_BYTES // 2**20}; "
            "free some, or give /opt/bramble a larger disk"
        )


def hooked(hook, work):
    """Write a CMake file that patches a source for the compiler; return the option to include it."""
    path = os.path.join(work, "hook.cmake")
    with open(path, "w", encoding="utf-8") as file:
        file.write(hook)
    return {"CMAKE_PROJECT_INCLUDE": path}


def configure(source, build, options, toolchain=None, by=build_user.options):
    """Run CMake from a fresh cache, then refuse options that llama.cpp does not declare.

    llama.cpp uses up every GGML_ variable, so CMake never warns of a mistyped one: an option that
    nothing declared is one whose type in the cache is UNINITIALIZED.
    """
    progress.say("configuring")
    flags = [f"-D{name}={value}" for name, value in sorted(options.items())]
    if toolchain:
        path = f"{build}.cmake"
        with open(path, "w", encoding="utf-8") as file:
            file.write(toolchain["text"])
        flags.append(f"-DCMAKE_TOOLCHAIN_FILE={path}")
    build_tools.call("cmake", "--fresh", "-S", source, "-B", build, "-G", "Ninja", *flags, by=by)
    cache = build_proof.read(os.path.join(build, "CMakeCache.txt"))
    entries = re.findall(r"^([A-Za-z0-9_]+):([A-Z]+)=", cache, re.MULTILINE)
    declared = [name for name, kind in entries if kind != "UNINITIALIZED"]
    for name, kind in entries:
        if kind == "UNINITIALIZED" and not UNDECLARED_BY_DESIGN.match(name):
            near = difflib.get_close_matches(name, declared, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise build_tools.BuildError(f"llama.cpp has no option {name}{hint} (engine.options)")


def forget_other_boots(work, build):
    """Remove what another boot compiled: ninja trusts times, and a power cut may have emptied files."""
    with open(BOOT_ID, encoding="ascii") as file:
        boot = file.read()
    note = os.path.join(work, "boot")
    if os.path.exists(note) and open(note, encoding="ascii").read() == boot:
        return
    if os.path.isdir(build):
        progress.say(
            "what an earlier boot compiled is removed; ccache returns what is intact of it"
        )
        shutil.rmtree(build)
    atomic.write(note, boot)


def compile_targets(build, targets, jobs, by=build_user.options):
    """Compile what is not compiled yet."""
    progress.say(f"compiling {', '.join(targets)} with {jobs} at a time")
    by = functools.partial(by, NINJA_STATUS="[%f/%t] ")
    build_tools.call("ninja", "-C", build, f"-j{jobs}", *targets, by=by)


def install(query, build, scratch, by=build_user.options):
    """Copy the stripped binaries and their manifest into the release, which appears by a rename.

    They are stripped into `scratch`, a folder of root's making, so that no link leads from there.
    """
    release, toolchain, user = query["release"], query.get("toolchain"), query.get("user")
    prefix = toolchain["prefix"] if toolchain else ""
    new = os.path.join(os.path.dirname(release), f".{os.path.basename(release)}.new")
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(os.path.join(new, "bin"))
    found, sums = build_proof.compiled_in(build), {}
    if query.get("kleidiai"):
        built = os.path.join(build, "bin", "llama-server")
        found["kleidiai_kernels"] = build_proof.kleidiai_kernels(built, prefix, by)
    for target in query["targets"]:
        made, path = os.path.join(scratch, target), os.path.join(new, "bin", target)
        built = os.path.join(build, "bin", target)
        build_tools.call(f"{prefix}strip", "-o", made, built, by=by)
        build_user.taken(made, path, user, MOST_BYTES)
        sums[target] = build_tools.sha256(path)
    server = os.path.join(new, "bin", "llama-server")
    if not toolchain:
        build_proof.check_starts(server, user)
    runner = query.get("emulator") if toolchain else []
    found["system_info"] = (
        build_proof.system_info([*runner, server], user) if runner is not None else None
    )
    build_proof.check_features(found["system_info"], query.get("wants", ()))
    needed = build_proof.needed_versions(
        os.path.join(new, "bin", target) for target in query["targets"]
    )
    build_proof.check_versions(needed, query["needs_at_most"])
    manifest = query["manifest"] | {
        "binaries": sums,
        "builder": f"{os.uname().nodename} ({os.uname().machine})",
        "built_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "compiled_in": found,
        "compiler": build_tools.output(f"{prefix}g++", "--version", by=by).splitlines()[0],
        "needs": needed,
    }
    with open(os.path.join(new, engine_home.MANIFEST), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2, sort_keys=True)
    # A damaged release of this name is now at the temporary name: its program may be running.
    atomic.place(new, release)
    shutil.rmtree(new, ignore_errors=True)
    progress.say(f"installed {release}")


def have_folders(query):
    """Have the folders of a build; return where the compiler cache is.

    Root alone may write to them, and to what leads to the cache, which is the user's that builds.
    """
    # A link of root's may lead to an empty disk.
    cache = os.path.realpath(query["ccache"])
    above = map(os.path.dirname, (query["release"], query["ccache"], cache))
    for folder in (query["work"], *above):
        if why := owned.have(folder):
            raise build_tools.BuildError(why)
    build_user.have_cache(cache, query.get("user"))
    return cache


def workplace(work, cache, user):
    """Return how the user's programs are run: as it, with these folders to write to and no others."""
    scratch, build = (os.path.join(work, name) for name in ("scratch", "build"))
    build_user.remove(scratch)
    for own in (scratch, build):
        build_user.have(own, user)
    remembered = {"CCACHE_DIR": cache, "CCACHE_BASEDIR": work}
    return functools.partial(build_user.options, user, (scratch, build, cache), **remembered)


def build(query):
    """Fetch, configure, compile and install a release; one build at a time on a node."""
    work, cache = query["work"], have_folders(query)
    with open(os.path.join(work, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check_space(work)
        source, folder = os.path.join(work, "src"), os.path.join(work, "build")
        build_source.get_source(query["source"], source)
        forget_other_boots(work, folder)
        by = workplace(work, cache, query.get("user"))
        options = query["options"]
        if query.get("kleidiai"):
            options = options | build_source.kleidiai(query["kleidiai"], work)
        if query.get("hook"):
            options = options | hooked(query["hook"], work)
        configure(source, folder, options, query.get("toolchain"), by)
        compile_targets(folder, query["targets"], query["jobs"], by)
        install(query, folder, os.path.join(work, "scratch"), by)
    for old in query.get("old", ()):
        shutil.rmtree(old, ignore_errors=True)


def tidy_up(query):
    """Remove half a source or release, and the whole build from a disk that it filled.

    Return why the build was removed; None where it may be resumed.
    """
    work, (folder, name) = query["work"], os.path.split(query["release"])
    halves = (f"{work}/src.new", f"{work}/scratch", os.path.join(folder, f".{name}.new"))
    for half in halves:
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
    """Build and install the release of `query`; with `parent`, the build ends with that process."""
    if query.get("parent"):
        build_user.end_with(query["parent"])
    try:
        build(query)
    except (build_tools.BuildError, OSError, subprocess.SubprocessError) as error:
        progress.say(f"the build stopped: {error}")
        if os.path.isdir(query["work"]) and (why := tidy_up(query)):
            progress.say(why)
        return 1
    return 0
