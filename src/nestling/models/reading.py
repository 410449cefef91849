"""What a model reads of a turn: its sentences, in the words and marks that it has learned.

    "MY NAN'S NAME IS \"ROSE\"."                 ->  My grandmother's name is rose.
    "My sister is called Ana. She's a nurse."    ->  My sister is called Ana.  My sister is a nurse.

What is kept on record is what was said. What is noted is in the words that were read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nestling.models.dialogue import typed
from nestling.models.sentences import sentences

# Pictures, the marks that join and colour them, and flags.
_PICTURE = "[\u2600-\u27bf\ufe0e\ufe0f\u20e3\U0001f000-\U0001faff\U000e0020-\U000e007f]"
_PICTURES = re.compile(rf" *(?:{_PICTURE}\u200d?)+(?P<end>(?= *(?:[.,!?]|$)))?")
# A few words between quotation marks; what somebody else says of themselves stays quoted.
_QUOTED = re.compile(r'(?<!\w)"(?!\s)((?:[^\s"]+ ?){1,6})(?<!\s)"')
# Words that are spelt without figures, as codes are not.
_SHOUTED = re.compile(r"(?<![\w-])[^\W\d_]+(?:['-][^\W\d_]+)*(?![\w-])")
_OWN = re.compile(r"\b(?:i|i'm|me|my|mine|we|us|our|ours)\b", re.I)
# Kin in the words of training; where several mean the same, a memory may know it by either.
_CALLED = {
    "mum": ("mom", "mommy", "mummy", "mama", "mumma"),
    "dad": ("daddy", "papa", "pa"),
    "grandmother": ("gran", "granny", "grandma", "grandmom", "nan", "nana"),
    "grandfather": ("grandad", "granddad", "grandpa", "gramps"),
}
_SAID: Mapping[str, str] = {said: word for word, some in _CALLED.items() for said in some}
_KIN_SAID = re.compile(rf"\b((?:my|our)(?: [\w-]+)?) ({'|'.join(_SAID)})\b", re.I)

_WOMEN = (
    "mother mum sister wife girlfriend daughter aunt niece grandmother granddaughter stepmother "
    "stepsister mother-in-law sister-in-law fiancée"
)
_MEN = (
    "father dad brother husband boyfriend son uncle nephew grandfather grandson stepfather "
    "stepbrother father-in-law brother-in-law fiancé"
)
_ANYBODY = (
    "partner friend boss manager colleague neighbour neighbor flatmate roommate cousin child baby "
    "doctor dentist teacher landlord mate dog cat horse rabbit parrot hamster puppy kitten pony"
)
# What is said for somebody who is named so.
PRONOUNS = MappingProxyType(
    {
        **dict.fromkeys(_WOMEN.split(), "she"),
        **dict.fromkeys(_MEN.split(), "he"),
        **dict.fromkeys(_ANYBODY.split(), "he she"),
    }
)
_PEOPLE = "|".join(sorted(PRONOUNS, key=len, reverse=True))
_MENTIONED = re.compile(
    rf"\b(?P<whose>my|our|an?)\b(?P<what>(?: [\w-]+'s)?(?: [\w-]+)??) (?P<who>{_PEOPLE})\b(?!'s|-)",
    re.I,
)
# A name, and what is said of it.
_NAMED = re.compile(
    r"(?P<name>[A-Z][\w-]+(?: [A-Z][\w-]+)?) (?:is|was|has|lives|works|likes|loves|hates|plays|"
    r"studies|speaks|drives|moved|got|teaches|owns|wants)\b"
)
_NAMELESS = (
    "he she it they this that these those there here what who which today tomorrow everyone "
    "everybody everything nobody nothing someone somebody something one"
)
_NO_NAMES = frozenset(_NAMELESS.split())
_BEGINS = re.compile(
    r"(?P<before>(?:,? ?(?:and|but|also|oh|well|so),? )?)"
    r"(?P<word>he|she|his|her)\b(?P<short>'s|'ll|'d|'ve)?(?= (?P<next>[\w']+))",
    re.I,
)
# Here a sentence could end as well.
_JOINT = re.compile(r"(?=, and (?:he|she)\b)|(?<!,)(?= and (?:he|she)\b)", re.I)
_DONE = "got been had moved lived worked taken become gone left started finished"
_HAS = frozenset(_DONE.split())
_POINTS_BACK = re.compile(r"\b(?:he|she|it|its|his|her|hers|him|they|them|their|theirs)\b", re.I)


@dataclass(frozen=True)
class _Subject:
    """Who a sentence is about, as the next one may say it, and the pronouns for it."""

    words: str
    pronouns: str


def readable(text: str) -> str:
    """Text in the marks and words that models have learned."""
    text = _PICTURES.sub(lambda m: " " if m["end"] is None else "", typed(text)).strip()
    text = re.sub(" {2,}", " ", text)
    text = _QUOTED.sub(lambda m: m[0] if _OWN.search(m[1]) else m[1], text)
    if text.isupper() and len(text.split()) > 2:
        text = _SHOUTED.sub(lambda m: m[0].lower(), text)
        text = re.sub(r"\bi\b", "I", text[:1].upper() + text[1:])
    return _KIN_SAID.sub(lambda m: f"{m[1]} {_SAID[m[2].lower()]}", text)


def read_sentences(text: str) -> list[str]:
    """The sentences of a turn, readable; who "he" and "she" are, where the one before says it.

    "He" and "she" at the beginning, or behind an "and", are the one person or pet that is spoken of
    before. Where there is none, or are several, they stay.
    """
    found: list[str] = []
    subject: _Subject | None = None
    for said in sentences(text):
        for place, part in enumerate(_JOINT.split(readable(said))):
            begun = _BEGINS.match(part)
            if begun and subject and begun["word"].lower() in _words_for(subject):
                found.append(_in_full(part, begun, subject))
                continue
            subject = _subject_of(part)
            if place:
                found[-1] += part
            else:
                found.append(part)
    return found


def is_of_another(sentence: str) -> bool:
    """Whether a sentence is about "him", "her" or "them", and in no word about who says it."""
    about = re.match(r"\W*(?:(?:and|but|also),? )?(?:he|she|they|his|her|their)\b", sentence, re.I)
    return about is not None and _OWN.search(sentence) is None


def points_back(sentence: str) -> bool:
    """Whether a sentence may need the one before it to be understood."""
    return _POINTS_BACK.search(sentence) is not None


def _words_for(subject: _Subject) -> set[str]:
    others = {"he": "his", "she": "her"}
    return {word for each in subject.pronouns.split() for word in (each, others[each])}


def _subject_of(sentence: str) -> _Subject | None:
    mentioned = list(_MENTIONED.finditer(sentence))
    if len(mentioned) > 1:
        return None
    if mentioned:
        whose, what, who = mentioned[0].group("whose", "what", "who")
        if whose.lower() in ("a", "an"):
            # Somebody's dog is the speaker's where the speaker says to have it.
            if not re.search(r"\b(?:I|I've|we|we've)\b", sentence):
                return None
            whose, what = "my", ""
        return _Subject(f"{whose.lower()}{what} {who}", PRONOUNS[who.lower()])
    named = _NAMED.match(sentence)
    if named and named["name"].split()[0].lower() not in _NO_NAMES:
        return _Subject(named["name"], "he she")
    return None


def _in_full(sentence: str, begun: re.Match[str], subject: _Subject) -> str:
    """The sentence with its subject in place of the pronoun that it begins with."""
    words, short = subject.words, begun["short"] or ""
    if begun["word"].lower() in ("his", "her"):
        words += "'s"
    elif short:
        has = begun["next"].lower() in _HAS
        long = {"'s": "has" if has else "is", "'ll": "will", "'d": "would", "'ve": "have"}
        words += f" {long[short]}"
    before = begun["before"].strip(", ").lower()
    before = "" if before in ("", "and") else begun["before"]
    if not before:
        words = words[:1].upper() + words[1:]
    return before + words + sentence[begun.end() :]
