"""What a method that lives through a stream does, and how Hope does it.

Every method begins with the same trained model. It is given the passages of a task in lots, day by
day, and not told which task they are of; a night follows every day. Methods that must know where a
task ends are told by `end_task`, which does nothing in all others.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from nestling.evaluation.continual.kept import BASE_ROOM, ROOM, Kept
from nestling.evaluation.continual.streams import VOCABULARY, Stream
from nestling.models.hope import Hope
from nestling.training.nested_weights import NestedWeights
from nestling.training.night import Elder, NightOptions, NightReport, sleep
from nestling.training.passages import TOGETHER, Passages, joined, losses_of, mean_loss
from nestling.training.steps import take_step

PERIODS = (8, 32, 128)


class Learner(Protocol):
    """What a method does with a stream."""

    def learn(self, lot: Passages) -> None: ...

    def end_day(self) -> None: ...

    def end_task(self) -> None: ...

    def scores(self, passages: Passages, classes: Sequence[int]) -> Tensor:
        """For every passage its loss or, among classes, 1 if the right one is likeliest, else 0."""
        ...

    @property
    def nbytes(self) -> int:
        """What is kept beside the model as it was in the beginning, in bytes."""
        ...


class Fixed:
    """The model as it is; the beginning of all other methods."""

    def __init__(self, model: Hope, stream: Stream, seed: int = 0) -> None:
        self.model, self.stream, self.seed = copy.deepcopy(model), stream, seed

    def learn(self, lot: Passages) -> None:
        pass

    def end_day(self) -> None:
        pass

    def end_task(self) -> None:
        pass

    @property
    def nbytes(self) -> int:
        return 0

    @torch.no_grad()
    def scores(self, passages: Passages, classes: Sequence[int]) -> Tensor:
        if not classes:
            return losses_of(self.model, passages)
        found = []
        for start in range(0, len(passages), TOGETHER):
            some = passages[start : start + TOGETHER]
            logits = self.model(some.ids).logits[some.asked][:, list(classes)]
            likeliest = torch.tensor(list(classes))[logits.argmax(-1)]
            found.append((likeliest == some.targets[some.asked]).float())
        return torch.cat(found)


class FineTuning(Fixed):
    """AdamW on all weights, as the passages come: Hope with one level."""

    def __init__(self, model: Hope, stream: Stream, rate: float, seed: int = 0) -> None:
        super().__init__(model, stream, seed)
        self.rate = rate
        self.optimizer = self.new_optimizer()

    @property
    def nbytes(self) -> int:
        return sum(weight.nbytes for weight in self.model.parameters())

    def learn(self, lot: Passages) -> None:
        take_step(self.model, self.optimizer, self.loss(lot), self.rate)

    def loss(self, lot: Passages) -> Tensor:
        return mean_loss(self.model, lot)

    def new_optimizer(self) -> torch.optim.Optimizer:
        """One that remembers no gradients."""
        return torch.optim.AdamW(self.model.parameters(), lr=self.rate, weight_decay=0.0)


class HopeLearner(FineTuning):
    """Nested levels of all weights; with a `night`, the slowest one is written at night alone.

    Args:
        levels: in all, the model's own weights the first of them.
        share: how far a slower level goes when it is written awake.
        base_room: share of the room that is for the base.
        night: how it sleeps; None for one that does not.
        awake: passages of before that are recalled in a step by day, by one that sleeps.
    """

    def __init__(
        self,
        model: Hope,
        stream: Stream,
        rate: float,
        levels: int,
        seed: int = 0,
        *,
        share: float = 0.5,
        base_room: float = BASE_ROOM,
        night: NightOptions | None = None,
        awake: int = 0,
    ) -> None:
        super().__init__(model, stream, rate, seed)
        periods = (*PERIODS[: levels - 2], 0) if night else PERIODS[: levels - 1]
        self.levels = NestedWeights(self.model, periods, share)
        self.night, self.awake = night, awake if night else 0
        self.kept = Kept(stream, ROOM, seed, base_room)
        # The model that is given is never written: a level that all others can ask.
        # Classes came after it: it has ids for them, and no idea of them.
        self.elder = Elder(model, len(self.kept.base), VOCABULARY)
        self.day: list[Passages] = []
        self.longest_day = 0
        self.generator = torch.Generator().manual_seed(seed)
        self.reports: list[NightReport] = []

    @property
    def nbytes(self) -> int:
        return self.levels.nbytes + (self.kept.nbytes + self.longest_day if self.night else 0)

    def learn(self, lot: Passages) -> None:
        super().learn(lot)
        self.levels.stepped()
        if self.night:
            self.day.append(lot)

    def loss(self, lot: Passages) -> Tensor:
        loss = super().loss(lot)
        if not self.awake:
            return loss
        return loss + mean_loss(self.model, self.kept.at_random(self.awake, self.generator))

    def end_day(self) -> None:
        if self.night is None or not self.day:
            return
        self.longest_day = max(self.longest_day, 2 * sum(lot.ids.numel() for lot in self.day))
        day, before, times = joined(self.day), self.kept.all(), self.kept.times_rehearsed()
        self.reports.append(
            sleep(
                self.model,
                self.levels,
                day,
                before,
                self.kept.check,
                times,
                self.night,
                self.generator,
                self.elder,
            )
        )
        self.kept.rehearsed(times)
        self.kept.add(day)
        self.day = []
        # A new day begins with new momentum.
        self.optimizer = self.new_optimizer()
