"""Sentences hidden in the text of real books, in documents of an exact number of tokens."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

_END_OF_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Puzzle:
    """What is hidden and what is asked.

    Args:
        hidden: sentences, in the order in which they stand in the document.
        asked: (question, its answers) one after the other; the answers follow the question, with a
            space between them.
    """

    hidden: tuple[str, ...]
    asked: tuple[tuple[str, tuple[str, ...]], ...]


Draw = Callable[[random.Random], Puzzle]


@dataclass(frozen=True)
class Reading:
    """A document as ids, what is asked behind it as ids, and the place of every answer there.

    An answer is a range of `questions`; each of its tokens is predicted from those before it.
    """

    document: list[int]
    questions: list[int]
    answers: list[range]


class Haystack:
    """Sentences of books, to hide others among.

    Args:
        texts: passages in the order of the books.

    Raises:
        ValueError: the texts hold no sentence.
    """

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        sentences = [
            sentence.strip()
            for text in texts
            for sentence in _END_OF_SENTENCE.split(text.replace("\n", " "))
            if sentence.strip()
        ]
        self._sentences = [encoding.ids for encoding in _encode(tokenizer, sentences)]
        if not any(self._sentences):
            raise ValueError("the texts to hide sentences in hold no sentence")

    def read(self, puzzle: Puzzle, length: int, rng: random.Random) -> Reading:
        """The puzzle in a document of exactly `length` tokens.

        The document is a passage that starts anywhere in the books; its first sentence is cut so
        that the length is met. Hidden sentences stand at random borders between sentences.

        Raises:
            ValueError: the hidden sentences alone are longer than that.
        """
        hidden = [encoding.ids for encoding in _encode(self._tokenizer, puzzle.hidden)]
        room = length - sum(map(len, hidden))
        if room < 0:
            raise ValueError(
                f"what is hidden takes {length - room} tokens, more than the {length} tokens of "
                "the document; ask for a longer document"
            )
        passage = [list(sentence) for sentence in self._passage(room, rng)]
        borders = sorted(rng.randint(0, len(passage)) for _ in hidden)
        for place, sentence in zip(reversed(borders), reversed(hidden), strict=True):
            passage.insert(place, sentence)
        questions, answers = self._questions(puzzle)
        return Reading([i for sentence in passage for i in sentence], questions, answers)

    def fits(self, puzzle: Puzzle, length: int) -> bool:
        """Whether a document of `length` tokens has room for the hidden sentences."""
        hidden = _encode(self._tokenizer, puzzle.hidden)
        return sum(len(encoding.ids) for encoding in hidden) <= length

    def draw(self, draw: Draw, length: int, rng: random.Random) -> Puzzle:
        """The first puzzle that fits a document of `length` tokens.

        Raises:
            ValueError: of a thousand puzzles none does.
        """
        for _ in range(1000):
            puzzle = draw(rng)
            if self.fits(puzzle, length):
                return puzzle
        raise ValueError(f"no puzzle of this kind fits a document of {length} tokens")

    def _passage(self, room: int, rng: random.Random) -> list[list[int]]:
        """Sentences of together `room` tokens, the first of them cut at its start."""
        start = rng.randrange(len(self._sentences))
        passage: list[list[int]] = []
        for sentence in self._from(start):
            if room <= 0:
                break
            passage.append(sentence)
            room -= len(sentence)
        if room < 0:
            # What is too much is taken from the start, sentence by sentence.
            while -room >= len(passage[0]):
                room += len(passage.pop(0))
            passage[0] = passage[0][-room:]
        return passage

    def _from(self, start: int) -> Iterator[list[int]]:
        place = start
        while True:
            yield self._sentences[place]
            place = (place + 1) % len(self._sentences)

    def _questions(self, puzzle: Puzzle) -> tuple[list[int], list[range]]:
        ids: list[int] = []
        answers = []
        for question, values in puzzle.asked:
            ids += _encode(self._tokenizer, [question])[0].ids
            for value in values:
                tokens = _encode(self._tokenizer, [value])[0].ids
                answers.append(range(len(ids), len(ids) + len(tokens)))
                ids += tokens
        return ids, answers


def _encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list:
    """Each text with the space before it, so that ids of texts in a row can be joined."""
    return tokenizer.encode_batch([f" {text}" for text in texts])
