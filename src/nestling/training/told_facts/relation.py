"""What the generator knows of one relation, and the phrase families that relations share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from nestling.training.told_facts.phrasings import FURTHER, Ask, Phrasings
from nestling.training.told_facts.splits import partition
from nestling.training.told_facts.templates import (
    QuestionTemplate,
    TellingTemplate,
    question_template,
    telling_template,
)

Template = TypeVar("Template", TellingTemplate, QuestionTemplate)

# Never said in training. Of these relations, open ones say all else that is held out.
HELD_OUT = {
    "birthday": Phrasings(
        tell=(
            "{subj} {blow|blows} out the candles on {v}",
            "{poss} passport gives the date of birth {v}",
        )
    ),
    "hobby": Phrasings(
        ask=(
            ("what {do|does} {subj} fill the weekends with", "what fills {poss} weekends"),
            "the pastime {subj} {enjoy|enjoys} most",
        )
    ),
    "job": Phrasings(
        ask=(
            ("what {am|is} {subj} employed as", "what {subj} {am|is} employed as"),
            ("how {do|does} {subj} earn a wage", "how {subj} {earn|earns} a wage"),
        )
    ),
}
ATTRIBUTE_UPDATES = (
    "{poss} L is now {v}",
    "{poss} new L is {v}",
    "{poss} L is {v} now",
    "{poss} L has changed to {v}",
    "actually, {poss} L is {v}",
    "it turns out {poss} L is {v}",
    "{poss} L changed, it is {v} now",
    "{poss} L is no longer {old}, it is {v}",
    "{poss} L is {v}, not {old}",
    "{poss} L used to be {old}, but now it is {v}",
    "{poss} L changed from {old} to {v}",
    "forget what I said, {poss} L is {v}",
    "I was wrong, {poss} L is {v}",
    "from now on {poss} L is {v}",
    "instead of {old}, {poss} L is now {v}",
)
NAMED_UPDATES = (
    "actually, {poss} L is called {v}",
    "I got it wrong, {poss} L's name is {v}",
    "{poss} L's name is really {v}",
    "{poss} L goes by {v} now",
    "I meant that {poss} L is called {v}",
    "{poss} L is called {v}, not {old}",
    "{poss} L's name is not {old} but {v}",
    "{poss} L is not called {old}, the right name is {v}",
    "it turns out {poss} L is called {v}",
    "sorry, the name of {poss} L is {v}",
    "{poss} L is now called {v}",
    "{poss} L's name is no longer {old}, it is {v}",
)
REPLACED_UPDATES = (
    *NAMED_UPDATES,
    "{poss} new L is called {v}",
    "{v} is {poss} new L",
    "{subj} {have|has} a new L now, called {v}",
    "{poss} L is no longer {old}, it is {v} now",
    "{poss} L used to be {old}, but now it is {v}",
    "{subj} {have|has} a new L and the name is {v}",
)


@dataclass(frozen=True)
class Relation:
    """One relation: its label (also its id), its kind of value and its phrasings by split; those
    under "further" are for training alone.

    `only_me` is set for a relation that is only told of the speaker.
    """

    label: str
    kind: str
    only_me: bool
    tellings: dict[str, tuple[TellingTemplate, ...]]
    updates: dict[str, tuple[TellingTemplate, ...]]
    questions: dict[str, tuple[QuestionTemplate, ...]]


def relation(
    label: str,
    kind: str,
    tell: Sequence[str],
    ask: Sequence[Ask],
    update: Sequence[str] = (),
    *,
    shared_updates: Sequence[str] = ATTRIBUTE_UPDATES,
    only_me: bool = False,
) -> Relation:
    """Build a relation; "L" alone in a text stands for the label.

    What `FURTHER` knows of the label is kept apart, under "further", so that neither split changes.

    Raises ValueError when fewer than six tellings, updates or questions are given.
    """

    def named(text: str) -> str:
        return " ".join(
            label + word[1:] if word in ("L", "L's", "L,", "L:") else word
            for word in text.split(" ")
        )

    tellings = [telling_template(named(text)) for text in dict.fromkeys(tell)]
    updates = [telling_template(named(text)) for text in dict.fromkeys((*update, *shared_updates))]
    questions = [
        question_template(
            named(item) if isinstance(item, str) else (named(item[0]), named(item[1]))
        )
        for item in dict.fromkeys(ask)
    ]
    further, held_out = (table.get(label, Phrasings()) for table in (FURTHER, HELD_OUT))
    further_tellings, further_updates, never = (
        [telling_template(text) for text in texts]
        for texts in (further.tell, further.update, held_out.tell)
    )
    further_questions, never_asked = (
        [question_template(ask) for ask in asks] for asks in (further.ask, held_out.ask)
    )
    return Relation(
        label,
        kind,
        only_me,
        divide(f"{label} telling", tellings, further_tellings, never),
        divide(f"{label} update", updates, further_updates),
        divide(f"{label} question", questions, further_questions, never_asked),
    )


def divide(
    scope: str,
    templates: Sequence[Template],
    further: Sequence[Template],
    held_out: Sequence[Template] = (),
) -> dict[str, tuple[Template, ...]]:
    """Both splits of `templates`, more that are `held_out`, and the `further` ones that are new."""
    splits = partition(scope, templates, [template.text for template in templates])
    known = {template.text for template in templates}
    new = tuple(template for template in further if template.text not in known)
    return {**splits, "held_out": (*splits["held_out"], *held_out), "further": new}


NAMED_TELLINGS = (
    "{poss} L is called {v}",
    "{poss} L's name is {v}",
    "{v} is {poss} L's name",
    "the name of {poss} L is {v}",
    "{v} is what {poss} L is called",
    "{poss} L is named {v}",
    "{poss} L goes by the name {v}",
    "!the name of {poss} L: {v}",
)
NAMED_QUESTIONS: tuple[Ask, ...] = (
    ("what is {poss} L called", "what {poss} L is called"),
    ("what is {poss} L's name", "what {poss} L's name is"),
    ("what is {poss} L named", "what {poss} L is named"),
    "the name of {poss} L",
    "{poss} L's name",
    ("what name does {poss} L have", "what name {poss} L has"),
    ("which name does {poss} L go by", "which name {poss} L goes by"),
)

# Further ways to speak of people and pets; a relation takes those that fit it.
KIN_QUESTIONS = (("what do people call {poss} L", "what people call {poss} L"),)
PERSON_TELLINGS = (
    "!{poss} L: {v}",
    "by {v}, {subj} {mean|means} {poss} L",
    "the one called {v} is {poss} L",
    "{poss} L answers to {v}",
)
PET_TELLINGS = ("!{poss} L: {v}", "{poss} L answers to {v}", "{poss} L has the name {v}")
AGAIN_QUESTIONS = (
    ("what was {poss} L's name again", "what {poss} L's name was"),
    ("which name did I give you for {poss} L", "which name I gave you for {poss} L"),
)
PERSON_QUESTIONS = (*AGAIN_QUESTIONS, ("who was {poss} L again", "who {poss} L was"))
KIN_UPDATES = (
    "{poss} L answers to {v} now, not {old}",
    "{poss} L goes by {v} these days",
)
PERSON_UPDATES = ("these days {poss} L is {v}", "{v} has replaced {old} as {poss} L")
PET_UPDATES = ("{poss} L answers to {v} now", "we renamed {poss} L from {old} to {v}")


def person(
    label: str,
    tell: Sequence[str] = (),
    ask: Sequence[Ask] = (),
    update: Sequence[str] = (),
    *,
    replaceable: bool = True,
    kind: str = "person",
) -> Relation:
    """A relation whose value is the name of a person."""
    return relation(
        label,
        kind,
        (*NAMED_TELLINGS, "{v} is {poss} L", "{poss} L is {v}", *tell),
        (*NAMED_QUESTIONS, ("who is {poss} L", "who {poss} L is"), *ask),
        update,
        shared_updates=REPLACED_UPDATES if replaceable else NAMED_UPDATES,
    )


def animal(
    label: str, tell: Sequence[str] = (), ask: Sequence[Ask] = (), update: Sequence[str] = ()
) -> Relation:
    """A relation whose value is the name of a pet."""
    return relation(
        label,
        "pet",
        (
            *NAMED_TELLINGS,
            "{subj} {have|has} a L called {v}",
            "{subj} {have|has} a L named {v}",
            "{v} is {poss} L",
            "{poss} L is {v}",
            "we named {poss} L {v}",
            "{subj} {have|has} a L and its name is {v}",
            "{subj} got a L last year and called it {v}",
            "{v} is the name {subj} gave {poss} L",
            *tell,
        ),
        (
            *NAMED_QUESTIONS,
            ("what did {subj} name {poss} L", "what {subj} named {poss} L"),
            ("what name did {subj} give {poss} L", "what name {subj} gave {poss} L"),
            *ask,
        ),
        update,
        shared_updates=REPLACED_UPDATES,
    )


def favourite(
    thing: str,
    kind: str,
    tell: Sequence[str] = (),
    ask: Sequence[Ask] = (),
    update: Sequence[str] = (),
    *,
    plural: str,
) -> Relation:
    """A relation "favourite <thing>"; `plural` completes "of all ..."."""
    return relation(
        f"favourite {thing}",
        kind,
        (
            "{poss} L is {v}",
            "{v} is {poss} L",
            f"of all {plural}, {{subj}} {{like|likes}} {{v}} best",
            f"the {thing} {{subj}} {{like|likes}} most is {{v}}",
            "{poss} all-time L is {v}",
            f"{{subj}} {{like|likes}} {{v}} more than any other {thing}",
            "!{poss} L: {v}",
            f"if {{subj}} had to pick one {thing}, it would be {{v}}",
            f"{{v}} is the {thing} {{subj}} {{like|likes}} best",
            "{poss} L has always been {v}",
            f"when it comes to {plural}, {{subj}} {{prefer|prefers}} {{v}}",
            f"no {thing} beats {{v}} for {{obj}}",
            *tell,
        ),
        (
            ("what is {poss} L", "what {poss} L is"),
            "{poss} L",
            (
                f"which {thing} {{do|does}} {{subj}} like best",
                f"which {thing} {{subj}} {{like|likes}} best",
            ),
            (
                f"what {thing} {{do|does}} {{subj}} like most",
                f"what {thing} {{subj}} {{like|likes}} most",
            ),
            f"the {thing} {{subj}} {{like|likes}} best",
            (f"which {thing} is {{poss}} favourite", f"which {thing} is {{poss}} favourite"),
            (
                f"of all {plural}, which one {{do|does}} {{subj}} like most",
                f"which of all {plural} {{subj}} {{like|likes}} most",
            ),
            (
                f"which {thing} {{do|does}} {{subj}} prefer",
                f"which {thing} {{subj}} {{prefer|prefers}}",
            ),
            *ask,
        ),
        (
            "{subj} {like|likes} {v} best now, not {old}",
            f"{{poss}} taste in {plural} has changed, {{subj}} now {{prefer|prefers}} {{v}}",
            *update,
        ),
    )


def code(
    label: str,
    kind: str,
    tell: Sequence[str] = (),
    ask: Sequence[Ask] = (),
    update: Sequence[str] = (),
) -> Relation:
    """A relation whose value is a code or a number the subject holds."""
    return relation(
        label,
        kind,
        (
            "{poss} L is {v}",
            "{v} is {poss} L",
            "the L {subj} {have|has} is {v}",
            "!{poss} L: {v}",
            "{subj} {have|has} the L {v}",
            "{v} is the L {subj} {have|has}",
            *tell,
        ),
        (
            ("what is {poss} L", "what {poss} L is"),
            "{poss} L",
            ("which L {do|does} {subj} have", "which L {subj} {have|has}"),
            "the L {subj} {have|has}",
            *ask,
        ),
        update,
    )
