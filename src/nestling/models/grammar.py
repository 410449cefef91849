"""What a restatement may say next: words that were said, in the form of notes and asked keys.

**A note holds only words that were said**: a value is a contiguous span of the turn's own tokens,
and so is the name that a key begins with, whatever the model would rather write.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nestling.models.dialogue import ASK, BROKEN, IS, NOTE, SPECIAL_TOKENS, Dialogue
from nestling.models.hope import Hope


@dataclass
class Line:
    """One restatement as it is written, and what may follow."""

    dialogue: Dialogue
    words: list[int]
    written: list[int] = field(default_factory=list)
    mark: int | None = None
    size: int = 0
    # Where the words so far could go on: places in `words` right behind each of their occurrences.
    onward: list[int] = field(default_factory=list)
    # Still inside the name that a key begins with.
    naming: bool = False
    # What each of `words` says.
    pieces: list[str] = field(default_factory=list)
    # Whether a word begins, or the turn ends, at each place in `words`.
    borders: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        before = ""
        for tokens, piece in whole_pieces(self.dialogue, self.words):
            # A letter of several tokens stands at the first one, and has no border inside.
            self.pieces += [piece] + [""] * (tokens - 1)
            inside = bool(before) and before[-1].isalnum() and piece[:1].isalnum()
            self.borders += [not inside] + [False] * (tokens - 1)
            before = piece
        self.borders.append(True)

    def write(self, token: int) -> None:
        ids = self.dialogue.ids
        self.written.append(token)
        if token in (ids[NOTE], ids[ASK], ids[IS], self.dialogue.end_id):
            starts = [place for place in range(len(self.words)) if self.borders[place]]
            self.mark, self.size, self.onward = token, 0, starts
            self.naming = token in (ids[NOTE], ids[ASK])
            return
        self.size += 1
        if token == self.dialogue.possessive or (self.size == 1 and token == self.dialogue.mine):
            self.naming = False
        self.onward = [
            place + 1
            for place in self.onward
            if place < len(self.words) and self.words[place] == token
        ]

    def copy(self) -> Line:
        """The same line, to be written on by itself."""
        other = copy.copy(self)
        other.written, other.onward = list(self.written), list(self.onward)
        return other

    def is_whole(self) -> bool:
        """Whether what was written ends where a word ends."""
        return self.size > 0 and any(self.borders[place] for place in self.onward)

    def said(self) -> set[int]:
        """The words that continue a value, or a name, as it was said."""
        return {self.words[place] for place in self.onward if place < len(self.words)}

    def complete(self) -> list[int]:
        """What was written; the piece at which the limit struck is left out."""
        if self.mark == self.dialogue.end_id:
            return self.written
        starts = (self.dialogue.ids[NOTE], self.dialogue.ids[ASK])
        last = max((n for n, token in enumerate(self.written) if token in starts), default=0)
        return self.written[:last]


def whole_pieces(dialogue: Dialogue, words: Sequence[int]) -> Iterator[tuple[int, str]]:
    """The least runs of tokens that are whole text: how many tokens, and what they say."""
    run: list[int] = []
    for word in words:
        run.append(word)
        piece = dialogue.tokenizer.decode(run)
        if not piece.endswith(BROKEN):
            yield len(run), piece
            run = []
    if run:
        yield len(run), dialogue.tokenizer.decode(run)


class Grammar:
    """Which token may come next; masks are [V].

    start   <|note|>, <|ask|> or <|end|>
    key     "my" or a name as it was said and "'s", any words, then <|is|>;  asked key: then <|end|>
    value   words as they were said, then <|note|> or <|end|>
    """

    def __init__(self, model: Hope, dialogue: Dialogue, asking: bool | None) -> None:
        ids, device = dialogue.ids, model.embedding.weight.device
        self.ids, self.size, self.end = ids, model.settings.vocab_size, dialogue.end_id
        self.mine, self.possessive = dialogue.mine, dialogue.possessive
        self.words = torch.ones(self.size, dtype=torch.bool, device=device)
        self.words[dialogue.tokenizer.get_vocab_size() :] = False
        self.words[[ids[mark] for mark in SPECIAL_TOKENS]] = False
        self.key = self._and(self.words, {ids[IS]})
        self.asked = self._and(self.words, {dialogue.end_id})
        self.stop = {ids[NOTE], dialogue.end_id}
        self.start = self.stop | {ids[ASK]}
        if asking is not None:
            self.start = {ids[ASK]} if asking else self.stop

    def mask(self, line: Line) -> Tensor:
        few = self.few(line)
        if few is not None:
            return self._and(None, few)
        return self.key if line.mark == self.ids[NOTE] else self.asked

    def few(self, line: Line) -> set[int] | None:
        """The tokens that may come next, where they are few; None where any word may."""
        if line.mark is None:
            return self.start
        if line.mark == self.ids[IS]:
            return line.said() | (self.stop if line.is_whole() else set())
        if line.naming and line.words:
            return line.said() | self._name_end(line)
        return None

    def forced(self, line: Line) -> int | None:
        """The only token that may come next, if there is only one and the line goes on."""
        few = None if line.mark == self.end else self.few(line)
        return next(iter(few)) if few is not None and len(few) == 1 else None

    def _name_end(self, line: Line) -> set[int]:
        if not line.size:
            return {self.mine}
        return {self.possessive} if line.is_whole() else set()

    def _and(self, mask: Tensor | None, more: set[int]) -> Tensor:
        mask = torch.zeros_like(self.words) if mask is None else mask.clone()
        mask[list(more)] = True
        return mask
