"""What a question may mean: it is read in several ways, and the memory decides which one it knows.

    question  ->  its readings, asked keys with their log-probabilities   (in context, no memory)
    reading   ->  a value, or "never told"                                (from the memory alone)

The likeliest reading answers whenever the memory holds it. Where it was never told, there are
second thoughts, of which one answers if its value is sure:

- the next likely readings: "Where does Ana work?" may have been told as Ana's employer, her
  workplace or her job;
- kin by another word: who asks about "my mother" may have told of "my mum";
- kin by name, if the memory knows it: "my sister's job" may have been told as Ana's, and Ana's as
  that of my sister.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from nestling.memory.state import MemoryState
from nestling.models.decoding import search
from nestling.models.dialogue import Dialogue, owner_of
from nestling.models.grammar import Grammar
from nestling.models.hope import Hope
from nestling.models.reading import readable
from nestling.models.restate import Recall, recall, restate

BEAMS = 8
# Readings less likely than the first by more than this (nats) are not asked.
MARGIN = 3.0
# The value of a second thought answers when all of it is more likely than this.
SURE = 0.5
# Less likely than this no value is an answer: it could not be learned, and other words came back.
# A value that is right may be as unlikely as one in a hundred.
PLAUSIBLE = 1e-3
_KEY_TOKENS = 32
# Words of keys that hold what somebody does not like.
_AGAINST = frozenset(("dislike", "disliked", "least"))
# Who is called by a name as often as by what they are.
_OFTEN = (
    "sister brother mother mum father dad wife husband partner girlfriend boyfriend daughter son "
    "aunt uncle cousin friend boss manager neighbour dog cat"
)
_MENTIONED = ("best friend", *_OFTEN.split())
# Words for the same person; said by one speaker, any of them means the same.
_SAME = (
    ("mother", "mum", "mom"),
    ("father", "dad"),
    ("grandmother", "gran", "granny", "grandma", "nan"),
    ("grandfather", "grandad", "grandpa", "granddad"),
    ("husband", "partner"),
    ("wife", "partner"),
    ("boyfriend", "partner"),
    ("girlfriend", "partner"),
    ("boss", "manager"),
    ("roommate", "flatmate"),
    ("next-door neighbour", "neighbour"),
)


@dataclass(frozen=True)
class Reading:
    """One way to read a question: the key that it asks for, and how likely that is."""

    key: str
    logprob: float


@dataclass(frozen=True)
class Asked:
    """A question and its likeliest key, as a restatement gives it."""

    question: str
    key: str


def asked_of(model: Hope, dialogue: Dialogue, questions: Sequence[str]) -> list[Asked]:
    """What texts ask for, taken as questions whatever they say; a key is "" where there is none."""
    restated = restate(model, dialogue, questions, asking=True)
    return [
        Asked(question, item.asked or "")
        for question, item in zip(questions, restated, strict=True)
    ]


def same_person(owner: str) -> Iterator[str]:
    """Kin in other words: "my mum" for "my mother"."""
    mine, _, kin = owner.partition(" ")
    if mine == "my":
        for words in _SAME:
            if kin in words:
                yield from (f"my {word}" for word in words if word != kin)


def in_other_words(key: str, names: Mapping[str, str]) -> Iterator[str]:
    """The same key with its owner said in other words, by name, and by whose name it is."""
    owner, relation = owner_of(key)
    if not relation:
        yield from same_person(key)
        return
    yield from (f"{word}'s {relation}" for word in same_person(owner))
    if owner in names:
        yield f"{names[owner]}'s {relation}"
    yield from (f"{kin}'s {relation}" for kin, name in names.items() if name == owner)


@torch.inference_mode()
def readings(
    model: Hope, dialogue: Dialogue, question: str, *, beams: int = BEAMS, margin: float = MARGIN
) -> list[Reading]:
    """The keys that a question may ask for, the likeliest first.

    Args:
        beams: how many are followed at a time.
        margin: those that are less likely than the first by more than this (nats) are left out.
    """
    question, grammar = readable(question), Grammar(model, dialogue, True)
    keys: dict[str, float] = {}
    for logprob, line in search(model, dialogue, question, grammar, _KEY_TOKENS, beams, margin):
        asked = dialogue.parse(line.complete()).asked
        if asked:
            keys.setdefault(asked, logprob)
    return [Reading(key, logprob) for key, logprob in keys.items()]


def names_of(
    model: Hope, dialogue: Dialogue, keys: Sequence[str], state: MemoryState | None
) -> dict[str, str]:
    """What the memory says that kin who own keys are called, where it is sure.

    Where somebody owns a key by name, the kin and pets are asked of whom it mostly is.
    """
    owners = {owner for owner, relation in map(owner_of, keys) if relation}
    kin = sorted(owner for owner in owners if owner.startswith("my "))
    kin += sorted({word for owner in kin for word in same_person(owner)} - set(kin))
    if any(not owner.startswith("my ") for owner in owners):
        kin += [f"my {word}" for word in _MENTIONED if f"my {word}" not in kin]
    known = {
        owner: found.text
        for owner, found in zip(kin, recall(model, dialogue, kin, state), strict=True)
        if found.text and is_sure(found)
    }
    for owner in kin:
        others = (known[word] for word in same_person(owner) if word in known)
        if owner not in known and (name := next(others, None)):
            known[owner] = name
    return known


def is_against(key: str) -> bool:
    """Whether a key is of what somebody does not like: it is never an answer to what they do."""
    return not _AGAINST.isdisjoint(key.split())


def is_sure(found: Recall) -> bool:
    """Whether a value is sure enough to answer what was not asked in these words."""
    return found.known and found.logprob > math.log(SURE)


def _plausible(found: Recall) -> Recall:
    """The same, but that what the memory itself finds unlikely is not known."""
    if found.known and found.logprob < math.log(PLAUSIBLE):
        return replace(found, text=None, known=False)
    return found


def think_again(
    model: Hope, dialogue: Dialogue, asked: Asked, state: MemoryState | None
) -> tuple[str, Recall] | None:
    """The likeliest second thought that the memory is sure of: its key and its value."""
    keys = [asked.key, *(item.key for item in readings(model, dialogue, asked.question))]
    names = names_of(model, dialogue, keys, state)
    thoughts = dict.fromkeys(word for key in keys for word in (key, *in_other_words(key, names)))
    thoughts.pop(asked.key)
    against = is_against(asked.key)
    thoughts = [key for key in thoughts if is_against(key) is against]
    for key, found in zip(thoughts, recall(model, dialogue, thoughts, state), strict=True):
        # What the model says without the memory was not told.
        if is_sure(found) and recall(model, dialogue, [key], None)[0].text != found.text:
            return key, found
    return None


def recall_asked(
    model: Hope, dialogue: Dialogue, asked: Sequence[Asked], state: MemoryState | None
) -> list[tuple[str, Recall]]:
    """`recall` with second thoughts: for each question the key that answered, and its value.

    Args:
        state: one sequence; its context is not used. None asks the model without a memory, which
            has nothing to think again about.
    """
    first = [*map(_plausible, recall(model, dialogue, [item.key for item in asked], state))]
    return [
        (None if found.known or state is None else think_again(model, dialogue, item, state))
        or (item.key, found)
        for item, found in zip(asked, first, strict=True)
    ]
