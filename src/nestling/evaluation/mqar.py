"""Multi-query associative recall (Arora et al. 2024): how many pairs does a mixer hold?

Pairs of a key and a value, then the keys again, at places that become rarer with distance; at each
its value is asked. Every key stands in a sequence once before it is asked.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from nestling.evaluation.sequence_tasks import IGNORED, Course, Task

VOCABULARY = 256
# How strongly queries are drawn to the place right behind the pairs.
NEARNESS = 0.1


def draw_mqar(
    count: int, generator: torch.Generator, *, pairs: int, length: int, vocabulary: int = VOCABULARY
) -> tuple[Tensor, Tensor]:
    """`pairs` pairs, then as many queries among random tokens: ids and targets [count, length].

    Raises:
        ValueError: pairs and queries do not fit the length, or the keys the vocabulary.
    """
    half, room = vocabulary // 2, (length - 2 * pairs) // 2
    if room < pairs or pairs > half:
        raise ValueError(
            f"{pairs} pairs need a length of {4 * pairs} and a vocabulary of {2 * pairs}, "
            f"got {length} and {vocabulary}"
        )
    keys = torch.rand(count, half, generator=generator).topk(pairs, -1).indices
    values = torch.randint(half, vocabulary, (count, pairs), generator=generator)
    ids = torch.randint(vocabulary, (count, length), generator=generator)
    # Among the queries stand values alone, so that no key comes back but those that are asked.
    ids[:, 2 * pairs :] = ids[:, 2 * pairs :] % (vocabulary - half) + half
    ids[:, 0 : 2 * pairs : 2], ids[:, 1 : 2 * pairs : 2] = keys, values
    weight = torch.arange(1, room + 1) ** (NEARNESS - 1.0)
    slots = torch.multinomial(weight.expand(count, -1), pairs, generator=generator)
    places = 2 * pairs + 2 * slots
    targets = torch.full_like(ids, IGNORED)
    return ids.scatter(1, places, keys), targets.scatter(1, places, values)


# Pairs and length of the sequences, from short ones to those that fill a memory, and how often each
# is trained on: what is learned on short ones serves the long ones, which cost most.
SIZES = ((4, 64), (8, 64), (16, 128), (32, 256))
OFTEN = (0.3, 0.3, 0.25, 0.15)
_DRAWS = {
    f"{pairs} pairs of {length}": partial(draw_mqar, pairs=pairs, length=length)
    for pairs, length in SIZES
}


def draw_any_size(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`draw_mqar` of one of the sizes."""
    size = int(torch.multinomial(torch.tensor(OFTEN), 1, generator=generator))
    return tuple(_DRAWS.values())[size](count, generator)


# One model learns all sizes, and is asked of each.
TASKS = {"any size": Task(VOCABULARY, draw_any_size, asked=_DRAWS)}
COURSE = Course(steps=2000, rates=(3e-3, 1e-2), solved=0.99)
