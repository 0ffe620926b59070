"""An apt repository of our own, signed with a throw-away key, that serves Debian trixie's log2ram."""

import hashlib
import shutil
import subprocess
from email.utils import formatdate
from pathlib import Path

from bramble.virtual import apt
from bramble.virtual.paths import cache_dir

POOL = "pool/main/l/log2ram"
# Debian 13's package; its pool may get another one: then `apt-cache show log2ram` there has the hash.
DEBS = {
    "amd64": (
        "log2ram_1.7.2+ds-1+b1_amd64.deb",
        "a8bb54ea742b32828a8a096bd0741a5ee11a1cb1704c4b6c0d0f12b7bf758824",
    ),
    "arm64": (
        "log2ram_1.7.2+ds-1_arm64.deb",
        "1b0518c9c5d58aa71d43c94bd07c9a96baae3d4a47083eec70a85b74b5eeadfb",
    ),
}
OTHER = """Package: curl
Version: 99.0
Architecture: all
Maintainer: a stranger <stranger@example.org>
Description: what nobody wants from here
"""


def log2ram(architecture):
    """Debian trixie's package from this machine's own mirror, cached by its hash."""
    name, sha256 = DEBS[architecture]
    path = cache_dir() / "packages" / sha256 / name
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    base = apt.read_host().sources("trixie")[0].uri
    url = f"{base}/{POOL}/{name.replace('+', '%2b')}"
    call("/usr/lib/apt/apt-helper", "download-file", url, path, f"SHA256:{sha256}")
    return path


def call(*argv, **options):
    """A command that must go well; what it printed."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


class Key:
    """A throw-away key."""

    def __init__(self, home):
        self.home = home
        home.mkdir(mode=0o700)
        made = ("--passphrase", "", "--quick-generate-key", "log2ram test", "rsa2048", "sign")
        self.gpg(*made)
        listed = self.gpg("--with-colons", "--list-keys")
        rows = (line.split(":") for line in listed.splitlines())
        self.fingerprint = next(row[9] for row in rows if row[0] == "fpr")

    def gpg(self, *words):
        return call("gpg", "--homedir", self.home, "--batch", "--yes", *words)

    def export(self, path):
        """The public key as a file, armoured."""
        path.write_text(self.gpg("--armor", "--export", self.fingerprint))
        return path


def build(folder, key, architecture):
    """A signed repository with log2ram and a package that must not be taken from it."""
    pool = folder / "pool"
    pool.mkdir(parents=True)
    shutil.copy(log2ram(architecture), pool)
    other = folder / "other"
    (other / "DEBIAN").mkdir(parents=True)
    (other / "DEBIAN/control").write_text(OTHER)
    call("dpkg-deb", "--build", "--root-owner-group", other, pool / "curl_99.0_all.deb")
    shutil.rmtree(other)
    dist = folder / "dists/bookworm"
    index = dist / f"main/binary-{architecture}/Packages"
    index.parent.mkdir(parents=True)
    index.write_text("\n".join(entry(folder, deb) for deb in sorted(pool.glob("*.deb"))))
    sign(dist, key, architecture)
    return folder


def entry(folder, deb):
    """A package's paragraph in the index."""
    fields = call("dpkg-deb", "-f", deb).rstrip("\n")
    content = deb.read_bytes()
    return (
        f"{fields}\nFilename: {deb.relative_to(folder)}\nSize: {len(content)}\n"
        f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
    )


def sign(dist: Path, key, architecture):
    """The release file, signed in line."""
    name = f"main/binary-{architecture}/Packages"
    content = (dist / name).read_bytes()
    release = (
        f"Origin: test\nSuite: bookworm\nCodename: bookworm\nArchitectures: {architecture}\n"
        f"Components: main\nDate: {formatdate(usegmt=True)}\n"
        f"SHA256:\n {hashlib.sha256(content).hexdigest()} {len(content)} {name}\n"
    )
    (dist / "Release").write_text(release)
    key.gpg("--clearsign", "--output", dist / "InRelease", dist / "Release")
    (dist / "Release").unlink()
