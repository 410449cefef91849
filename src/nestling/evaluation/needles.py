"""Needles in real books, after RULER (Hsieh et al. 2024; NL §6.3): words for made-up names.

| kind        | hidden                               | asked            |
|-------------|--------------------------------------|------------------|
| single      | one name with its word               | the word         |
| multi-key   | four names, each with a word         | one of them      |
| multi-query | four names, each with a word         | all of them      |
| multi-value | one name with four words             | all its words    |

As in RULER the question is the beginning of its answer. Several words of one name are asked in the
order in which they stand. Names and words are made up and few enough to be a token each, so that
models of this size learn the task at all.
"""

from __future__ import annotations

import random

from nestling.evaluation.haystack import Draw, Puzzle

MANY = 4
_CONSONANTS, _VOWELS, _SYLLABLES, _COUNT = "bdfgklmnprstvz", "aeiou", 3, 256


def _make_up(count: int) -> tuple[str, ...]:
    """The same made-up words always, such as "kolira"."""
    rng, words = random.Random("needles"), dict[str, None]()
    while len(words) < count:
        syllables = (rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(_SYLLABLES))
        words["".join(syllables)] = None
    return tuple(words)


MADE_UP = _make_up(_COUNT)
NAMES, WORDS = MADE_UP[: _COUNT // 2], MADE_UP[_COUNT // 2 :]


def _told(name: str, word: str) -> str:
    return f"The word for {name} is {word}."


def _question(name: str) -> str:
    return f"The word for {name} is"


def _pairs(hidden: int, asked: int) -> Draw:
    """`hidden` names with a word each; `asked` of them are asked."""

    def draw(rng: random.Random) -> Puzzle:
        words = {name: rng.choice(WORDS) for name in rng.sample(NAMES, hidden)}
        return Puzzle(
            tuple(_told(name, word) for name, word in words.items()),
            tuple((_question(name), (words[name],)) for name in rng.sample(list(words), asked)),
        )

    return draw


def _values(count: int) -> Draw:
    """One name with `count` words, all of them asked."""

    def draw(rng: random.Random) -> Puzzle:
        name, words = rng.choice(NAMES), tuple(rng.sample(WORDS, count))
        return Puzzle(tuple(_told(name, word) for word in words), ((_question(name), words),))

    return draw


NEEDLES: dict[str, Draw] = {
    "single": _pairs(1, 1),
    "multi-key": _pairs(MANY, 1),
    "multi-query": _pairs(MANY, MANY),
    "multi-value": _values(MANY),
}
