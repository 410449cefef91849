"""Drafts of a restatement: what it may say next, guessed from the turn without the model.

A restatement repeats words of its turn, and so a copy of them is a good guess (prompt lookup, the
simplest kind of speculative decoding: Leviathan et al. 2023). A guess is read together with what is
certain, and the model keeps the part of it that it would have written itself, so that a wrong guess
costs time and nothing else.

Keys are guessed to be the owner and one word behind it, values to be the last name or number of the
turn that has not been written yet, or the last word where there is none.
"""

from __future__ import annotations

from itertools import pairwise

from nestling.models.dialogue import ASK, IS, NOTE
from nestling.models.grammar import Grammar, Line

LONGEST = 16


def draft(line: Line, grammar: Grammar) -> list[int]:
    """Tokens that may follow a line, none if there is no guess that the grammar allows."""
    line, start, words = line.copy(), len(line.written), spaced_words(line.pieces)
    while len(line.written) - start < LONGEST and line.mark != grammar.end:
        token, few = grammar.forced(line), grammar.few(line)
        if token is None:
            token = _guess(line, words)
        if token is None or (few is not None and token not in few):
            break
        line.write(token)
    return line.written[start:]


def spaced_words(pieces: list[str]) -> list[tuple[int, int]]:
    """Where the words of a turn begin and end, without the marks behind them."""
    starts = [place for place, piece in enumerate(pieces) if place == 0 or piece[:1].isspace()]
    words = []
    for start, end in pairwise([*starts, len(pieces)]):
        while end > start and not any(letter.isalnum() for letter in pieces[end - 1]):
            end -= 1
        if end > start:
            words.append((start, end))
    return words


def _guess(line: Line, words: list[tuple[int, int]]) -> int | None:
    ids, here = line.dialogue.ids, _place(line)
    following = line.words[here] if here < len(line.words) else None
    if line.mark is None:
        return ids[NOTE]
    if line.mark == ids[IS]:
        return _of_value(line, words, here)
    if not line.size:
        return _owner(line, words)
    if line.naming:
        return line.dialogue.possessive if line.is_whole() else following
    if line.written[-1] in (line.dialogue.mine, line.dialogue.possessive):
        return following
    if line.borders[here]:
        return line.dialogue.end_id if line.mark == ids[ASK] else ids[IS]
    return following


def _place(line: Line) -> int:
    """Where the turn says what was written last; its end for nowhere."""
    if line.onward:
        return line.onward[-1]
    # A turn may begin with "My", which is another token.
    if line.size and line.written[-line.size] == line.dialogue.mine:
        said = line.written[len(line.written) - line.size + 1 :]
        for first in (place + 1 for place, piece in enumerate(line.pieces) if _is_mine(piece)):
            if line.words[first : first + len(said)] == said:
                return first + len(said)
    return len(line.words)


def _owner(line: Line, words: list[tuple[int, int]]) -> int | None:
    """ "my", the word that has the possessive behind it, or the first name inside the turn."""
    possessive = line.dialogue.possessive
    if any(_is_mine(piece) for piece in line.pieces):
        return line.dialogue.mine
    if possessive in line.words:
        end = line.words.index(possessive)
        return line.words[max((start for start, _ in words if start < end), default=0)]
    names = [start for start, end in words[1:] if _is_name(line.pieces[start:end])]
    return line.words[names[0]] if names else None


def _of_value(line: Line, words: list[tuple[int, int]], here: int) -> int | None:
    names = [(start, end) for start, end in words if _is_name(line.pieces[start:end])]
    if line.size:
        inside = any(start < here < end for start, end in words)
        named = any(start == here for start, _ in names)
        return line.words[here] if inside or named else line.dialogue.end_id
    said = set(line.written)
    # The first piece of a number may be its space alone.
    free = [(start, end) for start, end in names if not said.issuperset(line.words[start:end])]
    # Of the last names in a row the first.
    first = [start for place, (start, _) in enumerate(free) if free[place - 1][1] != start]
    likely = first or [start for start, _ in words]
    return line.words[likely[-1]] if likely else None


def _is_mine(piece: str) -> bool:
    return piece.strip().lower() == "my"


def _is_name(pieces: list[str]) -> bool:
    """Whether a word looks like a name or a number."""
    word = "".join(pieces).strip()
    return word != "I" and (word[:1].isupper() or word[:1].isdigit())
