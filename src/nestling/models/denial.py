"""Whether a telling says what a note holds, or denies it, supposes it or asks whether it is so.

The models that restate tellings have not learned to tell "I live in Rome" from "I don't live in
Rome", "If I lived in Rome" and "Do I live in Rome?". What is not said to be so must not become a
note, and for the plainest sentences a rule is enough. It is a narrow one: people also tell what is
so by denying ("I can't come on Friday", "I'm not good at directions").
"""

from __future__ import annotations

import re

from nestling.models.dialogue import Note
from nestling.models.sentences import sentences

# A plain verb denied, and nothing but small words from there to the value.
_DENIED = re.compile(
    r"(?:\b(?:am|is|are|was|were|do|does|did)(?: not|n't)|'(?:m|s|re) not|\b(?:no longer|never))"
    r"(?: (?:a|an|the|in|at|on|for|from|to|as|of|with|any|my|our|his|her|their|really|actually|"
    r"even|yet|called|named|live|lives|lived|work|works|worked|come|comes|have|own|play|plays|"
    r"speak|speaks|study|drive|drives|use|uses|been))* ?$",
    re.I,
)
_SUPPOSED = re.compile(
    r"^\W*if (?:i|we|he|she|they|my \w+|our \w+) (?:were|was|had|\w+ed)\b[^,]*$", re.I
)
_FORGOTTEN = re.compile(
    r"^\W*(?:please )?(?:forget (?:that|about)|(?:don't|do not) (?:remember|note))\b[^,]*$", re.I
)
# Asked, and not begun to be told ("Did you know that ...?", "Can you remember that ...?").
_ASKED = re.compile(
    r"^\W*(?:(?:so|and|but|hey|well|then)\W+)?(?:is|are|am|was|were|does|do (?:i|we|they|he|"
    r"she|my)|has|should|what|where|who|whose|which|when|how|why)\b.*\?\W*$",
    re.I | re.S,
)


def is_asked(sentence: str) -> bool:
    """Whether a sentence plainly asks, and tells nothing."""
    return _ASKED.search(sentence) is not None


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
    return not found or any(_is_so(sentence, sentence[:place]) for sentence, place in found)


def _is_so(sentence: str, before: str) -> bool:
    """Whether a sentence that has a value behind the words `before` says that it is so."""
    return not is_asked(sentence) and not any(
        kind.search(before) for kind in (_DENIED, _SUPPOSED, _FORGOTTEN)
    )
