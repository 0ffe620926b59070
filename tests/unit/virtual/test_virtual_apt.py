"""The host's apt configuration as virtual Pis take it."""

import subprocess

import pytest

from bramble.virtual import apt, proxy, releases, rootfs
from bramble.virtual.container import network
from bramble.virtual.errors import VirtualPiError

DEB822 = """\
Types: deb deb-src
# a comment inside a stanza
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main non-free-firmware contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components:
 main
 contrib

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/a/b.gpg] http://mirror.example/debian bookworm main contrib # own
deb http://mirror.example/debian bookworm-updates main
deb-src http://mirror.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main
deb https://packages.example/node nodistro main
deb https://download.example/linux/debian bookworm stable
"""


def lines(found, release="bookworm"):
    return [source.line for source in apt.debian_sources(found, release)]


def test_deb822_stanzas_give_every_uri_with_every_suite():
    assert lines(apt.parse_deb822(DEB822)) == [
        "deb http://mirror.example/debian bookworm main contrib",
        "deb http://mirror.example/debian bookworm-updates main contrib",
        "deb http://security.example/debian-security bookworm-security main contrib",
    ]


def test_one_line_sources_are_read_and_foreign_ones_left_out():
    assert lines(apt.parse_one_line(ONE_LINE)) == [
        "deb http://mirror.example/debian bookworm main contrib",
        "deb http://mirror.example/debian bookworm-updates main",
        "deb http://security.example/debian-security bookworm-security main",
    ]


def test_a_host_of_another_release_lends_its_mirror():
    trixie = ONE_LINE.replace("bookworm", "trixie")
    for host in (ONE_LINE, trixie, ONE_LINE.replace("bookworm", "sid")):
        assert lines(apt.parse_one_line(host)) == lines(apt.parse_one_line(ONE_LINE))
        assert lines(apt.parse_one_line(host), "trixie") == [
            "deb http://mirror.example/debian trixie main contrib",
            "deb http://mirror.example/debian trixie-updates main",
            "deb http://security.example/debian-security trixie-security main",
        ]


def test_an_exact_entry_beats_one_of_another_release():
    both = "deb http://new.example/debian trixie main\ndeb http://old.example/debian bookworm main"
    found = list(apt.parse_one_line(both))
    assert lines(found)[0] == "deb http://old.example/debian bookworm main"
    assert lines(found, "trixie")[0] == "deb http://new.example/debian trixie main"
    # Nodes of both releases share the proxy, so it lets both through.
    known = host(found=tuple(found))
    assert known.mirror_hosts == ("new.example", "old.example")


def test_sources_are_written_in_the_form_of_their_release():
    name, text = rootfs.source_file(host(), "bookworm")
    assert (name, text.splitlines()) == ("sources.list", lines(apt.parse_one_line(ONE_LINE)))
    name, text = rootfs.source_file(host(), "trixie")
    assert name == "sources.list.d/debian.sources"
    assert lines(apt.parse_deb822(text), "trixie") == lines(host().found, "trixie")
    assert text.startswith("Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\n")
    assert text.count("\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n") == 3


def test_suites_of_one_archive_share_a_stanza():
    text = rootfs.source_file(host(found=tuple(apt.parse_deb822(DEB822))), "trixie")[1]
    assert text.count("Types: deb\n") == 2
    assert "Suites: trixie trixie-updates\nComponents: main contrib\n" in text


def test_the_classic_file_of_a_node_of_trixie_is_empty(tmp_path):
    for folder in ("sources.list.d", "apt.conf.d"):
        (tmp_path / "etc/apt" / folder).mkdir(parents=True)
    rootfs.write_apt_settings(host(), "trixie", tmp_path)
    assert (tmp_path / "etc/apt/sources.list").read_text() == ""
    found = (tmp_path / "etc/apt/sources.list.d/debian.sources").read_text()
    assert "Suites: trixie-security\n" in found


def test_updates_are_derived_where_the_host_has_none():
    found = lines(apt.parse_one_line("deb http://mirror.example/debian bookworm main"))
    assert found == [
        "deb http://mirror.example/debian bookworm main",
        "deb http://mirror.example/debian bookworm-updates main",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "deb http://archive.example/ubuntu jammy main",
        "deb http://x.example/raspbian bookworm main",
    ],
)
def test_no_debian_mirror_is_one_sentence_with_a_way_out(text):
    with pytest.raises(VirtualPiError, match=r"no Debian mirror .* add a line such as"):
        lines(apt.parse_one_line(text))


def test_the_proxy_of_apt_comes_before_the_environment():
    config = apt.parse_config_dump('Acquire "";\nAcquire::http::Proxy "http://a:3142";\n')
    env = {"http_proxy": "http://b:8080", "https_proxy": "http://c:8080"}
    assert apt.host_proxy(config, env, "http") == "http://a:3142"
    assert apt.host_proxy(config, env, "https") == "http://c:8080"
    assert apt.host_proxy({"Acquire::http::Proxy": "DIRECT"}, {}, "http") is None


def host(**more):
    found = tuple(apt.parse_one_line(ONE_LINE))
    return apt.AptHost(
        **{"found": found, "http_proxy": None, "https_proxy": None, "options": (), **more}
    )


def test_the_proxy_lets_only_the_mirrors_through():
    assert proxy.filter_text(host()) == "^mirror\\.example$\n^security\\.example$\n"


def test_the_proxy_denies_by_default_and_listens_on_the_bridge_only(tmp_path):
    text = proxy.config_text(host(), tmp_path, network.PROXY)
    assert "FilterDefaultDeny Yes\n" in text
    assert f'Filter "{tmp_path}/filter"\n' in text
    assert "Listen 10.77.0.1\n" in text
    assert "Upstream" not in text


def test_the_hosts_own_proxy_is_gone_through(tmp_path):
    text = proxy.config_text(
        host(http_proxy="http://user:word@cache.example:3142"), tmp_path, network.PROXY
    )
    assert text.endswith("Upstream http user:word@cache.example:3142\n")


def test_an_upstream_that_tinyproxy_cannot_use_is_refused(tmp_path):
    with pytest.raises(VirtualPiError, match="http:// proxy only"):
        proxy.config_text(host(https_proxy="socks5h://cache.example:1080"), tmp_path, network.PROXY)


def test_the_cache_key_follows_recipe_sources_and_options(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_text("1")

    def key(**more):
        return rootfs.cache_key(host(**more), "bookworm", tmp_path)

    before = key()
    assert before == key()
    assert before != key(found=host().found[:1])
    assert before != key(options=(("Acquire::Check-Date", "false"),))
    # A proxy is a way and not an ingredient.
    assert before == key(http_proxy="http://a:3142")
    (tmp_path / "files" / "a").write_text("2")
    assert before != key()


def test_each_release_has_a_root_file_system_of_its_own(tmp_path, monkeypatch):
    keys = {release: rootfs.cache_key(host(), release) for release in releases.RELEASES}
    assert len(set(keys.values())) == 2
    (tmp_path / "customize.sh").write_text("#")
    monkeypatch.setitem(releases._MORE, "trixie", (tmp_path,))
    assert rootfs.cache_key(host(), "trixie") != keys["trixie"]
    assert rootfs.cache_key(host(), "bookworm") == keys["bookworm"]


def test_the_rootfs_lacks_what_the_real_image_lacks(tmp_path):
    absent = {"git", "cmake", "ninja-build", "ccache", "log2ram", "zram-tools"}
    for release in releases.RELEASES:
        assert not absent & set(releases.packages(release))
    argv = rootfs.command(host(http_proxy="http://a:3142"), "bookworm", tmp_path / "root")
    assert '--aptopt=Acquire::http::Proxy "http://a:3142"' in argv
    assert argv[-5:] == ["bookworm", str(tmp_path / "root"), *lines(host().found)]


def test_a_release_is_made_by_the_shared_recipe_and_then_by_its_own(tmp_path):
    argv = rootfs.command(host(), "trixie", tmp_path / "root")
    assert argv[-5:] == ["trixie", str(tmp_path / "root"), *lines(host().found, "trixie")]
    hooks = [word for word in argv if word.startswith("--customize-hook=")]
    (own,) = releases.more("trixie")
    scripts = (own / "prepare.sh", releases.SHARED / "customize.sh", own / "customize.sh")
    assert hooks == [f'--customize-hook=sh {script} "$1"' for script in scripts]
    for script in scripts:
        subprocess.run(["sh", "-n", str(script)], check=True)
    (included,) = [word for word in argv if word.startswith("--include=")]
    assert included.endswith(",systemd-zram-generator")
