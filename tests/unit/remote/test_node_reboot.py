"""Asking for a reboot: only where one is needed, and not under somebody's work."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from bramble.remote import reboot


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What systemd was asked for."""
    calls = []

    def run(argv, **options):
        calls.append(argv)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(reboot.subprocess, "run", run)
    monkeypatch.setattr(reboot, "UNDER_WAY", str(tmp_path / "bramble-*.service"))
    return calls


def test_a_reboot_comes_a_moment_later_and_names_the_boot_that_ends(asked, capfd):
    assert reboot.main({"always": True, "when": []}) == 0
    assert json.loads(capfd.readouterr().out) == {"rebooting": True, "boot_id": reboot.boot_id()}
    (argv,) = asked
    assert "--on-active=1" in argv
    assert argv[-3:] == ("systemctl", "--no-block", "reboot")


def test_a_stamp_is_enough(asked, tmp_path):
    stamp = tmp_path / "stamp"
    stamp.touch()
    assert reboot.main({"always": False, "when": [str(tmp_path / "none"), str(stamp)]}) == 0
    assert len(asked) == 1


def test_nothing_left_to_reboot_for_is_no_reboot(asked, tmp_path, capfd):
    assert reboot.main({"always": False, "when": [str(tmp_path / "none")]}) == 0
    assert json.loads(capfd.readouterr().out)["rebooting"] is False
    assert asked == []


def test_work_that_is_under_way_is_not_cut_short(asked, tmp_path, capfd):
    (tmp_path / "bramble-build-engine-abc.service").touch()
    assert reboot.main({"always": True, "when": []}) == 1
    assert asked == []
    assert "bramble-build-engine-abc.service must end first" in capfd.readouterr().err


def test_what_passes_a_model_on_after_a_run_that_was_killed_is_nobody_s_work(
    asked, tmp_path, capfd
):
    (tmp_path / "bramble-pass-on-abc.service").touch()
    assert reboot.main({"always": True, "when": []}) == 0
    assert len(asked) == 1
    (tmp_path / "bramble-fetch-model-abc.service").touch()
    assert reboot.main({"always": True, "when": []}) == 1
    assert capfd.readouterr().err.startswith("bramble-fetch-model-abc.service must end first")


def test_a_systemd_that_refuses_is_said(asked, monkeypatch, capfd):
    def run(argv, **options):
        raise subprocess.CalledProcessError(1, argv, stderr="inhibited\n")

    monkeypatch.setattr(reboot.subprocess, "run", run)
    assert reboot.main({"always": True, "when": []}) == 1
    assert "inhibited" in capfd.readouterr().err
