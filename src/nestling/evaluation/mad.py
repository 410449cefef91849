"""The five synthetic tasks of Mechanistic Architecture Design (Poli et al. 2024; NL §6.5).

| task              | what is asked                                                               |
|-------------------|-----------------------------------------------------------------------------|
| recall            | the value that followed this key before, in the same sequence               |
| fuzzy recall      | the same, where keys and values are one to three tokens long                |
| selective copying | the tokens scattered among blanks, in their order                           |
| compression       | a whole sequence, decoded from what stands at its last token                |
| memorisation      | the value of a key, by a table that is the same for all sequences           |

Sequences are drawn anew for every step; those that are asked are drawn from other seeds. Accuracy
is the share of scored tokens that are right.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from nestling.evaluation.rows import Row
from nestling.evaluation.sequence_tasks import IGNORED, RECALLING, Course, Task, measure_tasks


def draw_recall(
    count: int, generator: torch.Generator, *, pairs: int = 64, vocabulary: int = 16
) -> tuple[Tensor, Tensor]:
    """Keys and values in turn; a key that was there before is asked."""
    half = vocabulary // 2
    keys = torch.randint(half, (count, pairs), generator=generator)
    table = torch.randint(half, vocabulary, (count, half), generator=generator)
    values = table.gather(1, keys)
    # A key is asked from its second time on.
    seen = (keys[:, :, None] == keys[:, None, :]).tril(-1).any(-1)
    ids = torch.stack([keys, values], -1).flatten(1)
    targets = torch.full_like(ids, IGNORED)
    targets[:, 0::2] = values.where(seen, IGNORED)
    return ids, targets


def draw_fuzzy_recall(
    count: int,
    generator: torch.Generator,
    *,
    length: int = 128,
    vocabulary: int = 16,
    entries: int = 8,
    longest: int = 3,
) -> tuple[Tensor, Tensor]:
    """Keys and values of one to `longest` tokens; all tokens of a value told before are asked.

    The keys of a sequence begin with different tokens, and so no key begins another. Every value
    stands between its key and the next one, so that what is asked is the next token.
    """
    half = vocabulary // 2
    ids = torch.zeros(count, length, dtype=torch.int64)
    targets = torch.full_like(ids, IGNORED)

    def numbers(low: int, high: int, size: int) -> list[int]:
        return torch.randint(low, high, (size,), generator=generator).tolist()

    for row in range(count):
        firsts = torch.randperm(half, generator=generator)[:entries].tolist()
        sizes = numbers(1, longest + 1, 2 * entries)
        table = [
            (
                [first, *numbers(0, half, sizes[2 * i] - 1)],
                numbers(half, vocabulary, sizes[2 * i + 1]),
            )
            for i, first in enumerate(firsts)
        ]
        place, told = 0, set()
        while True:
            entry = numbers(0, entries, 1)[0]
            key, value = table[entry]
            if place + len(key) + len(value) > length:
                break
            words = key + value
            ids[row, place : place + len(words)] = torch.tensor(words)
            if entry in told:
                start = place + len(key) - 1
                targets[row, start : start + len(value)] = torch.tensor(value)
            told.add(entry)
            place += len(words)
    return ids, targets


def draw_selective_copying(
    count: int,
    generator: torch.Generator,
    *,
    length: int = 128,
    tokens: int = 16,
    vocabulary: int = 16,
) -> tuple[Tensor, Tensor]:
    """Tokens among blanks, then a mark; from the mark on they are asked, one at each blank."""
    blank, mark = vocabulary - 2, vocabulary - 1
    words = torch.randint(vocabulary - 2, (count, tokens), generator=generator)
    room = length - tokens
    noise = torch.rand(count, room, generator=generator)
    places = noise.topk(tokens, -1).indices.sort(-1).values
    body = torch.full((count, room), blank).scatter(1, places, words)
    answer = torch.full((count, tokens), blank)
    answer[:, 0] = mark
    ids = torch.cat([body, answer], 1)
    targets = torch.full_like(ids, IGNORED)
    targets[:, room:] = words
    return ids, targets


def draw_compression(
    count: int, generator: torch.Generator, *, length: int = 32, vocabulary: int = 16
) -> tuple[Tensor, Tensor]:
    """Random tokens that end with a mark; all of them are asked of the last position."""
    ids = torch.randint(vocabulary - 1, (count, length), generator=generator)
    ids[:, -1] = vocabulary - 1
    targets = ids.clone()
    targets[:, -1] = IGNORED
    return ids, targets


def draw_memorisation(
    count: int, generator: torch.Generator, *, length: int = 32, vocabulary: int = 256
) -> tuple[Tensor, Tensor]:
    """Keys, each with a mark behind it, at which its value is asked."""
    half, mark = vocabulary // 2, vocabulary - 1
    table = torch.randint(half, mark, (half,), generator=torch.Generator().manual_seed(0))
    keys = torch.randint(half, (count, length // 2), generator=generator)
    ids = torch.stack([keys, torch.full_like(keys, mark)], -1).flatten(1)
    targets = torch.full_like(ids, IGNORED)
    targets[:, 1::2] = table[keys]
    return ids, targets


TASKS: dict[str, Task] = {
    "compression": Task(16, draw_compression, decodes=True),
    "recall": Task(16, draw_recall),
    "fuzzy recall": Task(16, draw_fuzzy_recall),
    "selective copying": Task(16, draw_selective_copying),
    "memorisation": Task(256, draw_memorisation),
}
MODELS = ("hope", "titans", "delta_net", "transformer")


def measure_mad(*, course: Course | None = None, **options: Any) -> Iterator[Row]:
    """Rows for `results/mad.json`: those of `measure_tasks` for the five tasks."""
    course = course or Course(steps=800, batch=16)
    return measure_tasks(TASKS, course=course, peers=RECALLING, **options)
