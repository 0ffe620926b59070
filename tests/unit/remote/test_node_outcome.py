"""What a detached step tells the program that follows it."""

import pytest

from bramble.remote import outcome


def test_the_last_outcome_is_read_and_people_are_shown_none(capsys):
    outcome.tell(source="a")
    print("installed")
    outcome.tell(source="b", no_source=True)
    lines, fields = outcome.read(capsys.readouterr().out)
    assert (lines, fields) == ("installed", {"source": "b", "no_source": True})


@pytest.mark.parametrize("said", ["installed", "installed\n:= {", 'installed\n:= ["a"]'])
def test_without_an_outcome_that_can_be_read_there_are_no_fields(said):
    assert outcome.read(said) == ("installed", {})
