"""How the told-facts models read and write: turns, restatements, notes and recalls, as token ids.

A turn of everyday English is first **restated** by the model itself, while it is in context:

    <|turn|> My dog is called Pixel.<|restate|>  ->  <|note|> my dog<|is|> Pixel<|end|>
    <|turn|> What's my dog called?<|restate|>    ->  <|ask|> my dog<|end|>
    <|turn|> Lovely weather today.<|restate|>    ->  <|end|>

Then, in an emptied context, each note is **learned** (written into the memory state), or the asked
key is **recalled** from nothing but what was written:

    <|note|> my dog<|is|>  ->  Pixel<|end|>         (never told: <|unknown|><|end|>)

So telling and asking meet in the same words, however differently they were phrased.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tokenizers import Tokenizer

from nestling.models.letters import MARKS

PAD, END, TURN, RESTATE, NOTE, IS, ASK, UNKNOWN = SPECIAL_TOKENS = (
    "<|pad|>",
    "<|end|>",
    "<|turn|>",
    "<|restate|>",
    "<|note|>",
    "<|is|>",
    "<|ask|>",
    "<|unknown|>",
)


# What stands for a letter of which a token is missing.
BROKEN = "\N{REPLACEMENT CHARACTER}"
# What typesetters and telephones write, and what a keyboard types for it.
_TYPED = str.maketrans(
    {
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{DOUBLE LOW-9 QUOTATION MARK}": '"',
        "\N{EM DASH}": " - ",
        "\N{HORIZONTAL ELLIPSIS}": "...",
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"),
        # Spaces of all widths, and breaks of lines and words that nobody sees.
        **dict.fromkeys("\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006", " "),
        **dict.fromkeys("\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "),
        **dict.fromkeys("\u00ad\u200b\u2060", ""),
    }
)
# What steers a terminal ("\x1b[31m") or a page (marks of direction and order), and no word.
_STEERING = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?"
    rf"|[{MARKS}]"
)
_TYPED |= {code: " " for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n\r"}
# Relations of things; what has one is no person, and its key has no capital.
OF_THINGS = ("place", "time")


def typed(text: str) -> str:
    """Text as a keyboard types it: plain marks, dashes and dots, composed letters, no controls."""
    text = _STEERING.sub("", unicodedata.normalize("NFC", text)).translate(_TYPED)
    return re.sub(" {2,}", " ", text)


def owner_of(key: str) -> tuple[str, str]:
    """Whose it is, and what: ("my sister", "job"); ("my job", "") where the speaker owns it."""
    owner, _, relation = key.partition("'s ")
    return owner, relation


def is_of_thing(key: str) -> bool:
    """Whether a key is that of a thing nobody is said to own: "spare key's place"."""
    owner, relation = owner_of(key)
    return bool(owner) and relation in OF_THINGS


@dataclass(frozen=True)
class Note:
    """One fact in canonical form: `key` ("my dog", "Ana's city") and `value` ("Pixel")."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}: {self.value}"


@dataclass(frozen=True)
class Restatement:
    """What the model made of a turn: notes to learn, a key to recall, or neither (small talk)."""

    notes: tuple[Note, ...] = ()
    asked: str | None = None


class Dialogue:
    """Encodes and decodes the passages above with one tokenizer.

    Args:
        relations: that the model knows ("dog", "eye colour"), without their owners. They speed up
            restating and change nothing else.
        split: ids that a memory cannot hold, and those that are written in their place.

    Raises:
        ValueError: the tokenizer lacks a special token.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        relations: Sequence[str] = (),
        split: Mapping[int, Sequence[int]] = MappingProxyType({}),
    ) -> None:
        self.tokenizer, self.split = tokenizer, dict(split)
        # Text that looks like a special token stays text: nobody can speak in the model's marks.
        tokenizer.encode_special_tokens = True
        found = {token: tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
        missing = [token for token, number in found.items() if number is None]
        if missing:
            raise ValueError(f"the tokenizer has no {missing}; train one with `nestling tokenizer`")
        # A key is "my ..." or "<name>'s ...", with the name as it was said.
        self.mine = self.words("my")[0]
        self.possessive = tokenizer.encode("'s", add_special_tokens=False).ids[0]
        self.ids = {token: number for token, number in found.items() if number is not None}
        self.relations = {relation: self.words(relation) for relation in relations}

    @classmethod
    def from_file(cls, path: str | Path) -> Dialogue:
        return cls(Tokenizer.from_file(str(path)))

    @property
    def pad_id(self) -> int:
        return self.ids[PAD]

    @property
    def end_id(self) -> int:
        return self.ids[END]

    def words(self, text: str) -> list[int]:
        """Ids of text, read as if a space stood before it: a word is the same everywhere."""
        found = self.tokenizer.encode(" " + text.strip(), add_special_tokens=False).ids
        return [part for number in found for part in self.split.get(number, (number,))]

    def whole_words(self) -> dict[int, str]:
        """Every id that is a word by itself, and the word."""
        return {
            number: text
            for number in range(len(SPECIAL_TOKENS), self.tokenizer.get_vocab_size())
            if (text := self.text([number])) and self.words(text) == [number]
        }

    def text(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(list(ids), skip_special_tokens=True).strip()

    def turn(self, text: str) -> list[int]:
        """What stands before a restatement."""
        return [self.ids[TURN], *self.words(text), self.ids[RESTATE]]

    def restatement(self, restated: Restatement) -> list[int]:
        """The restatement itself, as the model is trained to write it."""
        ids: list[int] = []
        for note in restated.notes:
            ids += self.note(note)[:-1]
        if restated.asked is not None:
            ids += [self.ids[ASK], *self.words(restated.asked)]
        return [*ids, self.end_id]

    def note(self, note: Note) -> list[int]:
        """The passage that is learned."""
        return [*self.recall(note.key), *self.words(note.value), self.end_id]

    def unknown(self, key: str) -> list[int]:
        """What a recall of something never told is trained to be."""
        return [*self.recall(key), self.ids[UNKNOWN], self.end_id]

    def recall(self, key: str) -> list[int]:
        """The prompt of a recall: the question alone, in canonical form."""
        return [self.ids[NOTE], *self.words(key), self.ids[IS]]

    def parse(self, ids: Sequence[int]) -> Restatement:
        """Read a restatement that the model wrote; malformed pieces are left out."""
        notes: list[Note] = []
        asked: str | None = None
        for mark, piece in _pieces(ids, (self.ids[NOTE], self.ids[ASK]), self.end_id):
            if mark == self.ids[ASK]:
                asked = asked or _uniform(self.text(piece)) or None
            elif self.ids[IS] in piece:
                cut = piece.index(self.ids[IS])
                key, value = _uniform(self.text(piece[:cut])), self.text(piece[cut + 1 :])
                if key and value and BROKEN not in key + value:
                    notes.append(Note(key, value))
        return Restatement(tuple(notes), None if notes else asked)


def _uniform(key: str) -> str:
    """A key as it is wherever its thing stands: "Bins go out on ..." tells the "bins's time"."""
    return key[:1].lower() + key[1:] if is_of_thing(key) else key


def _pieces(ids: Sequence[int], marks: tuple[int, ...], end: int) -> list[tuple[int, list[int]]]:
    pieces: list[tuple[int, list[int]]] = []
    for number in ids:
        if number == end:
            break
        if number in marks:
            pieces.append((number, []))
        elif pieces:
            pieces[-1][1].append(number)
    return pieces
