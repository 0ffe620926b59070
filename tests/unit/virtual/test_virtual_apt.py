"""The host's apt configuration as virtual Pis take it."""

import pytest

from bramble.virtual import apt, proxy, rootfs
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


def lines(found):
    return [source.line for source in apt.bookworm_sources(found)]


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
    other = ONE_LINE.replace("bookworm", "trixie")
    assert lines(apt.parse_one_line(other)) == lines(apt.parse_one_line(ONE_LINE))


def test_a_bookworm_entry_beats_one_of_another_release():
    both = "deb http://new.example/debian trixie main\ndeb http://old.example/debian bookworm main"
    assert lines(apt.parse_one_line(both))[0] == "deb http://old.example/debian bookworm main"


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
    sources = apt.bookworm_sources(apt.parse_one_line(ONE_LINE))
    return apt.AptHost(
        **{"sources": sources, "http_proxy": None, "https_proxy": None, "options": (), **more}
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
    key = rootfs.cache_key(host(), tmp_path)
    assert key == rootfs.cache_key(host(), tmp_path)
    assert key != rootfs.cache_key(host(sources=host().sources[:1]), tmp_path)
    assert key != rootfs.cache_key(host(options=(("Acquire::Check-Date", "false"),)), tmp_path)
    # A proxy is a way and not an ingredient.
    assert key == rootfs.cache_key(host(http_proxy="http://a:3142"), tmp_path)
    (tmp_path / "files" / "a").write_text("2")
    assert key != rootfs.cache_key(host(), tmp_path)


def test_the_rootfs_lacks_what_the_real_image_lacks(tmp_path):
    absent = {"git", "cmake", "ninja-build", "ccache", "log2ram", "zram-tools"}
    assert not absent & set(rootfs.packages())
    argv = rootfs.command(host(http_proxy="http://a:3142"), tmp_path / "root")
    assert '--aptopt=Acquire::http::Proxy "http://a:3142"' in argv
    assert argv[-3:] == [source.line for source in host().sources]
