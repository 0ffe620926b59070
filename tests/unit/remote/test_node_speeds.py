"""Tokens per second of answers under way: by the steps of llama-server, or not told at all."""

import pytest

from bramble.remote.speeds import BUSY, DECODES, ENDED, PER_DECODE, PROMPT, Speeds


def told(decodes, busy=1, prompt=0, ended=0, per_decode=1):
    numbers = {DECODES: decodes, PER_DECODE: per_decode, PROMPT: prompt, ENDED: ended, BUSY: busy}
    # As a stream of C++ prints them.
    return {name: float(f"{value:.6g}") for name, value in numbers.items()}


def after(*looks, slots=1, guesses=False, every_s=5):
    """The speeds after these looks."""
    speeds = Speeds(slots, guesses)
    for number, look in enumerate(looks):
        speeds.add(100.0 + number * every_s, look)
    return speeds.tokens_per_s, speeds.prompt_per_s


def test_each_step_of_one_conversation_is_a_token():
    assert after(told(1000), told(1040)) == (8.0, 0.0)


def test_a_first_look_tells_no_speed():
    assert after(told(1000)) == (None, None)


def test_a_server_with_nothing_to_do_computes_nothing():
    assert after(told(1000, busy=0), told(1000, busy=0)) == (0.0, 0.0)


def test_while_a_prompt_is_read_its_own_speed_is_told_and_no_other():
    assert after(told(1000), told(1004, prompt=512)) == (None, 102.4)


def test_steps_before_a_prompt_count_for_no_answer_after_it():
    assert after(told(0), told(9, prompt=900), told(29, prompt=900)) == (4.0, 0.0)


def test_answers_that_ended_tell_their_own_speed():
    assert after(told(1000), told(1010, busy=0, prompt=8, ended=7.25)) == (7.25, 1.6)


def test_a_server_that_guesses_gives_more_tokens_than_steps_so_they_tell_nothing():
    assert after(told(1000), told(1040), guesses=True) == (None, 0.0)
    assert after(told(1000), told(1040, ended=11.5), guesses=True) == (11.5, 0.0)
    assert after(told(9, busy=0), told(9, busy=0), guesses=True) == (0.0, 0.0)


def test_steps_of_several_conversations_count_for_each():
    looks = told(1000, 2, per_decode=2), told(1040, 2, per_decode=2)
    assert after(*looks, slots=2)[0] == pytest.approx(16)


def test_several_conversations_of_different_speed_are_not_told_by_one_that_ended():
    looks = told(1000, 2, per_decode=2), told(1040, 2, per_decode=2, ended=3.0)
    assert after(*looks, slots=2)[0] == pytest.approx(16)


def test_a_counter_of_more_than_six_digits_is_told_over_a_longer_time():
    begin = 2_000_003
    looks = [told(begin + 40 * number) for number in range(13)]
    found = [after(*looks[:count])[0] for count in range(2, 14)]
    assert found[0] is None
    known = [one for one in found if one is not None]
    assert known
    assert all(one == pytest.approx(8, rel=0.25) for one in known)


def test_a_large_counter_of_an_idle_server_is_no_doubt():
    looks = told(2_000_003, busy=0), told(2_000_003, busy=0)
    assert after(*looks) == (0.0, 0.0)
    assert after(*looks, slots=4)[0] == 0.0


def test_a_server_that_was_started_again_begins_anew():
    assert after(told(1000), told(7)) == (None, None)
    assert after(told(1000), told(7), told(17)) == (2.0, 0.0)


def test_figures_that_are_not_told_give_no_speed_and_no_base():
    assert after(told(1000), {}) == (None, None)
    assert after(told(1000), {}, told(1040)) == (None, None)


def test_what_is_kept_is_a_minute():
    speeds = Speeds(1, False)
    for number in range(200):
        speeds.add(number, told(number))
    assert len(speeds.seen) <= 61
