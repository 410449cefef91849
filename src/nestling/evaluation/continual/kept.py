"""What a method keeps of the passages that came before, in a room of so many tokens."""

from __future__ import annotations

import math
import random
from bisect import insort
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nestling.evaluation.continual.streams import Stream
from nestling.training.passages import Passages, joined

# Tokens of passages of before that a method may keep, those of the base among them: 64 kB.
ROOM = 32_768
BASE_ROOM = 0.25
# Of the base: enough to see whether a night did harm.
CHECKS = 0.125


@dataclass(order=True)
class _Drawn:
    """A passage that stays as long as the number that it has drawn is among the smallest."""

    number: float
    passage: Passages = field(compare=False)
    rehearsed: int = field(default=0, compare=False)

    @property
    def tokens(self) -> int:
        return self.passage.ids.numel()


class Kept:
    """Passages of before, in a room of so many tokens.

    Some of the room is for passages of the base, some of them to be rehearsed and some to tell
    whether a night did harm. The rest is for what comes: every passage draws a number, and those
    with the smallest ones stay, as many as there is room for. So of all that came each stays with
    the same probability, however short or long; a passage takes the room of its own tokens.

    Args:
        room: in tokens.
        base_room: share of it that is for the base.
        checks: share of that which is never rehearsed.
    """

    def __init__(
        self,
        stream: Stream,
        room: int,
        seed: int,
        base_room: float = BASE_ROOM,
        checks: float = CHECKS,
    ) -> None:
        for_base = int(room * base_room)
        self.rng, self.room = random.Random(f"kept {seed}"), room - for_base
        count = for_base // stream.base.ids.shape[1]
        rehearsed = count - math.ceil(checks * count)
        self.base, self.check = stream.base[:rehearsed], stream.base[rehearsed:count]
        self.base_times = torch.zeros(len(self.base), dtype=torch.int64)
        self.drawn: list[_Drawn] = []
        self.tokens = 0

    def __len__(self) -> int:
        """Passages that can be rehearsed."""
        return len(self.base) + len(self.drawn)

    def add(self, lot: Passages) -> None:
        for row in range(len(lot)):
            new = _Drawn(self.rng.random(), lot[row : row + 1])
            insort(self.drawn, new)
            self.tokens += new.tokens
            while self.tokens > self.room:
                self.tokens -= self.drawn.pop().tokens

    def some(self, rows: Tensor) -> Passages:
        """These of the passages, the base's counted first."""
        count = len(self.base)
        return joined(
            [
                self.base[row : row + 1] if row < count else self.drawn[row - count].passage
                for row in rows.tolist()
            ]
        )

    def at_random(self, count: int, generator: torch.Generator) -> Passages:
        """`count` passages, each as likely as any other."""
        return self.some(torch.randint(len(self), (count,), generator=generator))

    def all(self) -> Passages:
        """The base's first."""
        return joined([self.base, *(drawn.passage for drawn in self.drawn)])

    def times_rehearsed(self) -> Tensor:
        """How often each of `all` was rehearsed, int64."""
        times = torch.tensor([drawn.rehearsed for drawn in self.drawn], dtype=torch.int64)
        return torch.cat([self.base_times, times])

    def rehearsed(self, times: Tensor) -> None:
        """Each of `all` was rehearsed so often by now."""
        self.base_times = times[: len(self.base)]
        for drawn, often in zip(self.drawn, times[len(self.base) :].tolist(), strict=True):
            drawn.rehearsed = often

    @property
    def nbytes(self) -> int:
        """Two bytes for an id."""
        return 2 * (self.base.ids.numel() + self.check.ids.numel() + self.tokens)
