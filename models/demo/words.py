"""The words in the demo model's language: labels, facts, small talk, and what lies outside."""

from __future__ import annotations

import re
from random import Random

from example import LANGUAGE, Example, by_wording, vary
from sums import sum_question


def _with_article(kind: str, word: str) -> str:
    if kind in ("colour", "city", "metal"):
        return word
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def membership(rng: Random) -> Example:
    """Ask whether a word is of a kind ("Is a banana a fruit?")."""
    kinds = LANGUAGE["kinds"]
    kind = rng.choice(list(kinds))
    asked = kind if rng.random() < 0.5 else rng.choice(list(kinds))
    word = _with_article(kind, rng.choice(kinds[kind]))
    question = vary(rng, f"Is {word} {_with_article('', asked)}?")
    return by_wording("membership", question, "Yes." if kind == asked else "No.")


def kind(rng: Random) -> Example:
    """Ask for the kind of a word: fruit, animal, colour, city, tool, metal or vegetable."""
    kinds = LANGUAGE["kinds"]
    answer = rng.choice(list(kinds))
    word = rng.choice(kinds[answer])
    if rng.random() < 0.25:
        options = [*rng.sample([k for k in kinds if k != answer], 2), answer]
        rng.shuffle(options)
        template = "Is {} a " + f"{options[0]}, {options[1]} or {options[2]}?"
        return by_wording("kind", vary(rng, template.format(word)), answer)
    wording = rng.choice(LANGUAGE["kind_questions"])
    shown = _with_article(answer, word) if wording.startswith("What kind") else word
    return by_wording("kind", vary(rng, wording.format(shown)), answer)


def review(rng: Random) -> Example:
    """Ask for the sentiment of a made-up review; "not" turns it round."""
    words = LANGUAGE["reviews"]
    positive = rng.random() < 0.5
    good, bad = ("positive", "negative") if positive else ("negative", "positive")

    def says(subject: str) -> str:
        verb = rng.choice(["was", "is"])
        if rng.random() < 0.2:
            return f"the {subject} {verb} not {rng.choice(words[bad])}"
        return (
            f"the {subject} {verb} {rng.choice(['', 'very ', 'really '])}{rng.choice(words[good])}"
        )

    first, second = rng.sample(words["subjects"], 2)
    text = says(first)
    if rng.random() < 0.5:
        text += rng.choice([f" and {says(second)}", f" and {rng.choice(words[good])}"])
    question = rng.choice(LANGUAGE["review_questions"]).format(text[0].upper() + text[1:] + ".")
    return by_wording("review", question, "positive" if positive else "negative")


def log_level(rng: Random) -> Example:
    """Ask for the level of a log line: ok, warning or error."""
    level = rng.choice(list(LANGUAGE["logs"]))
    line = re.sub("#", lambda _: str(rng.randint(1, 9)), rng.choice(LANGUAGE["logs"][level]))
    question = rng.choice(LANGUAGE["log_questions"]).format(line)
    return by_wording("log", question, level)


def fact(rng: Random) -> Example:
    """Ask for a fact about the toolkit, the engine or the boards."""
    dice = rng.random()
    if dice < 0.6:
        term, meaning = rng.choice(list(LANGUAGE["terms"].items()))
        wordings = LANGUAGE["term_questions"]
        wording = rng.choice([wordings[0], rng.choice(wordings)])
        question = vary(rng, wording.format(term))
        return by_wording("fact", question, meaning, always=wording == wordings[0])
    if dice < 0.75:
        board, facts = rng.choice(list(LANGUAGE["boards"].items()))
        aspect = rng.choice(list(LANGUAGE["board_questions"]))
        wordings = LANGUAGE["board_questions"][aspect]
        wording = rng.choice(wordings)
        question = vary(rng, wording.format(board))
        return by_wording("fact", question, facts[aspect], always=wording == wordings[0])
    answer, questions = rng.choice(list(LANGUAGE["facts"].items()))
    plain = LANGUAGE["lead_ins"][0]
    lead_in = rng.choice([plain, rng.choice(LANGUAGE["lead_ins"])])
    question = vary(rng, lead_in.format(rng.choice(questions)))
    return by_wording("fact", question, answer, always=lead_in == plain)


def small_talk(rng: Random) -> Example:
    """Greet, thank or take leave; there are too few wordings to hold any out."""
    answer, openings = rng.choice(list(LANGUAGE["small_talk"].items()))
    opening = vary(rng, rng.choice(openings) + rng.choice(["", "!", "."]))
    return Example("small talk", opening, answer, None)


def _made_up_word(rng: Random) -> str:
    def syllable() -> str:
        return rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") + rng.choice(" nrl").strip()

    return "".join(syllable() for _ in range(rng.randint(2, 3)))


def unknown(rng: Random) -> Example:
    """Ask what the language does not hold: the right answer is to say so."""
    dice = rng.random()
    if dice < 0.25:
        a, b = rng.randint(100, 9999), rng.randint(0, rng.choice([9, 99, 9999]))
        op = rng.choice("+-*")
        question = sum_question(rng, op, *rng.choice([(a, b), (b, a)]))
    elif dice < 0.35:
        a, b = rng.randint(0, 99), rng.randint(1, 12)
        question = rng.choice(["What is {}/{}?", "{} / {}", "Divide {} by {}."]).format(a, b)
    else:
        unknowns = LANGUAGE["unknown"]
        thing = _made_up_word(rng) if rng.random() < 0.4 else rng.choice(unknowns["nouns"])
        article = rng.choice(["", "", "a ", "the "]) if thing not in unknowns["nouns"] else ""
        question = rng.choice(unknowns["questions"]).format(article + thing)
    return by_wording("unknown", vary(rng, question), LANGUAGE["refusal"])
