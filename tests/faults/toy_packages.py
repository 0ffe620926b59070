"""Debian packages that do nothing, in an apt repository of our own.

Their maintainer scripts kill the dpkg that runs them where a file below KILL asks for it.
"""

import hashlib

from tests.nodes.signed_repository import call

KILL = "/run/kill"
SCRIPT = f"""#!/bin/sh
set -e
if [ -e {KILL}/NAME-PHASE ]; then rm {KILL}/NAME-PHASE; kill -KILL $PPID; fi
"""
PHASES = ("preinst", "postinst")


def build(folder, names):
    """A flat repository (`deb URL ./`) with a package of each name, unsigned."""
    folder.mkdir()
    for name in names:
        tree = folder / f"{name}.tree"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: toys <toys@example.org>\n"
            "Description: a toy\n"
        )
        for phase in PHASES:
            script = tree / "DEBIAN" / phase
            script.write_text(SCRIPT.replace("NAME", name).replace("PHASE", phase))
            script.chmod(0o755)
        (tree / "usr/share" / name).mkdir(parents=True)
        (tree / "usr/share" / name / "toy").write_text(f"{name}\n")
        call("dpkg-deb", "--build", "--root-owner-group", tree, folder / f"{name}_1_all.deb")
        call("rm", "-r", tree)
    (folder / "Packages").write_text(
        "\n".join(paragraph(folder, deb) for deb in sorted(folder.glob("*.deb")))
    )
    return folder


def paragraph(folder, deb):
    content, fields = deb.read_bytes(), call("dpkg-deb", "-f", deb).rstrip("\n")
    return (
        f"{fields}\nFilename: ./{deb.relative_to(folder)}\nSize: {len(content)}\n"
        f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
    )


def release(folder):
    """The text of a Release file of what lies there."""
    content = (folder / "Packages").read_bytes()
    return (
        "Origin: toys\nSuite: toys\nCodename: toys\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
        f"SHA256:\n {hashlib.sha256(content).hexdigest()} {len(content)} Packages\n"
    )
