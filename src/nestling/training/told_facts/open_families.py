"""Open relations: what the key says is the speaker's own word, "blood type", "plumber", "hamster".

Families of them are read from the folder `open`. A family is a set of labels, or of things, that
may be spoken of in the same ways.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from nestling.training.told_facts.facts import Fact
from nestling.training.told_facts.phrasings import read_asks
from nestling.training.told_facts.splits import SPLITS, split_of
from nestling.training.told_facts.templates import (
    QuestionTemplate,
    TellingTemplate,
    question_template,
    telling_template,
)

FOLDER = Path(__file__).parent / "open"
# Below, all labels are trained on: too few to hold any of them out.
DIVIDED_FROM = 8


@dataclass(frozen=True)
class Family:
    """Labels, or things with the one label "place" or "time", and all that may be said of them.

    The phrasings are the same in both splits; labels and things are divided where there are
    enough. A `bare` thing takes no article ("running"); `only_me` is as in `Relation`. What is told
    of the family is noted under the label `also`, too: liked food is something liked. `values` are
    its own, drawn beside those of its kinds. `weight` is how often it is drawn, beside others of
    as many words.
    """

    name: str
    labels: tuple[str, ...]
    kinds: tuple[str, ...]
    tellings: dict[str, tuple[TellingTemplate, ...]] = field(repr=False)
    updates: dict[str, tuple[TellingTemplate, ...]] = field(repr=False)
    questions: dict[str, tuple[QuestionTemplate, ...]] = field(repr=False)
    things: tuple[str, ...] = ()
    bare: bool = False
    only_me: bool = False
    also: str | None = None
    values: tuple[str, ...] = ()
    weight: float = 1.0

    @property
    def words(self) -> tuple[str, ...]:
        """What tells one relation of the family from another."""
        return self.things or self.labels

    def draw(self, rng: random.Random, split: str) -> str:
        """One of its words, of a split."""
        words = self.words
        if len(words) >= DIVIDED_FROM:
            words = tuple(word for word in words if split_of(word) == split) or words
        return rng.choice(words)


@dataclass(frozen=True)
class OpenFact(Fact):
    """A fact of an open relation, and the family that knows how to speak of it."""

    family: Family

    @property
    def notes(self) -> tuple[Fact, ...]:
        """The fact, and the wider one that it implies if there is one."""
        if self.family.also is None:
            return (self,)
        return self, Fact(self.subject, self.family.also, self.value)


def family_of(values: Mapping[str, Any]) -> Family:
    """Read one family.

    Raises:
        KeyError: one of name, labels, kinds, tell, ask, update is missing.
    """
    return Family(
        values["name"],
        tuple(values["labels"]),
        tuple(values["kinds"]),
        _both([telling_template(text) for text in values["tell"]]),
        _both([telling_template(text) for text in values["update"]]),
        _both([question_template(ask) for ask in read_asks(values["ask"])]),
        tuple(values.get("things", ())),
        values.get("bare", False),
        values.get("only_me", False),
        values.get("also"),
        tuple(values.get("values", ())),
        values.get("weight", 1.0),
    )


def _both(templates: Sequence[Any]) -> dict[str, tuple[Any, ...]]:
    return dict.fromkeys(SPLITS, tuple(templates))


def read_families(folder: Path) -> tuple[Family, ...]:
    """The families of every file of a folder."""
    return tuple(
        family_of(values)
        for path in sorted(folder.glob("*.toml"))
        for values in tomllib.loads(path.read_text(encoding="utf-8"))["family"]
    )


@cache
def families() -> tuple[Family, ...]:
    """All families; read when they are first asked for, since most runs do without."""
    return read_families(FOLDER)


@cache
def weights() -> tuple[float, ...]:
    """How often each family is drawn: more often the more words it has, but not in proportion.

    Those of one word have wordings of their own, and are drawn as often as ones of nine.
    """
    return tuple(family.weight * max(3.0, len(family.words) ** 0.5) for family in families())
