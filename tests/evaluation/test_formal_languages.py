"""The languages are what they are called, and what may follow is right."""

import random
import re
from dataclasses import replace

import pytest
import torch

from nestling.evaluation import formal_languages
from nestling.evaluation.formal_languages import (
    BINS,
    END,
    LANGUAGES,
    Course,
    draw_strings,
    measure_formal_languages,
    read_strings,
)

torch.set_num_threads(1)

TINY = Course(width=16, layers=1, steps=2, batch=2, strings=4)


def is_shuffle(text):
    for pair in ("()", "[]"):
        depth = 0
        for symbol in text:
            depth += {pair[0]: 1, pair[1]: -1}.get(symbol, 0)
            if depth < 0:
                return False
        if depth:
            return False
    return True


MEMBERS = {
    "parity": lambda text: text.count("1") % 2 == 0,
    "(aa)*": lambda text: len(text) % 2 == 0,
    "(abab)*": lambda text: re.fullmatch("(abab)*", text),
    "a^n b^n": lambda text: text == "a" * (len(text) // 2) + "b" * (len(text) // 2),
    "a^n b^n c^n": lambda text: text == "".join(s * (len(text) // 3) for s in "abc"),
    "shuffle-2": is_shuffle,
}


@pytest.mark.parametrize("name", list(LANGUAGES))
@pytest.mark.parametrize("place", list(BINS))
def test_drawn_strings_are_of_the_language_and_of_the_bin(name, place):
    rng, (low, high) = random.Random(0), BINS[place]
    drawn = [LANGUAGES[name].draw(rng, low, high) for _ in range(200)]
    assert all(MEMBERS[name](text) for text in drawn)
    assert all(low <= len(text) <= high for text in drawn)
    assert len(set(drawn)) > 10


@pytest.mark.parametrize("name", list(LANGUAGES))
def test_what_may_follow_is_what_some_string_of_the_language_has_there(name):
    """Against the language itself: all of its short strings."""
    language, member = LANGUAGES[name], MEMBERS[name]
    texts = [""]
    for text in texts:
        if len(text) < (9 if len(language.symbols) < 4 else 6):
            texts += [text + symbol for symbol in language.symbols]
    words = [text for text in texts if member(text) and text]
    if name in ("parity", "(aa)*", "(abab)*", "shuffle-2"):
        words.append("")
    follows = {}
    for word in words:
        for end in range(len(word)):
            follows.setdefault(word[:end], set()).add(word[end])
        follows.setdefault(word, set()).add(END)
    for prefix, allowed in follows.items():
        # Longer prefixes may go on in strings that are too long to be listed here.
        if len(prefix) <= 2:
            assert set(language.follow(prefix)) == allowed, prefix


def test_a_string_is_right_when_every_step_is():
    language = LANGUAGES["parity"]
    strings = draw_strings(language, random.Random(0), "short", 4)

    class Answers:
        def __init__(self, logits):
            self.logits = logits

    perfect = strings.follow * 2 - 1
    loss, right = read_strings(lambda ids, mask: Answers(perfect), strings)
    assert right.all() and loss < 0.4
    perfect[2, 0] *= -1
    assert read_strings(lambda ids, mask: Answers(perfect), strings)[1].tolist() == [
        True,
        True,
        False,
        True,
    ]


def test_padding_is_not_asked():
    language = LANGUAGES["(aa)*"]
    strings = draw_strings(language, random.Random(0), "short", 8)
    model = TINY.model("delta_net", language, 0)
    one = read_strings(model, strings)
    other = replace(strings, follow=strings.follow.where(strings.mask[..., None], 1.0))
    assert torch.equal(one[0], read_strings(model, other)[0])


def test_training_settles_and_ends_when_all_is_right(monkeypatch):
    language = LANGUAGES["(aa)*"]
    model = TINY.model("hope", language, 0)

    def always_right(model, strings):
        return model.embedding.weight.sum(), torch.ones(2, dtype=torch.bool)

    monkeypatch.setattr(formal_languages, "read_strings", always_right)
    course = replace(TINY, steps=50, patience=3, settle=5)
    assert formal_languages.train(model, language, course, 0, lambda line: None) == 8


def test_hope_learns_a_parity_of_short_strings(monkeypatch):
    """An eigenvalue of -1 is within reach of its rate."""
    monkeypatch.setitem(BINS, "short", (2, 10))
    language = LANGUAGES["(aa)*"]
    course = replace(TINY, width=32, steps=120, batch=16, strings=50, learning_rate=1e-2)
    model = course.model("hope", language, 0)
    formal_languages.train(model, language, course, 0, lambda line: None)
    assert formal_languages.accuracy(model, language, "short", course, 0) == 1.0


def test_a_benchmark_goes_on_where_it_was_stopped(tmp_path):
    def rows():
        return list(
            measure_formal_languages(
                models=["hope", "retention"],
                languages=["a^n b^n"],
                seeds=[0, 1],
                course=TINY,
                run_file=tmp_path / "runs.jsonl",
            )
        )

    first = rows()
    assert len(first) == 2 * 2 * len(BINS)
    assert {row["bin"] for row in first} == set(BINS)
    assert rows() == first
