"""Sleep: what faster levels hold is rehearsed into a slow one, and the faster ones are emptied.

A slow level is trained on lessons (what was known before a token, the token) until each of them is
recalled without the faster levels. Only what stands above the mixers takes part, so a lesson is
read once, however often it is rehearsed. Every step depends on the lessons, the seed and its number
alone: a sleep that was interrupted goes on to the same end, bit for bit.

Letters: N pairs, d hidden size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nestling.memory.gradients import Deltas, PairLoss, ordinary
from nestling.memory.state import MemoryState
from nestling.memory.written_levels import WrittenLevels

# Losses of so many pairs are computed at a time where all are.
_TOGETHER = 4096


@dataclass(frozen=True)
class Lessons:
    """Pairs to be rehearsed: hidden [N, d], targets [N] and the passage [N] each belongs to."""

    hidden: Tensor
    targets: Tensor
    passage: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class ConsolidationOptions:
    """How long and how hard is rehearsed.

    Args:
        steps: at most.
        rate: of Adam, falling to zero over the steps.
        batch: pairs of a step, of each kind of lessons at most.
        sure: rehearsal ends when every token is at least as likely as this.
        check_every: steps between two looks at all pairs.
        seed: of the order in which lessons come.
        norm: where the level begins with a larger L2 norm, it is scaled back to this one: all that
            it knows fades alike, and what is rehearsed is restored. None for no bound.
    """

    steps: int = 150
    rate: float = 3e-3
    batch: int = 512
    sure: float = 0.9
    check_every: int = 25
    seed: int = 0
    norm: float | None = 128.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "check_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is 1 or more, got {getattr(self, name)}")
        if not 0 < self.rate < math.inf:
            raise ValueError(f"rate is positive and finite, got {self.rate}")
        if not 0 < self.sure < 1:
            raise ValueError(f"sure lies between 0 and 1, got {self.sure}")
        if self.norm is not None and not 0 < self.norm < math.inf:
            raise ValueError(f"norm is positive and finite, or None, got {self.norm}")


class Consolidation:
    """One sleep of one memory.

    Args:
        writer: of the levels whose deltas the state holds.
        state: one sequence, its context empty.
        into: name of the level that learns; the levels before it are emptied.
        pair_loss: of the model.
        lessons: kinds of lessons with the weight that each has in the loss.

    Raises:
        ValueError: the level has no delta, or the state holds several sequences.
    """

    def __init__(
        self,
        writer: WrittenLevels,
        state: MemoryState,
        into: str,
        pair_loss: PairLoss,
        lessons: Sequence[tuple[Lessons, float]],
        options: ConsolidationOptions | None = None,
    ) -> None:
        deltas = writer.deltas(state)
        names = list(deltas)
        if into not in names:
            raise ValueError(f"there is no level '{into}' with a delta; there are {names}")
        if state.batch_size != 1:
            raise ValueError(
                f"one memory sleeps at a time, and the state holds {state.batch_size}; "
                "choose one with state.index(...)"
            )
        self.state, self.into, self.options = state, into, options or ConsolidationOptions()
        place = names.index(into)
        self.emptied = names[:place]
        self.lessons = [(some, weight) for some, weight in lessons if len(some)]
        self.step, self.finished = 0, not self.lessons
        self._pair_loss = pair_loss
        self._writer = writer
        # What slower levels hold stays as it is.
        self._kept = {
            name: {part: ordinary(delta) for part, delta in deltas[name].items()}
            for name in names[place + 1 :]
        }
        learned = deltas[into]
        if writer.memory.variant == "nested":
            # The same weights: what the faster levels hold is where rehearsal starts from.
            for name in self.emptied:
                learned = {part: x + deltas[name][part] for part, x in learned.items()}
        if self.options.norm is not None and self.lessons:
            size = torch.stack([x.norm() for x in learned.values()]).norm()
            # Exactly 1 up to the bound.
            scale = (self.options.norm / size).clamp(max=1.0)
            learned = {part: scale * x for part, x in learned.items()}
        with torch.inference_mode(False):
            self._delta = {part: x.clone().requires_grad_() for part, x in learned.items()}
            self._adam = torch.optim.Adam(
                list(self._delta.values()), lr=self.options.rate, betas=(0.9, 0.99)
            )

    def deltas(self) -> Deltas:
        """As they are now, the emptied levels left out."""
        return {**self._kept, self.into: self._delta}

    def rehearse(self) -> bool:
        """One step; returns whether there is more to do."""
        if self.finished:
            return False
        chosen = self.options
        with torch.inference_mode(False), torch.enable_grad():
            loss = torch.zeros(())
            generator = torch.Generator().manual_seed(chosen.seed * 1_000_003 + self.step)
            for some, weight in self.lessons:
                rows = torch.randint(
                    len(some), (min(chosen.batch, len(some)),), generator=generator
                )
                loss = loss + weight * self._losses(some, rows).mean()
            # Of the level alone: the model's own parameters are not concerned.
            own = list(self._delta.values())
            for delta, slope in zip(own, torch.autograd.grad(loss, own), strict=True):
                delta.grad = slope
            for group in self._adam.param_groups:
                group["lr"] = chosen.rate * (1 - self.step / chosen.steps)
            self._adam.step()
        self.step += 1
        self.finished = self.step >= chosen.steps or (
            self.step % chosen.check_every == 0 and self.is_sure()
        )
        return not self.finished

    @torch.no_grad()
    def is_sure(self) -> bool:
        """Whether every token of every lesson that is rehearsed in full is as likely as asked."""
        worst = -math.log(self.options.sure)
        for some, weight in self.lessons:
            for rows in torch.arange(len(some)).split(_TOGETHER) if weight >= 1 else ():
                if bool((self._losses(some, rows) > worst).any()):
                    return False
        return True

    def result(self) -> MemoryState:
        """The state after the sleep: the level has learned, the faster ones are empty."""
        leaves = {
            leaf: torch.zeros_like(self.state[leaf])
            for name in self.emptied
            for leaf in self._writer.leaves(name, self.state)
        }
        # A level that is written while reading, too, has nothing to go on with from before.
        for leaf in self._writer.leaves(self.into, self.state):
            leaves[leaf] = torch.zeros_like(self.state[leaf])
        for leaf in self._writer.leaves(self.into, self.state, ("delta",)):
            leaves[leaf] = self._delta[leaf.rpartition(".")[2]].detach().clone()
        return self.state.replace(leaves)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that a sleep needs to go on from here."""
        found = {"step": torch.tensor(self.step), "finished": torch.tensor(self.finished)}
        for place, (part, delta) in enumerate(self._delta.items()):
            found[f"delta.{part}"] = delta.detach().clone()
            for name, value in self._adam.state_dict()["state"].get(place, {}).items():
                found[f"adam.{place}.{name}"] = value.clone()
        return found

    def load_state_dict(self, values: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` gave."""
        self.step, self.finished = int(values["step"]), bool(values["finished"])
        adam: dict[int, dict[str, Tensor]] = {}
        for leaf, value in values.items():
            if leaf.startswith("adam."):
                _, place, name = leaf.split(".")
                adam.setdefault(int(place), {})[name] = value
        with torch.no_grad():
            for part, delta in self._delta.items():
                delta.copy_(values[f"delta.{part}"])
        self._adam.load_state_dict({**self._adam.state_dict(), "state": adam})

    def _losses(self, some: Lessons, rows: Tensor) -> Tensor:
        rows = rows.to(some.hidden.device)
        return self._pair_loss(some.hidden[rows][None], some.targets[rows][None], self.deltas())[0]
