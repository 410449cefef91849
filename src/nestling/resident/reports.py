"""What a resident says of what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nestling.models.asking import Asked
from nestling.models.dialogue import Note
from nestling.models.restate import WriteReport


@dataclass(frozen=True)
class Learned:
    """What became of a text: the notes made of it (none of small talk) and what each write did."""

    text: str
    notes: tuple[Note, ...]
    reports: tuple[WriteReport, ...]
    milliseconds: float


@dataclass(frozen=True)
class Answer:
    """`key` is what was taken to be asked; `text` is "I don't know." where `known` is False.

    `found` are the texts of the journal that were read for it, the best first; none where the
    weights answered alone. `noted` is what the turn told besides, and `others` answer what it asked
    before.
    """

    text: str
    logprob: float
    known: bool
    key: str
    milliseconds: float
    found: tuple[str, ...] = ()
    noted: tuple[Note, ...] = ()
    others: tuple[Answer, ...] = ()


@dataclass(frozen=True)
class Heard:
    """What a turn tells, the notes of that, and what it asks, in its order."""

    told: str
    notes: tuple[Note, ...]
    asked: tuple[Asked, ...]


@dataclass(frozen=True)
class Compared:
    """One question, answered with or without the memory, with or without texts found for it."""

    question: str
    weights: Answer
    nothing: Answer
    text: Answer
    both: Answer


@dataclass(frozen=True)
class Forgotten:
    """What was forgotten. `scrubbed` says that no file of the memory holds it any more."""

    entries: int
    notes: int
    scrubbed: bool
    milliseconds: float


@dataclass(frozen=True)
class Verified:
    """`replayed`: the snapshot is, bit for bit, what replaying the journal gives.

    `snapshots` are those of earlier versions that are as they were written, of `kept` in all.
    """

    entries: int
    replayed: bool
    snapshots: int
    kept: int
    milliseconds: float


@dataclass(frozen=True)
class Rebuilt:
    """What a replay of the journal went through."""

    entries: int
    notes: int
    milliseconds: float


@dataclass(frozen=True)
class RolledBack:
    """From which version to which; `version` is the new one, which knows what `to` knew."""

    from_version: int
    to_version: int
    version: int
    milliseconds: float


@dataclass(frozen=True)
class Changed:
    """A question whose answer is another one at another version; None for "I don't know"."""

    question: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Difference:
    """What changed from one version to another.

    Args:
        norms: L2 norm of the change of each level's delta.
        changed: of the keys that were told by either version and the questions that were given,
            those whose answers differ.
        asked: how many there were.
    """

    before: int
    after: int
    norms: Mapping[str, float]
    changed: tuple[Changed, ...]
    asked: int


@dataclass(frozen=True)
class Source:
    """A turn, and what an answer is worth without it.

    `margin` is that of the answer in a memory that was never told this turn; `weight` is how much
    lower it is than with it, in nats.
    """

    entry: int
    time: str
    text: str
    margin: float
    weight: float


@dataclass(frozen=True)
class Why:
    """Where an answer comes from: its margin in nats, and the turns that matter, the most first.

    `tried` turns were left out, one at a time, of `told` that told anything. Of what the memory
    does not know, the sources are the turns that noted its key all the same, with no weight.
    """

    answer: Answer
    margin: float
    sources: tuple[Source, ...]
    tried: int
    told: int


@dataclass(frozen=True)
class Collected:
    """Bytes that were freed, snapshots that are kept, files that could not be removed."""

    freed: int
    snapshots: int
    left: int
