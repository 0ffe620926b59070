"""Making the root file system: what is told meanwhile, and what a failure says."""

import pytest

from bramble.virtual import VirtualPiError, rootfs


@pytest.fixture
def told(monkeypatch):
    """The lines of progress; they come often, so that a test need not wait for long."""
    monkeypatch.setattr(rootfs, "TELL_EVERY_S", 0.01)
    return []


def test_a_long_stage_is_told_again_with_the_time_that_it_takes(told, tmp_path):
    script = "echo 'I: installing packages...' >&2; echo noise >&2; sleep 0.3"
    rootfs.run_mmdebstrap(["sh", "-c", script], str(tmp_path), told.append)
    assert told[0] == "I: installing packages..."
    assert "I: installing packages... (0 s since the start)" in told[1:]


def test_a_failure_is_told_with_its_last_lines(told, tmp_path):
    script = "echo 'E: no such release' >&2; exit 3"
    with pytest.raises(VirtualPiError, match=r"(?s)exit 3\).*E: no such release.*apt-get update"):
        rootfs.run_mmdebstrap(["sh", "-c", script], str(tmp_path), told.append)
    assert "E: no such release" in told
