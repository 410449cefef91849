"""Sleep of a whole model: the day moves into the slow weights, and what was there stays.

Awake, a model's weights learn the passages of a day, and on the way they lose what they knew. The
slow level still has the weights of the evening before. In the night the model rehearses passages of
the day by their own tokens and passages of before by what the slow level says of them: of these it
takes, in turn, those that the day has hurt most and those that were rehearsed least often. What is
kept of before is little. So the slow level may dream besides: it goes on from the first words of
kept passages as it would, and what it says of its dreams is rehearsed too. Of what came before
everything else an elder can dream, the model as it was in the beginning, a level that is never
written: what it says does not drift from night to night. Then all levels take the weights that the
night has made. A night that leaves the model worse on what it must not lose than both that evening
and the evening before is taken back: everything is as it was in the evening before.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nestling.models.hope import Hope
from nestling.ops.packing import using_up_states
from nestling.training.nested_weights import NestedWeights
from nestling.training.passages import (
    Passages,
    asked_logits,
    losses_of,
    mean_loss,
    mean_of_each,
)
from nestling.training.steps import take_step

# Passages of the day whose loss is told.
_PROBED = 32
# Tokens of a passage that a dream begins with.
_BEGUN = 4
# Dreams that go on side by side.
DREAMT = 128


@dataclass(frozen=True)
class NightOptions:
    """How a night goes.

    Args:
        steps: of rehearsal.
        batch: passages of the day in a step.
        recalled: passages of before in a step.
        rate: learning rate at the start; it falls to zero.
        share: how far the slow level goes towards the weights of the evening before it rehearses.
        taught: weight of what the slow level says beside the tokens themselves.
        dreamed: dreams in a step; 0 for none.
        dream_weight: weight of what the slow level says of its dreams, beside a passage.
        bound: share by which the loss of what must not be lost may rise, over the evening or over
            the slow level, whichever has lost more.
    """

    steps: int = 32
    batch: int = 8
    recalled: int = 8
    rate: float = 1e-3
    share: float = 0.5
    taught: float = 1.0
    dreamed: int = 0
    dream_weight: float = 1.0
    bound: float = 0.02

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("recalled", 1), ("dreamed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"a night's {name} is {least} or more, got {getattr(self, name)}")
        if not 0 <= self.share <= 1:
            raise ValueError(f"a night's share is from 0 to 1, got {self.share}")
        for name in ("rate", "taught", "dream_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"a night's {name} is 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True)
class Elder:
    """A model that is never written, and what it dreams from.

    Args:
        model: the one of the beginning.
        passages: of before, that so many of the first are what it knew.
        words: ids below this are words that it knows; it says nothing else. None for all ids.
    """

    model: Hope
    passages: int
    words: int | None = None


@dataclass(frozen=True)
class NightReport:
    """Losses of the day, of passages of before and of the base: before the night and after it.

    Args:
        kept: whether the model woke with what the night made; if not, it woke as it was in the
            evening before, and what came after the night is only told.
    """

    day: tuple[float, float]
    before: tuple[float, float]
    base: tuple[float, float]
    kept: bool


def sleep(
    model: Hope,
    levels: NestedWeights,
    day: Passages,
    before: Passages,
    base: Passages,
    rehearsed: Tensor,
    options: NightOptions,
    generator: torch.Generator,
    elder: Elder | None = None,
) -> NightReport:
    """One night.

    Args:
        model: the fastest of `levels`.
        day: what was learned since the last night.
        before: what is kept of earlier days.
        base: what must not be lost; it is not rehearsed.
        rehearsed: [N] for `before`, how often each was rehearsed; counted up if the night is kept.
        elder: dreams half of the dreams; None for nights in which the slow level dreams all.
            Its passages are taken from their middle as well.

    Raises:
        ValueError: there is no level of sleep, or nothing of a day.
    """
    if not len(day):
        raise ValueError("a night follows a day: there are no passages of one")
    if not levels.periods or levels.periods[-1] != 0:
        raise ValueError(
            f"the last level is the one of sleep, of period 0; the periods are {levels.periods}"
        )
    teacher = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in teacher.named_parameters():
            weight.copy_(levels.slowest[name])
    probe = day[torch.randperm(len(day), generator=generator)[:_PROBED]]
    hurt = losses_of(model, before)
    evening = _mean(losses_of(model, probe)), _mean(hurt), _mean(losses_of(model, base))
    most = (1 + options.bound) * max(evening[2], _mean(losses_of(teacher, base)))
    order = _most_needed(hurt - losses_of(teacher, before), rehearsed)
    with torch.no_grad():
        for weight, slow in zip(model.parameters(), teacher.parameters(), strict=True):
            weight.lerp_(slow, 1 - options.share)
    dreams = _dreams(_dreamers(teacher, elder, before), day.ids.shape[1], options, generator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=0.0)
    of_day = torch.randperm(len(day), generator=generator)
    for step in range(options.steps):
        loss = mean_loss(model, day[_turn(of_day, step, options.batch)])
        if len(before):
            chosen = _turn(order, step, options.recalled)
            loss = loss + _as_taught(model, teacher, before[chosen], options.taught)
        for dreamer, ids in dreams:
            some = ids[step :: options.steps]
            dreamt = _differing(model, dreamer.model, some, dreamer.words).mean()
            loss = loss + options.dream_weight * dreamt / len(dreams)
        take_step(model, optimizer, loss, options.rate * (1 - step / options.steps))
    morning = tuple(_mean(losses_of(model, lot)) for lot in (probe, before, base))
    kept = morning[2] <= most
    woken = model if kept else teacher
    if kept and len(before):
        chosen = _turn(order, 0, options.steps * options.recalled)
        rehearsed.index_add_(0, chosen, torch.ones_like(chosen))
    levels.settle({name: weight.detach() for name, weight in woken.named_parameters()})
    return NightReport(*zip(evening, morning, strict=True), kept=kept)


@dataclass(frozen=True)
class _Dreamer:
    """Who dreams, from what, and how: as `dream` takes it."""

    model: Hope
    passages: Passages
    anywhere: bool = False
    words: int | None = None


def _dreamers(teacher: Hope, elder: Elder | None, before: Passages) -> list[_Dreamer]:
    """The elder of what it knew, the slow level of all else; who has nothing does not dream."""
    if elder is None:
        dreamers = [_Dreamer(teacher, before)]
    else:
        known, rest = before[: elder.passages], before[elder.passages :]
        old = _Dreamer(elder.model, known, anywhere=True, words=elder.words)
        dreamers = [old, _Dreamer(teacher, rest)]
    return [dreamer for dreamer in dreamers if len(dreamer.passages)]


def _dreams(
    dreamers: Sequence[_Dreamer], length: int, options: NightOptions, generator: torch.Generator
) -> list[tuple[_Dreamer, Tensor]]:
    """What each dreams in a night, all of them as much."""
    if not options.dreamed or not dreamers or length <= _BEGUN:
        return []
    count = options.steps * max(1, options.dreamed // len(dreamers))
    return [
        (
            one,
            dream(
                one.model,
                one.passages,
                count,
                length,
                generator,
                anywhere=one.anywhere,
                words=one.words,
            ),
        )
        for one in dreamers
    ]


@torch.no_grad()
def dream(
    model: Hope,
    passages: Passages,
    count: int,
    length: int,
    generator: torch.Generator,
    *,
    anywhere: bool = False,
    words: int | None = None,
) -> Tensor:
    """Token ids [count, length] that a model goes on with, drawn as likely as it finds them.

    Each begins with the first tokens of one of the passages, drawn as often as it is long, or with
    tokens from `anywhere` in it, and goes on with ids below `words`.

    Raises:
        ValueError: a dream would be no longer than its beginning.
    """
    if length <= _BEGUN:
        raise ValueError(f"a dream goes on behind {_BEGUN} tokens: length is more, got {length}")
    size = passages.lengths
    rows = torch.multinomial(size.float(), count, replacement=True, generator=generator)
    places = torch.arange(min(_BEGUN, passages.ids.shape[1])).expand(count, -1)
    if anywhere:
        room = (size[rows] - _BEGUN + 1).clamp(min=1)
        places = places + (torch.rand(count, generator=generator) * room).long()[:, None]
    begun = passages.ids[rows[:, None], places]
    lots = zip(begun.split(DREAMT), size[rows].split(DREAMT), strict=True)
    return torch.cat([_gone_on(model, *some, length, generator, words) for some in lots])


def _gone_on(
    model: Hope,
    begun: Tensor,
    own: Tensor,
    length: int,
    generator: torch.Generator,
    words: int | None,
) -> Tensor:
    """What goes on behind beginnings [B, A], of which `own` [B] tokens are of the passage."""
    known = min(begun.shape[1], int(own.min()))
    ids = begun[:, :known]
    reading, ids = model(ids, state=model.new_state(len(begun))), [ids]
    with using_up_states():
        for place in range(known, length):
            likely = reading.logits[:, -1, :words].softmax(-1)
            next_ids = torch.multinomial(likely, 1, generator=generator)
            if place < begun.shape[1]:
                next_ids = torch.where(place < own[:, None], begun[:, place, None], next_ids)
            ids.append(next_ids)
            reading = model(next_ids, state=reading.state)
    return torch.cat(ids, 1)


def _as_taught(model: Hope, teacher: Hope, passages: Passages, weight: float) -> Tensor:
    """The loss of passages, and how far their predictions are from the teacher's."""
    logprobs = asked_logits(model, passages).log_softmax(-1)
    with torch.no_grad():
        wanted = asked_logits(teacher, passages)
    losses = F.nll_loss(logprobs, passages.targets[passages.asked], reduction="none")
    losses = losses + weight * _divergence(wanted, logprobs)
    # Every passage counts the same, however much of it is asked.
    return mean_of_each(losses, passages).mean()


def _differing(model: Hope, teacher: Hope, ids: Tensor, words: int | None) -> Tensor:
    """How far predictions behind every token are from the teacher's, who says `words` alone."""
    with torch.no_grad():
        wanted = teacher(ids).logits
        if words is not None:
            # A number, so that what is never said times its logarithm is nothing.
            wanted[..., words:] = torch.finfo(wanted.dtype).min
    return _divergence(wanted, model(ids).logits.log_softmax(-1))


def _divergence(wanted: Tensor, logprobs: Tensor) -> Tensor:
    wanted = wanted.log_softmax(-1)
    return (wanted.exp() * (wanted - logprobs)).sum(-1)


def _most_needed(hurt: Tensor, rehearsed: Tensor) -> Tensor:
    """Rows in the order of rehearsal: in turn the most hurt and the least rehearsed, each once."""
    if not len(hurt):
        return torch.zeros(0, dtype=torch.int64)
    by_hurt = hurt.argsort(descending=True).tolist()
    by_rest = rehearsed.argsort(stable=True).tolist()
    turns = [row for pair in zip(by_hurt, by_rest, strict=True) for row in pair]
    return torch.tensor(list(dict.fromkeys(turns)))


def _turn(order: Tensor, step: int, count: int) -> Tensor:
    """The rows of a step, `count` of them, when all take turns."""
    places = torch.arange(step * count, (step + 1) * count)
    return order[places % len(order)]


def _mean(losses: Tensor) -> float:
    return float(losses.mean()) if len(losses) else 0.0
