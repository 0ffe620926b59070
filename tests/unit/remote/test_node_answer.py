"""What a program answers is the JSON on its last line."""

import pytest

from bramble.remote import answer


def test_a_shells_own_words_before_the_answer_are_passed_over():
    assert answer('Welcome to pi5-a!\n{"a": 1}\n') == {"a": 1}


@pytest.mark.parametrize("output", ["", "command not found", '{"a":'])
def test_what_is_no_json_is_an_error(output):
    with pytest.raises(ValueError, match="Expecting"):
        answer(output)
