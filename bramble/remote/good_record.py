"""The note of what passed the gate last (`good.json`), with what passed before it."""

import contextlib
import datetime
import json
import os

from bramble.remote import atomic, engine_home, progress

HISTORY = 16  # the number of earlier good records that are kept


def baseline(query, good):
    """Return the last known good speed to compare with; None where there is none.

    A release that was good here before is compared with its own figure; what is good now is not
    compared with itself, as neither program nor model changed.
    """
    if good is None or alike(good, the_same(query)):
        return None
    known = (good, *good.get("history", []))
    same = [record for record in known if alike(record, query["identity"])]
    own = [record for record in same if record["release"] == query["release"]]
    return (own or same)[0]["tokens_per_second"] if same else None


def the_same(query):
    """Return the fields that records of the same release, model, arguments and board share."""
    return {"release": query["release"], **query["identity"]}


def alike(record, wanted):
    """Return whether a record has all of these values."""
    return all(record.get(key) == value for key, value in wanted.items())


def text_of(path):
    """Return the text of a file."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def read(path):
    """Return a note of ours; None where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        note = json.loads(text_of(path))
        return note if isinstance(note, dict) and "release" in note else None


def write(path, text):
    """Replace a file, readable for all."""
    atomic.make_folder(os.path.dirname(path))
    atomic.write(path, text, 0o644)


def now():
    """Return the time in a format that sorts."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def remember(query, figures, good):
    """Record this as the known good, with the earlier ones in its history, the last one first."""
    home, release, same = query["home"], query["release"], the_same(query)
    who = same | {"name": query["name"], "path": query["path"]}
    past = good.get("history", []) if good else []
    if good:
        keys = (*who, "tokens_per_second", "at")
        past = [{key: good.get(key) for key in keys}, *past]
        if good["release"] != release:
            atomic.link(
                f"{home}/{engine_home.PREVIOUS}", f"{engine_home.RELEASES}/{good['release']}"
            )
    history = [record for record in past if not alike(record, same)][:HISTORY]
    note = who | figures | {"at": now(), "url": query["url"], "unit": text_of(query["unit_file"])}
    if query["further"]:
        note["further"] = beside(query)
    if query["helpers"]:
        note["helpers"] = query["helpers"]
    write(f"{home}/{engine_home.GOOD}", json.dumps(note | {"history": history}, indent=2))
    rate = figures["tokens_per_second"]
    progress.say(f"release {release} is good with {query['name']}: {rate:.1f} tokens/s")


def beside(record):
    """Return the models beside the first one, each by its name and its file."""
    several = record.get("further") or []
    return [{"name": one["name"], "path": one["path"]} for one in several]


def named(query, good):
    """Return what of the plan failed, what was good, and the name of the note that says so."""
    bad, old, model = query["release"], good["release"], query["name"]
    other = query["identity"]["model"] != good.get("model")
    if bad != old:
        return f"release {bad}" + (f" with model {model}" if other else ""), old, bad
    what = f"model {model}" if other else f"model {model} with its new arguments"
    before = good.get("name") if other else None
    return what, before or "what ran before", f"{bad}-{query['attempt']}"
