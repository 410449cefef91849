"""Notes as lessons, how well each is known, and keys that nobody told: what sleep works with."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from nestling.memory.consolidation import Lessons
from nestling.memory.state import MemoryState
from nestling.models.dialogue import Dialogue, Note, Restatement
from nestling.models.hope import Hope


@torch.no_grad()
def note_lessons(model: Hope, dialogue: Dialogue, notes: Sequence[Note]) -> Lessons:
    """The values of notes, each after its key, in an emptied context."""
    rows = [dialogue.note(note) for note in notes]
    return _lessons(model, dialogue, rows, [len(dialogue.recall(note.key)) for note in notes])


@torch.no_grad()
def unknown_lessons(model: Hope, dialogue: Dialogue, keys: Sequence[str]) -> Lessons:
    """That keys were never told."""
    rows = [dialogue.unknown(key) for key in keys]
    return _lessons(model, dialogue, rows, [len(row) - 2 for row in rows])


@torch.no_grad()
def restating_lessons(
    model: Hope, dialogue: Dialogue, turns: Sequence[tuple[str, Sequence[Note]]]
) -> Lessons:
    """How turns are restated: what a memory must leave as it is."""
    rows, starts = [], []
    for text, notes in turns:
        prompt = dialogue.turn(text)
        row = prompt + dialogue.restatement(Restatement(tuple(notes)))
        if len(row) <= model.settings.sliding_window:
            rows.append(row)
            starts.append(len(prompt))
    return _lessons(model, dialogue, rows, starts)


def _lessons(
    model: Hope, dialogue: Dialogue, rows: Sequence[Sequence[int]], starts: Sequence[int]
) -> Lessons:
    """Pairs of passages from their first learned token on."""
    device = model.embedding.weight.device
    if not rows:
        hidden = torch.zeros(0, model.settings.hidden_size, device=device)
        return Lessons(hidden, *torch.zeros(2, 0, dtype=torch.int64, device=device))
    length = max(map(len, rows))
    ids = torch.tensor(
        [[*row, *[dialogue.pad_id] * (length - len(row))] for row in rows], device=device
    )
    column = torch.arange(length, device=device)
    sizes, first = torch.tensor([list(map(len, rows)), list(starts)], device=device)
    mask = column < sizes[:, None]
    learned = (mask & (column >= first[:, None]))[:, 1:]
    hidden = model.turns_below_memory(ids[None], mask[None])[0]
    passage = torch.arange(len(rows), device=device)[:, None].expand_as(learned)
    return Lessons(hidden[:, :-1][learned], ids[:, 1:][learned], passage[learned])


@torch.no_grad()
def margins(model: Hope, lessons: Lessons, state: MemoryState | None, count: int) -> Tensor:
    """How well each of `count` passages is known: [count], above 0 for what would be recalled.

    The margin of a passage is the smallest over its tokens: log-probability of the token minus that
    of the likeliest other one, in nats.
    """
    deltas = model.writer.deltas(state)
    found = torch.full((count,), torch.inf, device=lessons.hidden.device)
    for hidden, targets, passage in zip(
        lessons.hidden.split(2048),
        lessons.targets.split(2048),
        lessons.passage.split(2048),
        strict=True,
    ):
        logits = model.head(model.above_mixers(hidden[None], deltas))[0].float()
        right = logits.gather(1, targets[:, None])
        others = logits.scatter(1, targets[:, None], -torch.inf).amax(1)
        found.scatter_reduce_(0, passage, right[:, 0] - others, "amin")
    return found


@torch.no_grad()
def mean_loss(model: Hope, lessons: Lessons, state: MemoryState | None) -> float:
    """Mean loss of lessons in nats a token; 0 for none."""
    if not len(lessons):
        return 0.0
    deltas = model.writer.deltas(state)
    losses = [
        model.pair_loss(hidden[None], targets[None], deltas)[0]
        for hidden, targets in zip(
            lessons.hidden.split(2048), lessons.targets.split(2048), strict=True
        )
    ]
    return float(torch.cat(losses).mean())


def dreamed_keys(told: Sequence[str], count: int, seed: int) -> list[str]:
    """Keys nobody told, put together from owners and relations of those that were told.

    A key is "my <relation>" or "<owner>'s <relation>".
    """
    pairs = [_split(key) for key in dict.fromkeys(told)]
    owners = ["my", *dict.fromkeys(owner for owner, _ in pairs if owner != "my")]
    relations = list(dict.fromkeys(relation for _, relation in pairs))
    known, rng = set(told), random.Random(seed)
    found: dict[str, None] = {}
    # Few owners and relations give few combinations: each is tried a few times, then it is enough.
    for _ in range(4 * count):
        key = f"{rng.choice(owners)} {rng.choice(relations)}" if relations else ""
        if key and key not in known:
            found[key] = None
        if len(found) == count:
            break
    return list(found)


def _split(key: str) -> tuple[str, str]:
    """Owner and relation of a key: ("my", "dog"), ("Ana's", "city")."""
    owner, _, relation = key.rpartition("'s ")
    if owner:
        return f"{owner}'s", relation
    first, _, rest = key.partition(" ")
    return (first, rest) if rest else ("my", first)
