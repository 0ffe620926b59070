"""The pinned sources of a build: fetched or unpacked, and verified by their checksums."""

import json
import os
import shutil
import urllib.request

from bramble.remote import atomic, build_tools, owned, progress

DOWNLOAD_LIMIT = 64 * 1024**2
DOWNLOAD_TIMEOUT_S = 60


def get_source(source, folder, setting="engine.source"):
    """Ensure that `folder` has the pinned source; a complete one of the same identity is kept."""
    stamp = os.path.join(folder, ".bramble-source")
    identity = json.dumps(source, sort_keys=True)
    if os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == identity:
        progress.say("the source is there already")
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
    """Unpack an archive once its checksum is right, from a copy of our own."""
    archive, upload = f"{folder}.archive", source.get("upload")
    try:
        if upload:
            owned.taken(upload, archive)
            check_sum(archive, "sha256", source["sha256"], f"{setting}.archive")
        else:
            download(source["url"], archive)
            check_sum(archive, "md5", source["md5"], setting)
        progress.say("unpacking the source archive")
        prefix = source.get("subdir", "").strip("/")
        depth = len(prefix.split("/")) if prefix else 0
        only = [f"{prefix}/"] if prefix else []
        where = ["--file", archive, "--directory", folder, f"--strip-components={depth}"]
        build_tools.call("tar", "--extract", *where, "--no-same-owner", "--exclude=.git", *only)
        # Whoever compiles it reads it, and changes nothing of it.
        build_tools.call("chmod", "--recursive", "u=rwX,go=rX", folder)
    finally:
        for path in (archive, upload):
            if path and os.path.lexists(path):
                os.unlink(path)


def check_sum(archive, algorithm, wanted, setting):
    """Refuse an archive that is not the pinned one."""
    found = build_tools.sha256(archive, algorithm)
    if found != wanted:
        raise build_tools.BuildError(
            f"the source archive's {algorithm} is {found} and the inventory pins {wanted}; nothing "
            f"was built. Correct {setting}"
        )


def download(url, path):
    """Fetch a small file; the caller verifies its checksum."""
    progress.say(f"fetching {url}")
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT_S) as answer:
            content = answer.read(DOWNLOAD_LIMIT)
    except OSError as error:
        hint = "give engine.kleidiai.archive, a local one"
        raise build_tools.BuildError(f"{url} cannot be fetched ({error}); {hint}") from error
    with open(path, "wb") as file:
        file.write(content)


def kleidiai(source, work):
    """Fetch KleidiAI's source; return CMake's options to use it and to download nothing."""
    folder = os.path.join(work, "kleidiai")
    get_source(source, folder, "engine.kleidiai")
    inside = [name for name in sorted(os.listdir(folder)) if name != ".bramble-source"]
    if len(inside) == 1:
        folder = os.path.join(folder, inside[0])
    if not os.path.exists(os.path.join(folder, "CMakeLists.txt")):
        raise build_tools.BuildError(
            "KleidiAI's archive has no CMakeLists.txt there; correct its subdir"
        )
    return {
        "FETCHCONTENT_FULLY_DISCONNECTED": "ON",
        "FETCHCONTENT_SOURCE_DIR_KLEIDIAI": folder,
    }


def fetch(source, folder):
    """Fetch one commit without its history, and verify it."""
    progress.say(f"fetching {source['commit'][:12]} from {source['url']}")
    git = ("git", "-C", folder)
    build_tools.call(*git, "init", "--quiet")
    build_tools.call(*git, "fetch", "--quiet", "--depth", "1", source["url"], source["commit"])
    found = build_tools.output(*git, "rev-parse", "FETCH_HEAD")
    if found != source["commit"]:
        raise build_tools.BuildError(f"{source['url']} gave commit {found} for {source['commit']}")
    build_tools.call(*git, "checkout", "--quiet", "--detach", "FETCH_HEAD")
    shutil.rmtree(os.path.join(folder, ".git"))
