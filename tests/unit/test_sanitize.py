"""What strangers say cannot move the terminal's cursor, wherever it is shown."""

from bramble.remote import progress
from bramble.sanitize import sanitize, sentence

STRANGE = "bad\x1b]0;x\x07\x1b[2J\r\n"


def test_what_is_not_printed_is_a_question_mark():
    assert sanitize("4 °C, ok") == "4 °C, ok"
    assert sanitize(STRANGE) == "bad?]0;x??[2J??"
    assert sanitize(STRANGE, "\n") == "bad?]0;x??[2J?\n"


def test_a_sentence_does_not_fill_the_screen():
    assert len(sentence("x" * 10_000)) == 1000


def test_a_node_passes_on_no_more_of_what_a_server_says(capsys):
    progress.say(STRANGE)
    assert capsys.readouterr().out == ":: bad?]0;x??[2J??\n"
