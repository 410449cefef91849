"""Levels of all weights of a model that goes on training (NL §3.2, nested; §3.3, reading C).

The model itself is the fastest level and takes every step of an optimizer. A slower level is a
second set of the same weights: every `period` steps it goes a share of the way to the next faster
one, and all faster ones are then set to where it stands, the initial state of their next round.
What an optimizer remembers of its gradients goes on. A last level with the period 0 is written in
sleep alone (`nestling.training.night`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from nestling.memory.level import is_whole

Weights = dict[str, Tensor]


class NestedWeights:
    """Slower levels of a model's weights.

    Args:
        model: the fastest level.
        periods: steps between two writes of each slower level, fast first; 0 for one that is
            written in sleep, which must be the last.
        share: how far a slower level goes; 1 takes everything over, and changes nothing.

    Raises:
        ValueError: periods of which one is no multiple of the one before, or a share that is not
            above 0 and at most 1.
    """

    def __init__(self, model: nn.Module, periods: Sequence[int], share: float = 0.5) -> None:
        awake = [period for period in periods if period]
        grows = all(slow > fast and slow % fast == 0 for fast, slow in pairwise(awake))
        whole = all(is_whole(period, 0) for period in periods)
        if not whole or not grows or 0 in periods[:-1]:
            raise ValueError(
                "a slower level is written less often, at a whole multiple of the period before, "
                f"and the one of sleep (0) is the last; got the periods {tuple(periods)}"
            )
        if not 0 < share <= 1:
            raise ValueError(f"share is above 0 and at most 1, got {share}")
        self.model, self.periods, self.share = model, tuple(periods), share
        self.slower: list[Weights] = [self._copy() for _ in periods]
        self.steps = 0

    @property
    def slowest(self) -> Weights:
        """The last level's weights; the model's own where there is no other."""
        return self.slower[-1] if self.slower else self._copy()

    @property
    def nbytes(self) -> int:
        """Of all levels."""
        own = sum(weight.nbytes for weight in self._own().values())
        return own * (1 + len(self.slower))

    @torch.no_grad()
    def stepped(self) -> list[int]:
        """After a step of the optimizer: write the levels that are due; returns which."""
        self.steps += 1
        own, due = self._own(), []
        faster = own
        for place, period in enumerate(self.periods):
            slow = self.slower[place]
            if period == 0 or self.steps % period:
                break
            due.append(place)
            for name, weight in slow.items():
                weight.lerp_(faster[name], self.share)
                for level in (own, *self.slower[:place]):
                    level[name].copy_(weight)
            faster = slow
        return due

    @torch.no_grad()
    def settle(self, weights: Mapping[str, Tensor]) -> None:
        """All levels become these weights, as after a sleep."""
        for level in (self._own(), *self.slower):
            for name, weight in level.items():
                weight.copy_(weights[name])

    def _own(self) -> Weights:
        return {name: weight.data for name, weight in self.model.named_parameters()}

    def _copy(self) -> Weights:
        return {name: weight.clone() for name, weight in self._own().items()}
