"""A clause as a speaker puts it: capitals, articles, "we" for "I", kin called by name as well."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from nestling.models.dialogue import owner_of
from nestling.training.told_facts.facts import Fact, Telling
from nestling.training.told_facts.open_families import OpenFact
from nestling.training.told_facts.templates import plural

_PLURAL_CHANCE = 0.1
_DEFINITE_CHANCE = 0.1


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def after(opener: str, body: str) -> str:
    """`body` as it follows `opener`: a capital after the end of a sentence."""
    return capital(body) if opener.endswith((". ", "! ", "? ")) else body


def own_of(fact: Fact) -> tuple[str, str] | None:
    """Of what is the speaker's, and has a name: its word and what is told of it, else None.

    "my sister's city" is of the sister, "my dog's breed" of the dog.
    """
    subject, relation = owner_of(fact.key)
    return (subject.removeprefix("my "), relation) if relation and subject[:3] == "my " else None


def introduced(rng: random.Random, telling: Telling, name: str) -> Telling:
    """A telling about kin that calls them by name as well: "my sister Ana works in Leeds".

    The name is noted as that of the sister, and the fact as Ana's. What cannot be said so stays as
    it is.
    """
    [fact] = telling.facts
    own = own_of(fact)
    if own is None:
        return telling
    said = re.search(rf"(my|our) {re.escape(own[0])}(?!\w)", telling.text, re.IGNORECASE)
    if said is None or name in telling.text:
        return telling
    end = said.end()
    comma = telling.text[end : end + 1] == " " and rng.random() < 0.3
    called = f", {name}," if comma else f" {name}"
    text = telling.text[:end] + called + telling.text[end:]
    who = Fact("me", own[0], name)
    return Telling(text, (who, fact.of(name)))


def with_article(rng: random.Random, fact: OpenFact) -> str:
    """A thing as it is spoken of: "the spare key", "my spare key", "Ana's spare key"."""
    if fact.family.bare or "'s " in fact.subject:
        return fact.subject
    pick = rng.random()
    return ("the " if pick < 0.45 else "my " if pick < 0.88 else "our ") + fact.subject


def reworded(rng: random.Random, fact: Fact) -> Callable[[str], str] | None:
    """At times "we" speak instead of "I", and "the dog" stands for "my dog"."""
    pick = rng.random()
    if pick < _PLURAL_CHANCE:
        return plural
    if pick < _PLURAL_CHANCE + _DEFINITE_CHANCE:
        label = "{l}" if isinstance(fact, OpenFact) else fact.relation
        return lambda form: form.replace(f"my {label}", f"the {label}")
    return None
