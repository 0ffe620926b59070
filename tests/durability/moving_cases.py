"""Programs that move what is there, by links, exchanges, renames and removals: none may lose it."""

import io
import json
import random
import tarfile

from cases import EXT4, LINK, Case, Tree, here, program, sha256

from bramble.remote import engine_home

MODEL = b"GGUF" + random.Random(2).randbytes(100_000)
STAMP = json.dumps({"sha256": sha256(MODEL)}).encode()
OURS: Tree = {"toy.gguf": MODEL, "toy.gguf.json": STAMP}


def below(folder: str, tree: Tree) -> Tree:
    return {f"{folder}/{path}": content for path, content in tree.items()}


def place(what: str, folder: str, before: Tree) -> Case:
    """The models' folder, which is on the card or a link to the SSD, with a whole model in it."""
    root = f"{EXT4}/{folder}"
    query = {
        "what": what,
        "folder": f"{root}/home/models",
        "to": f"{root}/ssd/models",
        "left": f"{root}/home/.models",
        "mount": EXT4,
    }

    def lost(tree: Tree, ended: bool) -> str | None:
        linked = tree.get("home/models") == LINK + f"{root}/ssd/models".encode()
        at = "ssd/models" if linked else "home/models"
        stamp = json.loads(tree.get(f"{at}/toy.gguf.json") or b"{}")
        if tree.get(f"{at}/toy.gguf") != MODEL or stamp.get("sha256") != sha256(MODEL):
            return f"{at} has no whole model"
        done = linked != (what == "back")
        return "the program has ended and nothing was moved" if ended and not done else None

    text = program("place_models", query)
    return Case(f"models_{what}", EXT4, text, before, {}, folder=folder, also=lost)


def placed() -> tuple[Case, ...]:
    """To the SSD, then its removal from the card; and the way back to the card."""
    link = LINK + f"{EXT4}/models_back/ssd/models".encode()
    card = below("home/models", OURS)
    kept = {**below("home/.models", OURS), **below("ssd/models", OURS), "home/models": link}
    return (
        place("bring", "models_moved", card),
        place("clear", "models_moved", card),
        place("back", "models_back", kept),
    )


QUERY = {
    "home": "",
    "release": "two",
    "name": "toy",
    "path": "",
    "further": [],
    "helpers": [],
    "unit": "x.service",
    "unit_file": "",
    "url": "http://127.0.0.1:9",
    "identity": {"model": "m", "arguments": "a", "board": "b"},
    "attempt": "1",
    "restart": True,
    "deadline_s": 0,
    "question": "q",
    "expect": "e",
}
OLD_UNIT, NEW_UNIT = b"[Service]\nExecStart=old\n", b"[Service]\nExecStart=new\n"
FIGURES = {"answer": "e", "tokens_per_second": 2.0}
GOOD = {
    **QUERY["identity"],
    "release": "one",
    "name": "toy",
    "path": None,
    "tokens_per_second": 1.0,
    "at": "2026-01-01",
    "url": QUERY["url"],
    "unit": OLD_UNIT.decode(),
}


def gate(name: str, call: str, after: dict[str, bytes | None], also) -> Case:
    """What the gate leaves: the notes of what is good, or the way back."""
    root = f"{EXT4}/{name}"
    query = {**QUERY, "home": root, "unit_file": f"{root}/units/x.service"}
    before = {
        "current": LINK + b"releases/two",
        "previous": LINK + b"releases/zero",
        "releases/one/manifest.json": b"{}",
        "releases/two/manifest.json": b"{}",
        "units/x.service": NEW_UNIT,
        engine_home.GOOD: json.dumps(GOOD).encode(),
    }
    lines = (
        "from bramble.remote import good_record, serve_release as gate\n"
        f"query, good = {query!r}, {GOOD!r}\n"
    )
    return here(name, lines + call, before, also, after)


def passed() -> Case:
    def noted(tree: Tree, ended: bool) -> str | None:
        release = json.loads(tree.get(engine_home.GOOD) or b"{}").get("release")
        if release not in {"one", "two"} or (ended and release != "two"):
            return f"{engine_home.GOOD} tells of {release}"
        moved = tree["previous"] == LINK + b"releases/one"
        return None if moved or release == "one" else "two is good and its predecessor is not known"

    call = f"good_record.remember(query, {FIGURES!r}, good)"
    return gate("gate_passed", call, {"previous": LINK + b"releases/one"}, noted)


def failed() -> Case:
    mark = f"{engine_home.REJECTED}/two.json"

    def noted(tree: Tree, ended: bool) -> str | None:
        if tree.get(engine_home.GOOD) != json.dumps(GOOD).encode():
            return "what was good is not known any more"
        if mark not in tree:
            return "it was not rejected" if ended else None
        if json.loads(tree[mark] or b"{}").get("release") != "two":
            return "the rejection is not whole"
        back = (tree["current"], tree["units/x.service"]) == (LINK + b"releases/one", OLD_UNIT)
        return None if back else "it was rejected before what was good is what the next boot starts"

    after: dict[str, bytes | None] = {
        "current": LINK + b"releases/one",
        "units/x.service": OLD_UNIT,
    }
    return gate("gate_failed", "gate.go_back(query, good, gate.GateError('slow'))", after, noted)


def pruned() -> Case:
    bits = random.Random(3).randbytes(20_000)
    kept = {"releases/one/manifest.json": b"{}", "releases/one/bin/llama-server": bits}
    gone = {"releases/two/manifest.json": b"{}", "releases/two/bin/llama-server": bits}
    before = {**kept, **gone, "current": LINK + b"releases/one"}

    def partial(tree: Tree, ended: bool) -> str | None:
        if any(tree.get(path) != content for path, content in kept.items()):
            return "the current release is not whole"
        listed, program_ = gone
        return (
            "a release looks whole and is not" if listed in tree and program_ not in tree else None
        )

    query = {"home": f"{EXT4}/prune_releases", "releases": ["two"]}
    text = program("prune_releases", query)
    # Its removal lasts with its manifest's; what else is left of it, the next run removes.
    after: dict[str, bytes | None] = {"releases/two/manifest.json": None}
    return Case("prune_releases", EXT4, text, before, after, also=partial)


def aside() -> Case:
    old = b"[Service]\nRestart=no\n"

    def lost(tree: Tree, ended: bool) -> str | None:
        found = [path for path, content in tree.items() if content == old]
        return None if len(found) == 1 else f"the file is at {found}"

    text = program("set_aside", {"paths": [f"{EXT4}/set_aside/x.conf"]})
    after: dict[str, bytes | None] = {"x.conf": None, "x.conf.set-aside": old}
    return Case("set_aside", EXT4, text, {"x.conf": old}, after, also=lost)


def logs() -> Case:
    """What log2ram had in memory, written back to the disk's own files."""
    new = {"a.log": b"old\nnew\n" * 3000, "deep/b.log": b"new\n"}
    before = {**below("memory", new), "disk/a.log": b"old\n" * 3000}
    root = f"{EXT4}/write_back"
    call = f"remove_log2ram.write_back('{root}/memory', '{root}/disk')"
    lines = f"from bramble.remote import remove_log2ram\n{call}"
    return here("write_back", lines, before, lambda tree, ended: None, {**below("disk", new)})


def source() -> Case:
    """The source of a build: whole where it has its stamp."""
    files = {f"src/{number}.c": b"int x;\n" * 700 for number in range(20)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path.removeprefix("src/"))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    sent, root = packed.getvalue(), f"{EXT4}/build_source"
    wanted = {"kind": "archive", "sha256": sha256(sent), "upload": f"{root}/sent"}

    def whole(tree: Tree, ended: bool) -> str | None:
        if "src/.bramble-source" not in tree:
            return "there is no source" if ended else None
        lacking = [path for path, content in files.items() if tree.get(path) != content]
        return f"it has its stamp and lacks {lacking}" if lacking else None

    call = f"build_source.get_source({wanted!r}, '{root}/src')"
    lines = f"from bramble.remote import build_source\n{call}"
    return here("build_source", lines, {"sent": sent}, whole)


CASES = (*placed(), passed(), failed(), pruned(), aside(), logs(), source())
