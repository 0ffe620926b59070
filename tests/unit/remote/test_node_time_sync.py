"""What is reported the clock without timedated; on nodes it is compared with timedatectl itself."""

import pytest

from bramble.remote import time_sync

UNITS = """\
LoadState=not-found
ActiveState=inactive

LoadState=loaded
ActiveState={}
"""


@pytest.fixture
def node(tmp_path, monkeypatch):
    """Folders of lists for timedated, a systemctl that says of units what a test wants, and a zone."""
    for folder, name, text in (
        ("etc", "50-chrony", "# NTP\nchrony.service\n\n"),
        ("lib", "80-systemd-timesync", "chrony.service\nsystemd-timesyncd.service\n"),
    ):
        path = tmp_path / folder / "systemd" / "ntp-units.d" / f"{name}.list"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    (tmp_path / "zoneinfo" / "Europe").mkdir(parents=True)
    (tmp_path / "zoneinfo" / "Europe" / "Vienna").touch()
    (tmp_path / "localtime").symlink_to(tmp_path / "zoneinfo" / "Europe" / "Vienna")
    monkeypatch.setattr(time_sync, "FOLDERS", [str(tmp_path / name) for name in ("etc", "lib")])
    monkeypatch.setattr(time_sync, "LOCALTIME", str(tmp_path / "localtime"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def systemd_says(text, code=0):
        program = tmp_path / "systemctl"
        program.write_text(
            f"#!/bin/sh\necho \"$*\" > {tmp_path}/asked\nprintf '%s' '{text}'\nexit {code}\n"
        )
        program.chmod(0o755)

    systemd_says(UNITS.format("active"))
    return tmp_path, systemd_says


def test_each_service_that_a_package_lists_is_asked_for_once(node):
    folder, _ = node
    assert time_sync.services() == ["chrony.service", "systemd-timesyncd.service"]
    time_sync.look()
    asked = (folder / "asked").read_text()
    assert asked.endswith(" -- chrony.service systemd-timesyncd.service\n")


@pytest.mark.parametrize(
    ("state", "runs"),
    [("active", "yes"), ("activating", "yes"), ("inactive", "no"), ("failed", "no")],
)
def test_ntp_is_on_where_one_of_them_runs(node, state, runs):
    _, systemd_says = node
    systemd_says(UNITS.format(state))
    found = time_sync.look()
    assert (found["CanNTP"], found["NTP"]) == ("yes", runs)
    assert found["NTPSynchronized"] in ("yes", "no")
    assert found["Timezone"] == "Europe/Vienna"


def test_without_a_service_there_is_no_ntp_and_systemd_is_not_asked(node):
    folder, systemd_says = node
    systemd_says("", code=1)
    for path in folder.glob("*/systemd/ntp-units.d/*.list"):
        path.write_text("# none\n")
    found = time_sync.look()
    assert (found["CanNTP"], found["NTP"]) == ("no", "no")


@pytest.mark.parametrize(
    ("reported", "error_us", "is_set"), [(0, 500, True), (0, 16_000_000, False), (-1, 0, False)]
)
def test_the_kernel_says_whether_its_clock_is_set(monkeypatch, reported, error_us, is_set):
    class Kernel:
        @staticmethod
        def adjtimex(timex):
            timex[time_sync.MAX_ERROR_AT] = error_us
            return reported

    monkeypatch.setattr(time_sync.ctypes, "CDLL", lambda *_a, **_k: Kernel)
    assert time_sync.synchronised() is is_set


def test_a_systemd_that_fails_raises(node):
    _, systemd_says = node
    systemd_says("", code=1)
    with pytest.raises(time_sync.subprocess.CalledProcessError):
        time_sync.look()
