"""Needles in real books, after RULER (Hsieh et al. 2024; NL §6.3): numbers of made-up names.

| kind        | hidden                               | asked            |
|-------------|--------------------------------------|------------------|
| single      | one name with its number             | the number       |
| multi-key   | four names, each with a number       | one of them      |
| multi-query | four names, each with a number       | all of them      |
| multi-value | one name with four numbers           | all its numbers  |

As in RULER the question is followed by the beginning of its answer. Several numbers of one name are
asked in the order in which they stand.
"""

from __future__ import annotations

import random

from nestling.evaluation.haystack import Draw, Puzzle

MANY = 4
_CONSONANTS, _VOWELS, _SYLLABLES = "bdfgklmnprstvz", "aeiou", 3


def draw_name(rng: random.Random) -> str:
    """A made-up name, such as "kolira"."""
    return "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(_SYLLABLES))


def _number(rng: random.Random) -> str:
    return f"{rng.randrange(10_000):04d}"


def _told(name: str, number: str) -> str:
    return f"The number of {name} is {number}."


def _question(name: str) -> str:
    return f"What is the number of {name}? The number of {name} is"


def _names(count: int, rng: random.Random) -> list[str]:
    names: dict[str, None] = {}
    while len(names) < count:
        names[draw_name(rng)] = None
    return list(names)


def _pairs(hidden: int, asked: int) -> Draw:
    """`hidden` names with a number each; `asked` of them are asked."""

    def draw(rng: random.Random) -> Puzzle:
        numbers = {name: _number(rng) for name in _names(hidden, rng)}
        questions = rng.sample(sorted(numbers), asked)
        return Puzzle(
            tuple(_told(name, number) for name, number in numbers.items()),
            tuple((_question(name), (numbers[name],)) for name in questions),
        )

    return draw


def _values(count: int) -> Draw:
    """One name with `count` numbers, all of them asked."""

    def draw(rng: random.Random) -> Puzzle:
        name = draw_name(rng)
        numbers = tuple(f"{number:04d}" for number in rng.sample(range(10_000), count))
        return Puzzle(
            tuple(_told(name, number) for number in numbers),
            ((f"What are the numbers of {name}? The number of {name} is", numbers),),
        )

    return draw


NEEDLES: dict[str, Draw] = {
    "single": _pairs(1, 1),
    "multi-key": _pairs(MANY, 1),
    "multi-query": _pairs(MANY, MANY),
    "multi-value": _values(MANY),
}
