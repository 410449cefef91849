"""A stream of turns over many sessions: facts, changes of facts, and small talk in between.

All methods are given the same notes, made of the turns by the model itself, and are asked the same
keys, made of questions that nobody answered before. What is graded is what each recalls.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from nestling.evaluation.recall import other_value
from nestling.models.asking import asked_of
from nestling.models.bundle import ModelBundle
from nestling.models.dialogue import Note
from nestling.models.restate import restate
from nestling.training.told_facts import Fact, FactSource


@dataclass(frozen=True)
class StreamSize:
    """Sessions, turns of each, and how many of these tell something new or a change."""

    sessions: int = 12
    turns: int = 100
    facts: int = 30
    changes: int = 4
    never_told: int = 120

    def __post_init__(self) -> None:
        if self.facts + self.changes > self.turns:
            raise ValueError(
                f"{self.facts} facts and {self.changes} changes do not fit into {self.turns} turns"
            )


@dataclass(frozen=True)
class Turn:
    """What was said, and the notes the model made of it."""

    text: str
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Query:
    """A question, and the key that the model took it to ask for.

    Args:
        value: what was told, at turn `told`; None for what never was.
        old: what was told before that, where it was changed.
    """

    question: str
    key: str
    value: str | None = None
    told: int = -1
    old: str | None = None


@dataclass(frozen=True)
class Stream:
    """The turns of all sessions, what is asked, and turns that no session has."""

    size: StreamSize
    turns: tuple[Turn, ...]
    told: tuple[Query, ...]
    changed: tuple[Query, ...]
    never_told: tuple[Query, ...]
    held_out: tuple[Turn, ...]

    def session(self, turn: int) -> int:
        return turn // self.size.turns


def draw_stream(bundle: ModelBundle, size: StreamSize, seed: int) -> Stream:
    """A stream of a seed. Values are never those of training; changes come in later sessions."""
    rng = random.Random(f"fact stream {seed}")
    source = FactSource(rng, values="held_out")
    facts = source.facts(size.sessions * size.facts)
    said: list[tuple[str, Fact | None]] = []
    changes: dict[str, tuple[Fact, Fact]] = {}
    told_at: dict[str, int] = {}
    for session in range(size.sessions):
        new = facts[session * size.facts : (session + 1) * size.facts]
        before = [f for f in facts[: session * size.facts] if f.key not in changes]
        lines: list[tuple[str, Fact | None]] = [(source.telling([f]).text, f) for f in new]
        for old in rng.sample(before, min(size.changes, len(before))):
            fact = other_value(source, old)
            changes[fact.key] = old, fact
            lines.append((source.update(fact, old.value).text, fact))
        lines += [(source.small_talk().text, None) for _ in range(size.turns - len(lines))]
        rng.shuffle(lines)
        for text, fact in lines:
            if fact is not None:
                told_at[fact.key] = len(said)
            said.append((text, fact))
    other = source.facts(48)
    held_out = [source.telling([fact]).text for fact in other]
    texts = [text for text, _ in said]
    restated = restate(bundle.model, bundle.dialogue, [*texts, *held_out], asking=False)
    turns = [
        Turn(text, restatement.notes)
        for text, restatement in zip([*texts, *held_out], restated, strict=True)
    ]
    same = [fact for fact in facts if fact.key not in changes]
    told = [(source.question(fact).text, fact.value, told_at[fact.key], None) for fact in same]
    changed = [
        (source.question(new).text, new.value, told_at[new.key], old.value)
        for old, new in changes.values()
    ]
    absent = source.absent_keys([*facts, *other], size.never_told)
    never = [(source.question(key).text, None, -1, None) for key in absent]
    asked = _queries(bundle, [*told, *changed, *never])
    first, second = len(told), len(told) + len(changed)
    return Stream(
        size,
        tuple(turns[: len(texts)]),
        tuple(asked[:first]),
        tuple(asked[first:second]),
        tuple(asked[second:]),
        tuple(turns[len(texts) :]),
    )


def _queries(
    bundle: ModelBundle, rows: Sequence[tuple[str, str | None, int, str | None]]
) -> list[Query]:
    found = asked_of(bundle.model, bundle.dialogue, [row[0] for row in rows])
    return [
        Query(question, item.key, value, told, old)
        for (question, value, told, old), item in zip(rows, found, strict=True)
    ]
