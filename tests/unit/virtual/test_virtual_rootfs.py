"""Making the root file system: what is told meanwhile, and what a failure says."""

import re

import pytest

from bramble.virtual import VirtualPiError, rootfs


@pytest.fixture
def reported(monkeypatch):
    """The lines of progress; they come often, so that a test need not wait for long."""
    monkeypatch.setattr(rootfs, "REPORT_EVERY_S", 0.01)
    return []


def test_a_long_stage_is_told_again_with_the_time_that_it_takes(reported, tmp_path):
    """The command continues until it was reported again, ten seconds at most."""
    seen = tmp_path / "seen"

    def tell(line):
        reported.append(line)
        if "since the start" in line:
            seen.touch()

    wait = f"n=0; until [ -e {seen} ] || [ $n = 200 ]; do n=$((n+1)); sleep 0.05; done"
    script = f"echo 'I: installing packages...' >&2; echo noise >&2; {wait}"
    rootfs.run_mmdebstrap(["sh", "-c", script], str(tmp_path), tell)
    again = [line for line in reported if "since the start" in line]
    assert re.fullmatch(
        r"(I: installing packages\.\.\.|mmdebstrap begins) \(\d+ s since the start\)", again[0]
    )


def test_a_failure_is_told_with_its_last_lines(reported, tmp_path):
    script = "echo 'E: no such release' >&2; exit 3"
    with pytest.raises(
        VirtualPiError, match=r"(?s)ended with exit code 3,.*E: no such release.*apt-get update"
    ):
        rootfs.run_mmdebstrap(["sh", "-c", script], str(tmp_path), reported.append)
    assert "E: no such release" in reported
