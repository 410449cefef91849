"""Whether a telling says what a note holds, or denies it, supposes it or asks whether it is so.

The models that restate tellings have not learned to tell "I live in Rome" from "I don't live in
Rome", "If I lived in Rome" and "Do I live in Rome?". What is not said to be so must not become a
note, and for the plainest sentences a rule is enough. It is a narrow one: people also tell what is
so by denying ("I can't come on Friday", "I'm not good at directions") and by supposing ("If I had
to pick one colour, it would be green").
"""

from __future__ import annotations

import re

from nestling.models.dialogue import Note, owner_of
from nestling.models.reading import PRONOUNS, is_of_another
from nestling.models.sentences import sentences

_SOMEBODY = r"(?:i|we|you|he|she|they|it|my \w+|our \w+)"
_TELLS = r"(?! (?:just )?(?:mention|mentioned|tell|told|say|said|add|share|shared|ask)\b)"
# A plain verb denied, and nothing but small words from there to the value, or what is called so.
_DENIED = re.compile(
    r"(?:\b(?:am|is|are|was|were|do|does|did|has|have|had|will)(?: not|n't)|\bwon't|'(?:m|s|re|ve) "
    r"not|\b(?:no longer|never)|\bthere(?:'s| is| are) no)"
    r"(?: (?:a|an|the|in|at|on|for|from|to|as|of|with|any|my|our|his|her|their|really|actually|"
    r"even|yet|called|named|live|lives|lived|work|works|worked|come|comes|have|got|own|play|plays|"
    r"speak|speaks|study|drive|drives|use|uses|been|be|born|allergic|move|moved|"
    r"\w+(?= (?:called|named))))* ?$",
    re.I,
)
_DOUBTED = re.compile(
    rf"\b(?:(?:don't|do not|doesn't|does not) (?:think|believe)"
    rf"(?! (?:that )?{_SOMEBODY}(?:'ve| have)?(?: ever| already)? (?:told|mentioned|said|know|"
    r"knew)\b)|(?:thinks|believes|claims|assumes|pretends|wishes|i wish|we wish))\b[^,]*$",
    re.I,
)
_SUPPOSED = re.compile(
    r"^\W*if (?:i|we|he|she|they|my \w+|our \w+) (?:were|was|had|\w+ed)\b[^,]*$"
    # Of favourites it is said what "it would be".
    rf"|^\W*if {_SOMEBODY} (?:were|was|had(?! to\b)|\w+ed)\b(?!.*\bit(?: would|'d) be\b).*"
    r"\b(?:would|could|might)\b|^\W*if .*, (?:i|we|he|she|they)'d\b"
    r"|^\W*(?:suppose|supposing|imagine|pretend|what if|let's (?:say|suppose|pretend))\b"
    r"|\b(?:would|'d) (?:love|like|prefer) to (?:live|be|move|work|have|own|be called)\b[^,]*$"
    r"|\b(?:almost|nearly) (?:moved|lived|called|named|bought|got|became|worked|had)\b[^,]*$",
    re.I,
)
# Of what is wished, that is told.
_OF_WISHES = re.compile(r"\b(?:dream|wish|goal|plan|hope)", re.I)
_FORGOTTEN = re.compile(
    r"^\W*(?:please )?(?:forget (?:that|about)|(?:don't|do not) (?:remember|note))\b[^,]*$", re.I
)
_OPENED = r"^\W*(?:(?:so|and|but|hey|well|then|oh|ok|okay|please|sorry)\W+)*"
# Asked, and not begun to be told ("Did you know that ...?", "Can you remember that ...?").
_ASKED = re.compile(
    rf"{_OPENED}(?:(?:is|are|am|was|were|does|has|should)(?:n't)?"
    r"|do(?:n't)? (?:i|we|they|he|she|my)"
    r"|(?:did|have|had|will|would|could|can|might)(?:n't)? (?:i|we|he|she|they|my \w+|our \w+)"
    rf"\b{_TELLS}|what|where|who|whose|which|when|how|why)\b.*\?\W*$",
    re.I | re.S,
)
_ABOUT_YOU = re.compile(r"\b(?:you|your|yours|yourself)\b|\bhow's (?:it|life|things)\b", re.I)
_MAY_ASK = re.compile(
    rf"\?|{_OPENED}(?:(?:can|could) you |do you (?:know|remember) )?"
    r"(?:tell me|remind me|what|where|who|whose|which|when|how|do you (?:know|remember)|any idea"
    r"|i(?: have|'ve)? (?:forgot|forgotten)"
    r"|i (?:can't|cannot|don't|do not) (?:remember|recall|know))\b",
    re.I,
)
# Words that name nothing.
_SMALL_WORDS = (
    "an the in on at of to for from with by and or but if as is are was were be been am do does "
    "did have has had i i'm i've me my mine you your he him his she her it its we us our they them "
    "their this that these those there here who what where when which how not no yes so too also "
    "plus thanks thank please ok okay well hello hi hey live lives work works"
)
_SMALL = frozenset(_SMALL_WORDS.split())


def is_asked(sentence: str) -> bool:
    """Whether a sentence plainly asks, and tells nothing."""
    return _ASKED.search(sentence) is not None


def is_asked_of_memory(sentence: str) -> bool:
    """Whether it plainly asks, and not how whoever is talked to is, or who."""
    return is_asked(sentence) and _ABOUT_YOU.search(sentence) is None


def may_ask(sentence: str) -> bool:
    """Whether a sentence looks as if it asked; what does not, tells something."""
    return _MAY_ASK.search(sentence) is not None


def names_something(text: str, note: Note) -> bool:
    """Whether the value of a note may be one: not "in", nor the words of its own key."""
    words = re.findall(r"[\w']+", note.value)
    if not any(map(str.isalnum, note.value)) or re.search(
        r" and (?:he|she|it|they|I)$", note.value
    ):
        return False
    of_key = set(re.findall(r"\w+", note.key.lower()))
    if of_key.issuperset(re.findall(r"\w+", note.value.lower())):
        return False
    if not all(word.lower() in _SMALL | of_key for word in words):
        return True
    # "It" and "The Who" are names; a capital at the beginning of a sentence is none.
    begins = any(sentence.startswith(note.value) for sentence in sentences(text))
    return any(word[0].isupper() for word in words[begins:]) and words != ["I"]


def is_said(text: str, note: Note) -> bool:
    """Whether a telling says somewhere that the note is so.

    What it has in other words than the value's, and so nowhere, is taken to be said.
    """
    if re.match(r"(?:no longer|not)\b", note.value, re.I):
        return False
    found = [
        (sentence, match.start())
        for sentence in sentences(text)
        for match in re.finditer(re.escape(note.value), sentence)
    ]
    return not found or any(_is_so(sentence, sentence[:place], note) for sentence, place in found)


def _is_so(sentence: str, before: str, note: Note) -> bool:
    """Whether a sentence that has a value behind the words `before` says that it is so."""
    if is_asked(sentence) or _is_of_another(sentence, note):
        return False
    kinds = (_DENIED, _DOUBTED, _SUPPOSED, _FORGOTTEN)
    if _OF_WISHES.search(note.key):
        kinds = (_DENIED, _FORGOTTEN)
    return not any(kind.search(before) for kind in kinds)


def _is_of_another(sentence: str, note: Note) -> bool:
    """Whether a note is the speaker's own, and the sentence is about "him" or "her" alone."""
    mine, *what = note.key.split()
    own = mine == "my" and not owner_of(note.key)[1]
    # "She is called Ana" may name the speaker's sister.
    somebody = len(what) <= 2 and what[-1:] and what[-1] in PRONOUNS
    return own and not somebody and is_of_another(sentence)
