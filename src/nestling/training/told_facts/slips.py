"""Slips of everyday typing and speech: fillers, small words left out, letters swapped.

They are drawn in training only, so that restating leans on the whole sentence and not on one word.
"""

from __future__ import annotations

import random

_FILLERS = (
    "um,",
    "uh,",
    "well,",
    "actually",
    "really",
    "like,",
    "basically",
    "just",
    "indeed",
    "still",
    "honestly,",
    "currently",
    "these days",
    "as it were,",
    "I think",
    "of course",
    "obviously",
    "probably",
    "so to speak,",
    "in fact",
)
_SMALL_WORDS = frozenset(
    ("a", "an", "the", "is", "are", "am", "was", "of", "to", "in", "at", "on", "by", "for", "and")
    + ("that", "it", "its", "as", "so", "has", "have", "do", "does", "did")
)


def slip(rng: random.Random, template: str) -> str:
    """`template` with one slip; words that hold a slot ("{v}") are never touched."""
    words = template.split(" ")
    plain = [i for i, word in enumerate(words) if "{" not in word]
    kind = rng.random()
    if kind < 0.45 and len(words) > 2:
        words.insert(rng.randrange(1, len(words)), rng.choice(_FILLERS))
        return " ".join(words)
    if kind < 0.7:
        small = [i for i in plain if words[i] in _SMALL_WORDS]
        if small and len(words) > 3:
            del words[rng.choice(small)]
            return " ".join(words)
    long = [i for i in plain if len(words[i]) > 3 and words[i].isalpha()]
    if long:
        place = rng.choice(long)
        words[place] = _mistyped(rng, words[place])
    return " ".join(words)


def _mistyped(rng: random.Random, word: str) -> str:
    """Two letters swapped, one left out or one doubled; the first letter stays."""
    at = rng.randrange(1, len(word) - 1)
    kind = rng.random()
    if kind < 0.4:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind < 0.75:
        return word[:at] + word[at + 1 :]
    return word[: at + 1] + word[at:]
