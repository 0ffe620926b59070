"""The programs that take files away and that tell systemd what to do."""

from types import SimpleNamespace

import pytest

from bramble.remote import remove_files, systemd

NOTHING = {
    **{verb: [] for verb in (*systemd.BEFORE, *systemd.AFTER)},
    "reload": False,
}


def test_files_and_links_are_removed_and_what_is_gone_is_fine(tmp_path):
    file, link, gone = (tmp_path / name for name in ("file", "link", "gone"))
    file.write_text("x")
    link.symlink_to("file")
    assert remove_files.main({"paths": [str(file), str(link), str(gone)]}) == 0
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_removed_when_one_of_them_is_not_ours(tmp_path, capsys):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("x")
    folder.mkdir()
    assert remove_files.main({"paths": [str(file), str(folder)]}) == 1
    assert f"{folder} is neither a plain file nor a link" in capsys.readouterr().err
    assert file.exists()


@pytest.fixture
def reported(monkeypatch):
    """What systemctl is told; the words that fail."""
    made = SimpleNamespace(orders=[], failing=None)

    def run(argv, **options):
        if argv[0] == "journalctl":
            return SimpleNamespace(stdout=f"no such disk for {' '.join(argv[1:-5])}\n")
        if argv[1] == "list-dependencies":
            return SimpleNamespace(stdout="a\n  below.service\n  well.service\n")
        if argv[1] == "list-units":
            assert argv[3:6] == ["a", "below.service", "well.service"]
            return SimpleNamespace(stdout="below.service loaded failed failed Below\n")
        words = " ".join(argv[1:])
        made.orders.append(words)
        failed = words == made.failing
        return SimpleNamespace(returncode=int(failed), stderr="it would not\n" if failed else "")

    monkeypatch.setattr(systemd.subprocess, "run", run)
    return made


def test_what_ends_comes_before_the_reload_and_what_begins_after_it(reported):
    query = {"start": ["c"], "stop": ["a", "b"], "enable": ["c"], "mask": ["a"], "restart": ["d"]}
    assert systemd.main(NOTHING | query | {"reload": True}) == 0
    assert reported.orders == [
        *("stop a b", "mask a", "daemon-reload"),
        *("enable c", "start c", "restart d"),
    ]


def test_what_is_not_asked_is_not_done(reported):
    assert systemd.main(NOTHING) == 0
    assert reported.orders == []


@pytest.mark.parametrize(
    ("failing", "query", "said"),
    [
        ("stop a", {"stop": ["a"], "start": ["b"]}, "systemctl stop a: it would not"),
        ("daemon-reload", {"reload": True, "start": ["b"]}, "daemon-reload: it would not"),
        ("start a", {"start": ["a", "b"]}, "systemctl start a: it would not\nno such disk for"),
    ],
)
def test_the_first_failure_ends_it_with_systemds_words(reported, capsys, failing, query, said):
    reported.failing = failing
    assert systemd.main(NOTHING | query) == 1
    assert reported.orders[-1] == failing
    assert said in capsys.readouterr().err


def test_what_a_unit_that_does_not_start_depends_on_is_heard_too(reported, capsys):
    reported.failing = "start a"
    assert systemd.main(NOTHING | {"start": ["a"]}) == 1
    assert "no such disk for -u below.service -u a\n" in capsys.readouterr().err
