"""Look at a node as the probe does, and at what bears on it that no role plans.

This judges and changes nothing. What is told of who changed what is about the files that roles look
at, and about what was found beside them.
"""

from bramble.remote import around, origins, probe, scheduled

# What changes by itself tells of nobody.
NOT_FILES = ("/sys/", "/proc/", "/dev/", "/run/")


def named(query):
    """Return the paths and units that a line of cron or a timer bears on."""
    paths = [
        path
        for path in query["files"]
        if path.startswith("/etc/") and not set(path) & set("*?") and path.count("/") > 1
    ]
    return list(dict.fromkeys((*query["words"], *paths, *query["units"])))


def of(part, seen):
    """Return what was seen of a part; nothing where it is not known."""
    return seen.get(part, {}).get("ok") or {}


def drop_ins(seen):
    """Return the paths of all drop-ins of the units that were looked at."""
    said = (one["properties"].get("DropInPaths", "") for one in of("units", seen).values())
    return [path for words in said for path in words.split()]


def interesting(query, seen):
    """Return the paths of which somebody may ask who changed them."""
    files = [path for path in query["files"] if not set(path) & set("*?")]
    found = [path for path in files if not path.startswith(NOT_FILES) and path.count("/") > 1]
    found += [one["path"] for part in ("scheduled", "keys") for one in of(part, seen)]
    found += [one["path"] for one in of("loose", seen).get("entries", ())]
    return list(dict.fromkeys([*found, *drop_ins(seen)]))


def sudo(query, seen):
    """Return sudo's lines about these files, or of the time when one of them was changed."""
    there = of("origins", seen)
    changes = {one[when] for one in there.values() for when in ("modified_s", "changed_s")}
    return origins.sudo(interesting(query, seen), changes)


def main(query):
    """Print what was seen, as the probe prints it."""
    return probe.main(
        query,
        {
            "failed": lambda seen: around.failed(),
            "held": lambda seen: around.held(),
            "holders": lambda seen: around.holders(of("sockets", seen) or ""),
            "roots": lambda seen: around.roots(),
            "keys": lambda seen: around.keys(),
            "loose": lambda seen: around.loose(query["folders"]),
            "scheduled": lambda seen: scheduled.look(named(query)),
            "origins": lambda seen: origins.look(interesting(query, seen)),
            "sudo": lambda seen: sudo(query, seen),
        },
    )
