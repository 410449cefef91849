"""Draws facts reproducibly: whom they are about, what of them, and the values."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nestling.training.told_facts.facts import Fact, key_of
from nestling.training.told_facts.kinds import ALL_KINDS, any_value, odd_value
from nestling.training.told_facts.open_families import Family, OpenFact, families, weights
from nestling.training.told_facts.relation import Relation
from nestling.training.told_facts.relations import RELATIONS
from nestling.training.told_facts.sentences import Sentence, SentenceFact, all_sentences
from nestling.training.told_facts.splits import check_share, check_split, split_of
from nestling.training.told_facts.values import Draw, first_name, listed
from nestling.training.told_facts.word_lists import KIN

_IDS = tuple(RELATIONS)
_OTHERS_IDS = tuple(name for name, relation in RELATIONS.items() if not relation.only_me)
_KIN_CHANCE = 0.4
# Of open facts: about another person, and things that are another person's.
_OTHERS_CHANCE = 0.25
_OWNED_CHANCE = 0.1
# How often a family with values of its own takes one of them.
_OWN_VALUE_CHANCE = 0.6
_DRAWS_AT_MOST = 10_000


class FactDraws:
    """Draws facts and what they do not hold.

    Args:
        values: the split of values and names: "train" or "held_out".
        odd_values: share of values of another kind, or put together from two: what is said counts,
            not what would be likely.
        open_facts: share of facts of open relations.

    Raises:
        ValueError: a split or share that there is not.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        values: str = "train",
        odd_values: float = 0.0,
        open_facts: float = 0.0,
    ):
        check_split("values", values)
        check_share("odd_values", odd_values)
        check_share("open_facts", open_facts)
        self._rng = rng
        self._values = values
        self._odd_values = odd_values
        self._open_facts = open_facts
        # Kin words are grammar, as relations are: all of them are seen in training.
        self._kin = KIN

    def value(self, relation: str) -> str:
        """A value for `relation` out of this source's split of values."""
        return self._value_of_kind(relation_of(relation).kind)

    def value_of(self, fact: Fact) -> str:
        """Another value for a fact, out of this source's split of values."""
        if isinstance(fact, OpenFact):
            return self._value_of_family(fact.family)
        return self.value(fact.relation)

    def _value_of_family(self, family: Family) -> str:
        if family.values and self._rng.random() < _OWN_VALUE_CHANCE:
            return self._value_drawn(listed(family.values), family.name)
        return self._value_of_kind(self._rng.choice(family.kinds))

    def _value_of_kind(self, kind: str) -> str:
        return self._value_drawn(any_value if kind == "any" else ALL_KINDS[kind], kind)

    def _value_drawn(self, draw: Draw, name: str) -> str:
        if self._odd_values and self._rng.random() < self._odd_values:
            draw = odd_value
        for _ in range(_DRAWS_AT_MOST):
            value = draw(self._rng)
            if split_of(value) == self._values:
                return value
        raise RuntimeError(f"no {self._values} value found of {name!r}: widen its word list")

    def facts(self, count: int, *, people: int | None = None) -> list[Fact]:
        """`count` facts with distinct keys in random order, up to half of them about the speaker.

        `people` is the number of other subjects; each has several relations. Raises ValueError
        when `count` exceeds what that many people can hold.
        """
        if not self._open_facts:
            return self._known_facts(count, people)
        opened = sum(self._rng.random() < self._open_facts for _ in range(count))
        found = {fact.key: fact for fact in self._known_facts(count - opened, people)}
        while len(found) < count:
            fact = self.open_fact()
            found.setdefault(fact.key, fact)
        facts = list(found.values())
        self._rng.shuffle(facts)
        return facts

    def open_fact(self, family: Family | None = None) -> OpenFact:
        """A fact of an open relation: of `family`, else of any."""
        rng = self._rng
        if family is None:
            family = rng.choices(families(), weights())[0]
        word = family.draw(rng, self._values)
        if family.things:
            owned = not family.bare and rng.random() < _OWNED_CHANCE
            subject = f"{self._person()}'s {word}" if owned else word
            label = rng.choice(family.labels)
        else:
            me = family.only_me or rng.random() >= _OTHERS_CHANCE
            subject, label = ("me" if me else self._person()), word
        fact = OpenFact(subject, label, "", family)
        while not fact.value or subject in fact.value.split(" "):
            fact = OpenFact(subject, label, self.value_of(fact), family)
        return fact

    def sentence_fact(self, sentence: Sentence | None = None) -> SentenceFact:
        """Facts of one subject that one sentence states: of `sentence`, else of any."""
        rng = self._rng
        if sentence is None:
            sentence = rng.choice(all_sentences())
        me = sentence.only_me or rng.random() >= _OTHERS_CHANCE
        subject = "me" if me else self._person()
        values: list[str] = []
        for kinds, own in zip(sentence.kinds, sentence.values, strict=True):
            value = ""
            # A value that stands in another would be hard to tell apart from it.
            while not value or any(value in v or v in value for v in (subject, *values)):
                if own and (not kinds or rng.random() < _OWN_VALUE_CHANCE):
                    value = self._value_drawn(listed(own), " and ".join(sentence.labels))
                else:
                    value = self._value_of_kind(rng.choice(kinds))
            values.append(value)
        first, *further = zip(sentence.labels, values, strict=True)
        return SentenceFact(subject, *first, sentence, tuple(further))

    def _known_facts(self, count: int, people: int | None) -> list[Fact]:
        rng = self._rng
        own = min(round(count * rng.uniform(0.35, 0.5)), round(0.9 * len(_IDS)))
        if people == 0:
            own = count
        if people is None:
            people = max(1, round((count - own) / rng.uniform(3, 7)))
        subjects = self._subjects(people)
        room = len(subjects) * len(_OTHERS_IDS)
        own = max(own, count - room)
        if own > len(_IDS):
            raise ValueError(
                f"{count} facts do not fit {people} people: at most {len(_IDS) + room}"
            )
        slots = [("me", relation) for relation in rng.sample(_IDS, own)]
        others = count - own
        if others * 3 > room:
            pairs = [(subject, relation) for subject in subjects for relation in _OTHERS_IDS]
            slots += rng.sample(pairs, others)
        else:
            seen: set[tuple[str, str]] = set()
            while len(seen) < others:
                seen.add((subjects[len(seen) % len(subjects)], rng.choice(_OTHERS_IDS)))
            slots += sorted(seen)
        rng.shuffle(slots)
        return [
            Fact(subject, relation, self._value_for(subject, relation))
            for subject, relation in slots
        ]

    def absent_keys(self, facts: Sequence[Fact], count: int) -> list[str]:
        """`count` distinct keys that `facts` do not hold.

        Half of them are near misses: a subject that occurs, with a relation that occurs for
        another subject only.
        """
        rng = self._rng
        told = {fact.key for fact in facts}
        subjects = sorted({fact.subject for fact in facts}) or ["me"]
        relations = sorted({fact.relation for fact in facts} - {"name"}) or list(_OTHERS_IDS)
        absent: list[str] = []
        taken = set(told)
        attempts = 0
        while len(absent) < count:
            attempts += 1
            near = len(absent) < (count + 1) // 2 and attempts < 20 * count + 50
            if near:
                key = key_of(rng.choice(subjects), rng.choice(relations))
            elif rng.random() < 0.5:
                key = key_of("me", rng.choice(_IDS))
                key = key if key not in taken else key_of(self._person(), rng.choice(_OTHERS_IDS))
            else:
                key = key_of(self._person(), rng.choice(_OTHERS_IDS))
            if not near and self._open_facts and rng.random() < self._open_facts:
                key = self.open_fact().key
            if key not in taken:
                taken.add(key)
                absent.append(key)
        rng.shuffle(absent)
        return absent

    def _person(self) -> str:
        """A subject other than the speaker: kin or a first name."""
        if self._rng.random() < _KIN_CHANCE:
            return self._rng.choice(self._kin)
        return self._first_name()

    def _first_name(self) -> str:
        while True:
            name = first_name(self._rng)
            if split_of(name) == self._values:
                return name

    def _subjects(self, count: int) -> list[str]:
        kin = min(round(count * self._rng.uniform(0.2, 0.6)), len(self._kin))
        chosen = dict.fromkeys(self._rng.sample(self._kin, kin))
        while len(chosen) < count:
            chosen[self._first_name()] = None
        return list(chosen)

    def _value_for(self, subject: str, relation: str) -> str:
        while True:
            value = self.value(relation)
            if subject not in value.split(" "):
                return value


def relation_of(label: str) -> Relation:
    """The known relation of this name. Raises ValueError where there is none."""
    try:
        return RELATIONS[label]
    except KeyError:
        raise ValueError(f"{label!r} is no relation; choose one of RELATIONS") from None
