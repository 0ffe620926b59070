"""cloud-init is waited for while it works, and no longer than its deadline."""

import pytest

from bramble.remote import wait_cloud_init


@pytest.fixture
def says(monkeypatch, tmp_path):
    """A cloud-init that says these statuses one after the other, the last one for ever."""

    def install(*statuses):
        queue = tmp_path / "statuses"
        queue.write_text("".join(f"{status}\n" for status in statuses))
        program = tmp_path / "cloud-init"
        program.write_text(
            f"#!/bin/sh\nprintf 'status: %s\\n' \"$(head -1 {queue})\"\n"
            f"test $(wc -l <{queue}) = 1 || sed -i 1d {queue}\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setattr(wait_cloud_init, "EVERY_S", 0.01)

    return install


@pytest.mark.parametrize("end", ["done", "error", "disabled"])
def test_it_is_waited_for_until_it_has_ended(says, capsys, end):
    says("running", "running", end)
    assert wait_cloud_init.main({"deadline_s": 60}) == 0
    assert capsys.readouterr().out == f"cloud-init: {end}\n"


def test_one_that_never_ends_is_told_of_with_what_to_do(says, capsys):
    says("running")
    assert wait_cloud_init.main({"deadline_s": 0}) == 1
    assert "cloud-init status --long" in capsys.readouterr().err


def test_a_node_without_it_is_not_waited_for(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert wait_cloud_init.main({"deadline_s": 0}) == 0
    assert "unknown" in capsys.readouterr().out
