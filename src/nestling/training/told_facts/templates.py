"""Sentence templates: parsed once, filled thousands of times a second.

A template is a lower-case clause without final punctuation, with these slots:

    {v}           the value, verbatim            {a}    "a" or "an", as the value needs
    {old}         the value it replaces          {obj}  "me" or "Ana"
    {subj}        "I" or "Ana"                   {poss} "my" or "Ana's"
    {work|works}  first person | third person
    {l}           the word for the relation      {t}    a thing: "the spare key", "my spare key"
    {h}           that word without its last part: "gate" of "gate code"

A leading "!" marks a text that is no clause ("call me {v}"), so "please remember that" cannot
stand before it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nestling.training.told_facts.slips import slip

_AGREEMENT = re.compile(r"\{([^{}|]*)\|([^{}|]*)\}")
_CONTRACTIONS = (
    ("I am ", "I'm "),
    ("what is ", "what's "),
    ("who is ", "who's "),
    ("where is ", "where's "),
    ("when is ", "when's "),
    ("it is ", "it's "),
    ("I would ", "I'd "),
    ("{subj} is ", "{subj}'s "),
    ("{subj} has been ", "{subj}'s been "),
    ("{subj} has got ", "{subj}'s got "),
)
# "my brother is a plumber", in a text that writes the speaker's kin out.
_OWN_IS = re.compile(r"\b(my \w+) is (?=\{)")
_PLURAL = (
    ("am I", "are we"),
    ("was I", "were we"),
    ("I am", "we are"),
    ("I'm", "we're"),
    ("I was", "we were"),
    ("I", "we"),
    ("my", "our"),
    ("me", "us"),
    ("mine", "ours"),
    ("myself", "ourselves"),
)
_AMERICAN = (("favourite", "favorite"), ("colour", "color"), ("neighbour", "neighbor"))
_SAID = re.compile(r"^(what|where|who|when) (\{(?:poss|subj)\}.*)$")


def _replace_all(text: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        text = re.sub(rf"(?<!\w){re.escape(old)}", new, text)
    return text


def plural(text: str) -> str:
    """What "I" say, as "we" say it: "my cat" is our cat."""
    for old, new in _PLURAL:
        text = re.sub(rf"\b{old}\b", new, text)
    return text


def article(value: str) -> str:
    """ "a" or "an", as a value needs."""
    return "an" if value[:1] in tuple("aeiouAEIOU") else "a"


def american(text: str) -> str:
    """The text in American spelling."""
    return _replace_all(text, _AMERICAN)


def _variants(text: str) -> tuple[str, ...]:
    contracted = _OWN_IS.sub(r"\1's ", _replace_all(text, _CONTRACTIONS))
    plain = [text, contracted, contracted]
    american_ = american(contracted)
    return tuple([*plain, american_]) if american_ != contracted else tuple(dict.fromkeys(plain))


def _casual(text: str) -> str:
    return re.sub(r"\bI\b", "i", text)


@dataclass(frozen=True)
class Forms:
    """The ready format strings of one text, for the speaker and for anyone else."""

    first: tuple[str, ...]
    third: tuple[str, ...]
    first_casual: tuple[str, ...]
    third_casual: tuple[str, ...]
    value_first: bool

    def fill(
        self,
        rng: random.Random,
        subject: str,
        value: str = "",
        old: str = "",
        casual: bool = False,
        slips: float = 0.0,
        label: str = "",
        thing: str = "",
        change: Callable[[str], str] | None = None,
        more: Mapping[str, str] | None = None,
    ) -> str:
        """The text about `subject`; it starts in lower case unless a name or the value leads.

        `slips` is the chance of one slip of the keyboard or the tongue, `label` and `thing` what
        stands in {l} and {t}; `change` rewords what the speaker says of the own person; `more` are
        further slots.
        """
        head = label.rpartition(" ")[0]
        slots = {"v": value, "old": old, "a": article(value), "l": label, "h": head, "t": thing}
        slots |= more or {}
        if subject == "me":
            forms = self.first_casual if casual else self.first
            form = _with_slip(rng, forms[int(rng.random() * len(forms))], slips)
            form = form if change is None else change(form)
            return form.format(**slots)
        forms = self.third_casual if casual else self.third
        form = _with_slip(rng, forms[int(rng.random() * len(forms))], slips)
        return form.format(**slots, subj=subject, obj=subject, poss=subject + "'s")


def _with_slip(rng: random.Random, form: str, chance: float) -> str:
    return slip(rng, form) if chance and rng.random() < chance else form


def _their(text: str) -> str:
    """Let every possessive after the first mention of the person read "their"."""
    head, slot, tail = text.partition(
        min(("{subj}", "{obj}", "{poss}"), key=lambda name: text.find(name) % (len(text) + 1))
    )
    return head + slot + tail.replace("{poss}", "their")


def compile_forms(text: str) -> Forms:
    """Parse one template text; raises KeyError or ValueError at the first fill of a bad slot."""
    first = _AGREEMENT.sub(lambda match: match[1], text)
    first = first.replace("{subj}", "I").replace("{obj}", "me").replace("{poss}", "my")
    third = _their(_AGREEMENT.sub(lambda match: match[2], text))
    firsts, thirds = _variants(first), _variants(third)
    return Forms(
        firsts,
        thirds,
        tuple(map(_casual, firsts)),
        tuple(map(_casual, thirds)),
        text.startswith("{v}"),
    )


@dataclass(frozen=True)
class TellingTemplate:
    """One way to tell a fact; `shared` is the verb phrase alone, when the subject leads."""

    text: str
    clause: bool
    needs_old: bool
    forms: Forms
    shared: Forms | None


@dataclass(frozen=True)
class QuestionTemplate:
    """One way to ask: `direct` ("where do I live"), `indirect` ("where I live"), and `said`
    ("where did I say I live") where the wording allows it. A noun phrase has `noun` set."""

    text: str
    direct: Forms
    indirect: Forms
    said: Forms | None
    noun: bool


def telling_template(text: str) -> TellingTemplate:
    """Parse one telling; see the module's description for the slots."""
    clause = not text.startswith("!")
    body = text.lstrip("!")
    shared = compile_forms(body[len("{subj} ") :]) if body.startswith("{subj} ") else None
    return TellingTemplate(text, clause, "{old}" in body, compile_forms(body), shared)


def question_template(ask: str | tuple[str, str]) -> QuestionTemplate:
    """Parse one question: a (direct, indirect) pair, or a noun phrase ("{poss} dog's name")."""
    if isinstance(ask, str):
        forms = compile_forms(ask)
        return QuestionTemplate(ask, compile_forms(f"what is {ask}"), forms, None, True)
    direct, indirect = ask
    match = _SAID.match(indirect)
    said = compile_forms(f"{match[1]} did I say {match[2]}") if match else None
    return QuestionTemplate(direct, compile_forms(direct), compile_forms(indirect), said, False)
