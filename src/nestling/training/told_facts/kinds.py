"""All kinds of values by name, and values of no certain kind."""

from __future__ import annotations

import random

from nestling.training.told_facts.everyday_values import EVERYDAY_KINDS
from nestling.training.told_facts.values import KINDS

ALL_KINDS = KINDS | EVERYDAY_KINDS
_KIND_NAMES = tuple(ALL_KINDS)


def any_value(rng: random.Random) -> str:
    """A value of any kind."""
    return ALL_KINDS[rng.choice(_KIND_NAMES)](rng)


def odd_value(rng: random.Random) -> str:
    """A value of any kind, or one put together from the words of two."""
    one, other = (any_value(rng) for _ in range(2))
    pick, first, last = rng.random(), one.split(" ")[0], other.split(" ")[-1]
    if pick < 0.4:
        return one
    if pick < 0.6:
        return f"{first} {last}"
    if pick < 0.8:
        return f"{first} and {last}"
    return f"the {one.split(' ')[-1]} {rng.choice(('of', 'before', 'in', 'for'))} {last}"
