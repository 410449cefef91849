"""Draws facts, tellings, questions and small talk reproducibly."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import TypeVar

from nestling.training.told_facts import frames
from nestling.training.told_facts.facts import Fact, Question, Telling, key_of
from nestling.training.told_facts.kinds import ALL_KINDS, any_value, odd_value
from nestling.training.told_facts.open_families import Family, OpenFact, families, weights
from nestling.training.told_facts.relation import Relation
from nestling.training.told_facts.relations import RELATIONS, parse_key
from nestling.training.told_facts.sentences import Sentence, SentenceFact, all_sentences
from nestling.training.told_facts.slips import slip
from nestling.training.told_facts.small_talk import FURTHER, SMALL_TALK
from nestling.training.told_facts.splits import check_split, split_of
from nestling.training.told_facts.templates import Forms, TellingTemplate, american
from nestling.training.told_facts.values import Draw, first_name, listed
from nestling.training.told_facts.word_lists import KIN
from nestling.training.told_facts.wording import (
    after,
    capital,
    introduced,
    own_of,
    reworded,
    with_article,
)

T = TypeVar("T")

_IDS = tuple(RELATIONS)
_OTHERS_IDS = tuple(name for name, relation in RELATIONS.items() if not relation.only_me)
_KIN_CHANCE = 0.4
# Of open facts: about another person, and things that are another person's.
_OTHERS_CHANCE = 0.25
_OWNED_CHANCE = 0.1
# How often kin is called by name as well: "my sister Ana".
_NAMED_CHANCE = 0.6
# How often something follows that is no part of the fact, where training may say more.
_TAIL_CHANCE = 0.25
_FURTHER_TALK_CHANCE = 0.3
# How often a family with values of its own takes one of them.
_OWN_VALUE_CHANCE = 0.6
_DRAWS_AT_MOST = 10_000


@lru_cache(maxsize=1 << 14)
def _parsed(key: str) -> tuple[str, str]:
    return parse_key(key)


class FactSource:
    """Draws facts, tellings and questions reproducibly.

    `values` is the split of the values and names, `phrasings` that of templates and frames:
    "train" or "held_out"; `slips` is the share of clauses with a slip of the keyboard or tongue,
    `odd_values` that of values of another kind, or put together from two: what is said counts, not
    what would be likely; `further` adds the phrasings that only training has; `open_facts` is the
    share of facts of open relations, `sentences` that of sentences among turns that tell several
    facts. Raises ValueError for any other split or share.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        values: str = "train",
        phrasings: str = "train",
        slips: float = 0.0,
        odd_values: float = 0.0,
        further: bool = False,
        open_facts: float = 0.0,
        sentences: float = 0.0,
    ):
        shares = {
            "slips": slips,
            "odd_values": odd_values,
            "open_facts": open_facts,
            "sentences": sentences,
        }
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is a share between 0 and 1, got {share}")
        check_split("values", values)
        check_split("phrasings", phrasings)
        self._rng = rng
        self._values = values
        self._phrasings = phrasings
        self._slips = slips
        self._odd_values = odd_values
        self._further = further
        self._open_facts = open_facts
        self.sentences = sentences
        # Kin words are grammar, as relations are: all of them are seen in training.
        self._kin = KIN

    def value(self, relation: str) -> str:
        """A value for `relation` out of this source's split of values."""
        return self._value_of_kind(_relation(relation).kind)

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

    def telling(self, facts: Sequence[Fact]) -> Telling:
        """One turn that states 1 to 3 `facts` in this order, else raises ValueError."""
        if not 1 <= len(facts) <= 3:
            raise ValueError(
                f"a telling states 1 to 3 facts, not {len(facts)}: split them over turns"
            )
        if len(facts) > 1:
            return Telling(self._joined(facts), tuple(facts))
        fact = facts[0]
        says = fact.sentence if isinstance(fact, SentenceFact) else _phrasings(fact)
        template = self._pick(self._known(says.tellings))
        telling = Telling(self._framed(template, fact, "", None), (fact,))
        if self._open_facts and own_of(fact) and self._rng.random() < _NAMED_CHANCE:
            return introduced(self._rng, telling, self._first_name())
        return telling

    def update(self, fact: Fact, old: str | None = None) -> Telling:
        """A turn that tells `fact` as a change, in part naming the `old` value if given."""
        choices = self._known(_phrasings(fact).updates)
        wanted = old is not None and self._rng.random() < 0.6
        fitting = tuple(t for t in choices if t.needs_old == wanted)
        if not fitting:
            fitting = tuple(t for t in choices if old is not None or not t.needs_old)
        if not fitting:
            return Telling(
                self._framed(
                    self._pick(self._known(_phrasings(fact).tellings)),
                    fact,
                    "",
                    frames.UPDATE_OPENERS,
                ),
                (fact,),
            )
        return Telling(
            self._framed(self._pick(fitting), fact, old or "", frames.UPDATE_OPENERS), (fact,)
        )

    def question(self, key_or_fact: Fact | str) -> Question:
        """A question for a fact or a key. Raises ValueError for a key of no known relation."""
        fact = key_or_fact if isinstance(key_or_fact, Fact) else Fact(*_parsed(key_or_fact), "")
        key, subject, rng = fact.key, fact.subject, self._rng
        choices = self._known(_phrasings(fact).questions)
        template = choices[int(rng.random() * len(choices))]
        pick = rng.random()
        casual = rng.random() < 0.1
        if pick < 0.5 or (pick < 0.58 and not template.noun and template.said is None):
            opener = self._frame(frames.QUESTION_OPENERS) if rng.random() < 0.25 else ""
            forms = template.indirect if template.noun and rng.random() < 0.4 else template.direct
            text = opener + after(opener, self._fill(forms, fact, casual=casual)) + "?"
        elif pick < 0.58 and template.said is not None:
            text = self._fill(template.said, fact, casual=casual) + "?"
        else:
            table = frames.INDIRECT_NOUN if template.noun else frames.INDIRECT
            text = self._frame(table).replace(
                "*", self._fill(template.indirect, fact, casual=casual)
            )
        if casual:
            text = text.rstrip("?.") + ("?" if rng.random() < 0.3 else "")
            return Question(
                text
                if text[:1] == "I"
                else text[:1].lower() + text[1:]
                if not text.startswith(subject)
                else text,
                key,
            )
        return Question(capital(text), key)

    def small_talk(self) -> Telling:
        """A turn that states no fact and asks for none."""
        further = self._further and self._rng.random() < _FURTHER_TALK_CHANCE
        text = self._rng.choice(FURTHER if further else SMALL_TALK[self._phrasings])
        if self._slips and self._rng.random() < self._slips:
            text = slip(self._rng, text)
        return Telling(text, ())

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

    def _fill(
        self, forms: Forms, fact: Fact, value: str = "", old: str = "", casual: bool = False
    ) -> str:
        rng, slips = self._rng, self._slips
        change = reworded(rng, fact) if self._open_facts and not casual else None
        if isinstance(fact, SentenceFact):
            more = fact.slots
            return forms.fill(rng, fact.subject, value, "", casual, slips, change=change, more=more)
        if not isinstance(fact, OpenFact):
            return forms.fill(rng, fact.subject, value, old, casual, slips, change=change)
        if fact.family.things:
            thing = with_article(rng, fact)
            return forms.fill(rng, "me", value, old, casual, slips, thing=thing, change=change)
        label = american(fact.relation) if rng.random() < 0.2 else fact.relation
        return forms.fill(rng, fact.subject, value, old, casual, slips, label, change=change)

    def _known(self, table: Mapping[str, tuple[T, ...]]) -> tuple[T, ...]:
        """What this source may say out of a table by split.

        What is held out of a relation, but said of an open one in training, is not held out.
        """
        texts = table[self._phrasings]
        if self._phrasings == "held_out" and texts is not table["train"]:
            told = texts_told()
            texts = tuple(text for text in texts if getattr(text, "text", text) not in told)
        return texts + table.get("further", ()) if self._further else texts

    def _frame(self, table: dict[str, tuple[str, ...]]) -> str:
        texts = self._known(table)
        return texts[int(self._rng.random() * len(texts))]

    def _pick(self, templates: tuple[TellingTemplate, ...]) -> TellingTemplate:
        return templates[int(self._rng.random() * len(templates))]

    def _framed(
        self,
        template: TellingTemplate,
        fact: Fact,
        old: str,
        openers: dict[str, tuple[str, ...]] | None,
    ) -> str:
        """One telling between an opener and a closer, sometimes careless about case and stop."""
        rng = self._rng
        casual = rng.random() < 0.12
        body = self._fill(template.forms, fact, fact.value, old, casual)
        opener = ""
        question = False
        if rng.random() < 0.5:
            table = (
                openers
                if openers is not None and rng.random() < 0.7
                else (
                    frames.CLAUSE_OPENERS
                    if template.clause and rng.random() < 0.5
                    else frames.ANY_OPENERS
                )
            )
            opener = self._frame(table)
            if opener.endswith(": ") and not template.clause:
                opener = ""
            question = opener.startswith(("Did ", "Can ", "Could "))
        closer = ""
        if self._further:
            closes = not question and rng.random() < _TAIL_CHANCE
        else:
            closes = not question and not opener and template.clause and rng.random() < 0.2
        if closes:
            closer = self._frame(frames.CLOSERS)
        starts_with_value = template.forms.value_first and not opener
        if opener:
            body = body if template.forms.value_first else after(opener, body)
            opener = opener.lower() if casual else opener
        text = opener + body + closer
        if not casual and not starts_with_value:
            text = capital(text)
        return text + ("?" if question and rng.random() < 0.8 else self._stop(casual))

    def _stop(self, casual: bool) -> str:
        pick = self._rng.random()
        if casual:
            return "" if pick < 0.8 else "."
        return "." if pick < 0.86 else "" if pick < 0.92 else "!" if pick < 0.985 else " :)"

    def _joined(self, facts: Sequence[Fact]) -> str:
        """Two or three tellings in one turn, joined into one sentence or side by side."""
        rng = self._rng
        casual = rng.random() < 0.1
        joint = self._frame(frames.PAIR_JOINTS)
        text, previous, previous_shares = "", None, False
        for place, fact in enumerate(facts):
            template = self._clause(fact)
            body = self._fill(template.forms, fact, fact.value, casual=casual)
            shared = template.shared
            if place == 0:
                text = body if casual or template.forms.value_first else capital(body)
                if rng.random() < 0.25:
                    opener = self._frame(frames.ANY_OPENERS)
                    text = opener + (body if template.forms.value_first else after(opener, body))
            else:
                last = place == len(facts) - 1
                link = joint if last or ". " in joint else ", "
                same = previous is not None and previous.subject == fact.subject
                if same and shared and previous_shares and last and rng.random() < 0.5:
                    body = self._fill(shared, fact, fact.value, casual=casual)
                    link = " and "
                elif not casual and not template.forms.value_first:
                    body = after(link, body)
                text += link + body
            previous, previous_shares = fact, shared is not None
        return text + self._stop(casual)

    def _clause(self, fact: Fact) -> TellingTemplate:
        choices = self._known(_phrasings(fact).tellings)
        for _ in range(20):
            template = self._pick(choices)
            if template.clause:
                return template
        return choices[0]


def _phrasings(fact: Fact) -> Relation | Family:
    return fact.family if isinstance(fact, OpenFact) else _relation(fact.relation)


@cache
def texts_told() -> frozenset[str]:
    """Every template of the open relations and of sentences; all of them are for training."""
    tables = [
        table
        for family in families()
        for table in (family.tellings, family.updates, family.questions)
    ]
    tables += [sentence.tellings for sentence in all_sentences()]
    return frozenset(template.text for table in tables for template in table["train"])


def _relation(label: str) -> Relation:
    try:
        return RELATIONS[label]
    except KeyError:
        raise ValueError(f"{label!r} is no relation; choose one of RELATIONS") from None
