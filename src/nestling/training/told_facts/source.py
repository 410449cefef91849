"""Says facts: tellings, changes, questions and small talk, reproducibly."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import TypeVar

from nestling.training.told_facts import frames
from nestling.training.told_facts.fact_draws import FactDraws, relation_of
from nestling.training.told_facts.facts import Fact, Question, Telling
from nestling.training.told_facts.open_families import Family, OpenFact, families
from nestling.training.told_facts.relation import Relation
from nestling.training.told_facts.relations import parse_key
from nestling.training.told_facts.sentences import SentenceFact, all_sentences
from nestling.training.told_facts.slips import slip
from nestling.training.told_facts.small_talk import FURTHER, SMALL_TALK
from nestling.training.told_facts.splits import check_share, check_split
from nestling.training.told_facts.templates import Forms, TellingTemplate, american
from nestling.training.told_facts.wording import (
    after,
    capital,
    introduced,
    own_of,
    reworded,
    with_article,
)

T = TypeVar("T")

# How often kin is called by name as well: "my sister Ana".
_NAMED_CHANCE = 0.6
# How often something follows that is no part of the fact, where training may say more.
_TAIL_CHANCE = 0.25
_FURTHER_TALK_CHANCE = 0.3


@lru_cache(maxsize=1 << 14)
def _parsed(key: str) -> tuple[str, str]:
    return parse_key(key)


class FactSource(FactDraws):
    """Draws facts, and says what tells them, changes them and asks for them.

    Args:
        values: the split of values and names, as `odd_values` and `open_facts` of `FactDraws`.
        phrasings: the split of templates and frames.
        slips: share of clauses with a slip of the keyboard or tongue.
        further: add the phrasings that only training has.
        sentences: share of sentences among turns that tell several facts.

    Raises:
        ValueError: a split or share that there is not.
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
        super().__init__(rng, values=values, odd_values=odd_values, open_facts=open_facts)
        check_share("slips", slips)
        check_share("sentences", sentences)
        check_split("phrasings", phrasings)
        self._phrasings = phrasings
        self._slips = slips
        self._further = further
        self.sentences = sentences

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
    return fact.family if isinstance(fact, OpenFact) else relation_of(fact.relation)


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
