"""Sentences that state two or three facts of one subject at once: "Ana is a vet in Leeds".

They are read from `sentences.toml`: labels, the kinds of values of each, perhaps values of its own,
and tellings in the grammar of `templates` with more slots:

    {v} {a}   the first value and its article        {x} {c}   the third
    {w} {b}   the second

What they state is asked and changed as it is when it was told alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from nestling.models.dialogue import owner_of
from nestling.training.told_facts.facts import Fact
from nestling.training.told_facts.splits import SPLITS
from nestling.training.told_facts.templates import TellingTemplate, article, telling_template

FILE = Path(__file__).parent / "sentences.toml"
# Slots of the values after the first, and of their articles.
_SLOTS = (("w", "b"), ("x", "c"))


@dataclass(frozen=True)
class Sentence:
    """Labels in the order of their slots, kinds and own values of each, all that may be said."""

    labels: tuple[str, ...]
    kinds: tuple[tuple[str, ...], ...]
    values: tuple[tuple[str, ...], ...]
    only_me: bool
    tellings: dict[str, tuple[TellingTemplate, ...]] = field(repr=False)


@dataclass(frozen=True)
class SentenceFact(Fact):
    """The first fact of a sentence; `further` are the labels and values of the others."""

    sentence: Sentence
    further: tuple[tuple[str, str], ...]

    @property
    def notes(self) -> tuple[Fact, ...]:
        """All that the sentence states."""
        first = Fact(self.subject, self.relation, self.value)
        return first, *(Fact(self.subject, label, value) for label, value in self.further)

    @property
    def slots(self) -> dict[str, str]:
        """What stands in the slots that one fact alone does not have."""
        found = {}
        for (slot, an), (_, value) in zip(_SLOTS, self.further, strict=False):
            found |= {slot: value, an: article(value)}
        return found

    def of(self, name: str) -> SentenceFact:
        """The same facts of somebody by name: "my dog's age" as "Rex's age"."""
        further = tuple((owner_of(fact.key)[1], fact.value) for fact in self.notes[1:])
        return replace(super().of(name), further=further)


def sentence_of(values: Mapping[str, Any]) -> Sentence:
    """Read one sentence.

    Raises:
        KeyError: one of labels, kinds, tell is missing.
    """
    labels = tuple(values["labels"])
    own = values.get("values", [()] * len(labels))
    return Sentence(
        labels,
        tuple(map(tuple, values["kinds"])),
        tuple(map(tuple, own)),
        values.get("only_me", False),
        dict.fromkeys(SPLITS, tuple(map(telling_template, values["tell"]))),
    )


@cache
def all_sentences() -> tuple[Sentence, ...]:
    """All sentences; read when they are first asked for."""
    read = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(sentence_of(values) for values in read["sentence"])
