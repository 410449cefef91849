"""Made-up words and codes: pronounceable names nobody has seen, strings of signs."""

from __future__ import annotations

import random

_ONSETS = (
    "b",
    "br",
    "c",
    "ch",
    "cl",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "qu",
    "r",
    "s",
    "sh",
    "sk",
    "st",
    "t",
    "th",
    "tr",
    "v",
    "w",
    "y",
    "z",
    "",
    "",
)
_VOWELS = ("a", "e", "i", "o", "u", "a", "e", "o", "ai", "ee", "ia", "oo", "ou", "y")
_MIDDLES = (
    "b",
    "bb",
    "d",
    "dr",
    "g",
    "k",
    "l",
    "ll",
    "lm",
    "ld",
    "m",
    "mb",
    "n",
    "nd",
    "nt",
    "p",
    "pp",
    "r",
    "rr",
    "rv",
    "rn",
    "rk",
    "s",
    "st",
    "t",
    "tt",
    "v",
    "z",
    "sk",
    "vr",
    "zz",
    "x",
)
_CODAS = (
    "",
    "",
    "",
    "",
    "n",
    "r",
    "l",
    "s",
    "k",
    "x",
    "m",
    "th",
    "rd",
    "lt",
    "ne",
    "sh",
    "ck",
    "nd",
)
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_SMALL = "abcdefghjkmnpqrstuvwxyz"


def word(rng: random.Random, syllables: int | None = None) -> str:
    """A pronounceable lower-case word of 3 to 11 letters."""
    choice = rng.choice
    count = syllables or (2 if rng.random() < 0.6 else 3)
    text = choice(_ONSETS) + choice(_VOWELS)
    for _ in range(count - 1):
        text += choice(_MIDDLES) + choice(_VOWELS)
    text += choice(_CODAS)
    return text[:11] if len(text) > 2 else text + "na"


def name(rng: random.Random, syllables: int | None = None) -> str:
    """A made-up name: a capitalised `word`."""
    return word(rng, syllables).capitalize()


def letters(rng: random.Random, count: int) -> str:
    """`count` capital letters, without I and O that read as digits."""
    return "".join(rng.choice(_LETTERS) for _ in range(count))


def digits(rng: random.Random, count: int) -> str:
    """`count` digits, the first of them not zero."""
    return str(rng.randrange(10 ** (count - 1), 10**count))


def password(rng: random.Random) -> str:
    """Words and digits, or a jumble, as people set passwords."""
    pick = rng.randrange(5)
    if pick == 0:
        return f"{word(rng, 2)}-{digits(rng, 2)}"
    if pick == 1:
        return f"{word(rng)}{digits(rng, rng.randint(2, 4))}"
    if pick == 2:
        return "".join(rng.choice(_LETTERS + _SMALL + "23456789") for _ in range(8))
    if pick == 3:
        return f"{word(rng, 2)}-{word(rng, 2)}-{digits(rng, 2)}"
    return f"{name(rng, 2)}{digits(rng, 3)}"


def code(rng: random.Random) -> str:
    """A short code such as "4471", "X7-QK42" or "B203"."""
    pick = rng.randrange(6)
    if pick < 2:
        return digits(rng, 4)
    if pick == 2:
        return digits(rng, rng.choice((3, 5, 6)))
    if pick == 3:
        return f"{letters(rng, 1)}{digits(rng, 1)}-{letters(rng, 2)}{digits(rng, 2)}"
    if pick == 4:
        return letters(rng, rng.randint(1, 2)) + digits(rng, 3)
    return f"{digits(rng, 2)}-{digits(rng, 2)}-{digits(rng, 2)}"
