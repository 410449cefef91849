"""Other ways to live through a stream: replay, elastic weights, adapters, contexts, retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from nestling.evaluation.continual.kept import BASE_ROOM, ROOM, Kept
from nestling.evaluation.continual.learners import FineTuning, Fixed
from nestling.evaluation.continual.streams import Stream
from nestling.models.hope import Hope
from nestling.training.passages import TOGETHER, Passages, mean_loss
from nestling.training.steps import take_step

LORA_RANK = 8
# Lots of a task from which importances are taken.
_FISHER_LOTS = 16


class Replay(FineTuning):
    """Experience replay: with every lot as many passages of before, from a room of tokens.

    Args:
        base_room: share of the room that is for the base.
        steps: with one lot, each beside other passages of before.
    """

    def __init__(
        self,
        model: Hope,
        stream: Stream,
        rate: float,
        seed: int = 0,
        base_room: float = BASE_ROOM,
        steps: int = 1,
    ) -> None:
        super().__init__(model, stream, rate, seed)
        self.steps = steps
        self.kept = Kept(stream, ROOM, seed, base_room, checks=0.0)
        self.generator = torch.Generator().manual_seed(seed)

    @property
    def nbytes(self) -> int:
        return super().nbytes + self.kept.nbytes

    def learn(self, lot: Passages) -> None:
        for _ in range(self.steps):
            super().learn(lot)
        self.kept.add(lot)

    def loss(self, lot: Passages) -> Tensor:
        before = self.kept.at_random(len(lot), self.generator)
        return mean_loss(self.model, lot) + mean_loss(self.model, before)


class ElasticWeights(FineTuning):
    """Elastic weight consolidation (Kirkpatrick et al. 2017), its importances added up by task.

    The squared gradients of lots stand for the Fisher information. Tasks end where they end: this
    method is told.

    Args:
        anchor: weight of the penalty.
    """

    def __init__(
        self, model: Hope, stream: Stream, rate: float, anchor: float, seed: int = 0
    ) -> None:
        super().__init__(model, stream, rate, seed)
        self.anchor = anchor
        weights = list(self.model.parameters())
        self.importance = [torch.zeros_like(weight) for weight in weights]
        self.settled = [weight.detach().clone() for weight in weights]
        self._consolidate([stream.base[8 * i : 8 * i + 8] for i in range(_FISHER_LOTS)])
        self.recent: list[Passages] = []

    @property
    def nbytes(self) -> int:
        recent = 2 * sum(lot.ids.numel() for lot in self.recent)
        return 3 * super().nbytes + recent

    def learn(self, lot: Passages) -> None:
        super().learn(lot)
        self.recent = [*self.recent[1 - _FISHER_LOTS :], lot]

    def end_task(self) -> None:
        self._consolidate(self.recent)
        self.recent = []

    def loss(self, lot: Passages) -> Tensor:
        away = [
            (importance * (weight - settled).square()).sum()
            for importance, weight, settled in zip(
                self.importance, self.model.parameters(), self.settled, strict=True
            )
        ]
        return mean_loss(self.model, lot) + self.anchor * torch.stack(away).sum()

    def _consolidate(self, lots: Sequence[Passages]) -> None:
        weights = list(self.model.parameters())
        for lot in lots:
            slopes = torch.autograd.grad(mean_loss(self.model, lot), weights, allow_unused=True)
            for importance, slope in zip(self.importance, slopes, strict=True):
                if slope is not None:
                    importance += slope.square() / len(lots)
        self.settled = [weight.detach().clone() for weight in weights]


class LoRAPerTask(Fixed):
    """A new adapter of `peft` for every task; a passage is answered by the surest, or by none.

    Sure is the one to which the beginning of a passage, which is given, is likeliest. Where a class
    is asked, and where nothing is given, it is the one whose predictions of what is asked have the
    least entropy. Tasks end where they end: this method is told.
    """

    def __init__(self, model: Hope, stream: Stream, rate: float, seed: int = 0) -> None:
        super().__init__(model, stream, seed)
        self.rate = rate
        self.adapters: list[dict[str, Tensor]] = []
        self.peft: Any = import_module("peft")
        torch.manual_seed(seed)
        config = self.peft.LoraConfig(
            r=LORA_RANK,
            lora_alpha=LORA_RANK,
            target_modules=["qkv", "out", "gate", "up", "down"],
        )
        self.model = self.peft.inject_adapter_in_model(config, self.model)
        self.first = self._current()
        self._begin()

    @property
    def nbytes(self) -> int:
        return sum(w.nbytes for adapter in self.adapters for w in adapter.values())

    def learn(self, lot: Passages) -> None:
        take_step(self.model, self.optimizer, mean_loss(self.model, lot), self.rate)
        self.begun = True

    def end_task(self) -> None:
        self.adapters.append(self._current())
        self._begin()

    def scores(self, passages: Passages, classes: Sequence[int]) -> Tensor:
        current = self._current()
        found, doubts = [], []
        for adapter in [self.first, *self.adapters, *([current] if self.begun else [])]:
            self._set(adapter)
            found.append(super().scores(passages, classes))
            doubts.append(self._doubts(passages, classes))
        self._set(current)
        surest = torch.stack(doubts).argmin(0)
        return torch.stack(found).gather(0, surest[None])[0]

    @torch.no_grad()
    def _doubts(self, passages: Passages, classes: Sequence[int]) -> Tensor:
        """How unsure the present adapter is of each passage, in nats: [N]."""
        found = []
        for start in range(0, len(passages), TOGETHER):
            some = passages[start : start + TOGETHER]
            logits = self.model(some.ids).logits
            logprobs = (logits[..., list(classes)] if classes else logits).log_softmax(-1)
            entropies = -(logprobs.exp() * logprobs).sum(-1)
            doubts = _mean_where(entropies, some.asked)
            if not classes:
                losses = -logprobs[:, :-1].gather(-1, some.ids[:, 1:, None])[..., 0]
                given = some.asked.int().cumsum(1)[:, :-1] == 0
                doubts = torch.where(given.any(1), _mean_where(losses, given), doubts)
            found.append(doubts)
        return torch.cat(found)

    def _begin(self) -> None:
        self._set(self.first)
        weights = [w for name, w in self.model.named_parameters() if "lora_" in name]
        self.optimizer = torch.optim.AdamW(weights, lr=self.rate, weight_decay=0.0)
        self.begun = False

    def _current(self) -> dict[str, Tensor]:
        named = self.model.named_parameters()
        return {name: w.detach().clone() for name, w in named if "lora_" in name}

    @torch.no_grad()
    def _set(self, adapter: dict[str, Tensor]) -> None:
        for name, weight in self.model.named_parameters():
            if name in adapter:
                weight.copy_(adapter[name])


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of each row [N, T] where the mask is true; 0 where it never is."""
    return (values * mask).sum(1) / mask.sum(1).clamp(min=1)


class InContext(Fixed):
    """The last passages, as many as fit into the window, before what is asked; nothing is learned.

    Of passages whose class is asked, those are kept that came last of each.
    """

    def __init__(self, model: Hope, stream: Stream, seed: int = 0) -> None:
        super().__init__(model, stream, seed)
        self.room = model.settings.sliding_window - stream.tasks[0].test.ids.shape[1]
        self.last: dict[object, list[int]] = {}
        self.seen = 0

    @property
    def nbytes(self) -> int:
        return 2 * sum(map(len, self.last.values()))

    def learn(self, lot: Passages) -> None:
        for row in range(len(lot)):
            whole = lot.whole(row)
            self.seen += 1
            name = whole[-1] if int(lot.asked[row].sum()) == 1 else ("passage", self.seen)
            self.last.pop(name, None)
            self.last[name] = whole
        while len(self.last) > 1 and sum(map(len, self.last.values())) > self.room:
            del self.last[next(iter(self.last))]

    def scores(self, passages: Passages, classes: Sequence[int]) -> Tensor:
        context = [token for whole in self.last.values() for token in whole][-self.room :]
        return super().scores(passages.behind([context] * len(passages)), classes)


class Retrieval(Fixed):
    """BM25 (`bm25s`) over all passages: the best hit stands before what is asked.

    Where a class is asked, the class of the best hit is the answer.
    """

    def __init__(self, model: Hope, stream: Stream, seed: int = 0) -> None:
        super().__init__(model, stream, seed)
        self.wholes: list[list[int]] = []
        self.bm25s: Any = import_module("bm25s")
        # Of all passages; None until it is asked for what came last.
        self.index: Any = None

    @property
    def nbytes(self) -> int:
        return 2 * sum(map(len, self.wholes))

    def learn(self, lot: Passages) -> None:
        self.wholes += [lot.whole(row) for row in range(len(lot))]
        self.index = None

    def scores(self, passages: Passages, classes: Sequence[int]) -> Tensor:
        if not self.wholes:
            return super().scores(passages, classes)
        hits = self._hits([passages.given(row) for row in range(len(passages))])
        if classes:
            answers = torch.tensor([self.wholes[hit][-1] for hit in hits])
            return (answers == passages.targets[passages.asked]).float()
        return super().scores(passages.behind([self.wholes[hit] for hit in hits]), classes)

    def _hits(self, given: Sequence[Sequence[int]]) -> list[int]:
        """The tokens themselves are the words of the index."""
        if self.index is None:
            self.index = self.bm25s.BM25()
            self.index.index([list(map(str, whole)) for whole in self.wholes], show_progress=False)
        asked = [list(map(str, tokens)) for tokens in given]
        hits, _ = self.index.retrieve(asked, k=1, show_progress=False)
        return [int(row[0]) for row in hits]
