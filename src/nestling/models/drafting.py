"""Drafts of a restatement: what it may say next, guessed from the turn without the model.

A restatement repeats words of its turn, and so a copy of them is a good guess (prompt lookup, the
simplest kind of speculative decoding: Leviathan et al. 2023). A guess is read together with what is
certain, and the model keeps the part of it that it would have written itself, so that a wrong guess
costs time and nothing else.

- An owner is guessed to be "my", a name with the possessive behind it, or the speaker where "I" is
  said and any other name where not.
- A relation is the known one of which the turn says most; where none is known, the words that the
  turn has behind the owner, up to a verb, a preposition or a mark.
- A value is the last name or number that has not been written yet; where there is none, what stands
  behind "is" and its like up to the next mark, or the last word.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from nestling.models.dialogue import ASK, IS, NOTE
from nestling.models.grammar import Grammar, Line

LONGEST = 16
# Letters at the beginning by which a word of a relation is known in another form: eyes, eye.
_ALIKE = 4
_SPEAKER = ("i", "me", "i'm", "i've", "we")
_BEFORE_VALUES = ("is", "are", "was", "be", "been")
# What stands behind the word for a relation, and is no part of it.
_VERBS = (
    "is are was be been were has have had goes called named do does did will used changed reads"
)
_BEHIND_RELATIONS = frozenset(f"{_VERBS} again now at on in of for to from with and".split())


@dataclass(frozen=True)
class Word:
    """Where a word of a turn begins and ends, and what it says; `last` before a mark or the end."""

    start: int
    end: int
    text: str
    last: bool


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


def spaced_words(pieces: list[str]) -> list[Word]:
    """The words of a turn, without the marks behind them."""
    starts = [place for place, piece in enumerate(pieces) if place == 0 or piece[:1].isspace()]
    words = []
    for start, after in pairwise([*starts, len(pieces)]):
        end = after
        while end > start and not any(letter.isalnum() for letter in pieces[end - 1]):
            end -= 1
        if end > start:
            text = "".join(pieces[start:end]).strip()
            words.append(Word(start, end, text, last=end < after))
    if words:
        words[-1] = replace(words[-1], last=True)
    return words


def _guess(line: Line, words: list[Word]) -> int | None:
    ids, here = line.dialogue.ids, _place(line)
    if line.mark is None:
        return ids[NOTE]
    if line.mark == ids[IS]:
        return _of_value(line, words, here)
    if not line.size:
        return _owner(line, words)
    following = line.words[here] if here < len(line.words) else None
    if line.naming:
        return line.dialogue.possessive if line.is_whole() else following
    return _of_relation(line, words, here, following)


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


def _owner(line: Line, words: list[Word]) -> int:
    """ "my", the word that has the possessive behind it, "my" again, or the first name inside."""
    possessive, mine = line.dialogue.possessive, line.dialogue.mine
    if any(_is_mine(piece) for piece in line.pieces):
        return mine
    if possessive in line.words:
        end = line.words.index(possessive)
        return line.words[max((word.start for word in words if word.start < end), default=0)]
    texts = [word.text.lower() for word in words]
    # "I tell you" says nothing of the speaker.
    if any(t in _SPEAKER and "you" not in texts[n : n + 4] for n, t in enumerate(texts)):
        return mine
    names = [word.start for word in words[1:] if _is_name(word.text)]
    return line.words[names[0]] if names else mine


def _of_relation(line: Line, words: list[Word], here: int, following: int | None) -> int | None:
    """The next token of a key behind its owner, or what stands behind a whole key."""
    mine, possessive = line.dialogue.mine, line.dialogue.possessive
    end = line.dialogue.end_id if line.mark == line.dialogue.ids[ASK] else line.dialogue.ids[IS]
    key = line.written[-line.size :]
    cut = max((n for n, token in enumerate(key) if token in (mine, possessive)), default=-1) + 1
    said = key[cut:]
    if not said and key[-1] == mine and following is not None:
        return following
    likely = _likeliest(line, words, key[:cut])
    if likely is not None and likely[: len(said)] == said and len(said) < len(likely):
        return likely[len(said)]
    if not said:
        return following
    begun = [r for r in line.dialogue.relations.values() if r[: len(said)] == said]
    if said not in begun:
        if len(begun) == 1:
            return begun[0][len(said)]
        if following is not None and not line.borders[here]:
            return following
    # "my sister" may be the key, or the owner of what else is said.
    owns = key[0] == mine and possessive not in key and _likeliest(line, words, key) is not None
    if not owns and said not in begun and following is not None and _goes_on(words, here):
        return following
    return possessive if owns else end


def _goes_on(words: list[Word], here: int) -> bool:
    """Whether the next word still belongs to the word for a relation: "type" in "my blood type"."""
    before = any(word.end == here and not word.last for word in words)
    behind = [word.text for word in words if word.start == here]
    return before and any(
        text.lower() not in _BEHIND_RELATIONS and not _is_name(text) for text in behind
    )


def _likeliest(line: Line, words: list[Word], besides: list[int]) -> list[int] | None:
    """The known relation of which the turn says most words, those `besides` not counted."""
    said = {_alike(word.text) for word in words}
    said -= {_alike(text) for text in line.dialogue.text(besides).split()}
    best: tuple[float, list[int]] | None = None
    for relation, tokens in line.dialogue.relations.items():
        parts = _parts(relation)
        found = sum(part in said for part in parts)
        # Anything has a name.
        if found and said.intersection(parts) != {"name"}:
            score = found + found / len(parts)
            best = max(best or (0.0, tokens), (score, tokens), key=lambda item: item[0])
    return None if best is None else best[1]


@cache
def _parts(relation: str) -> tuple[str, ...]:
    return tuple(_alike(word) for word in relation.split())


def _alike(word: str) -> str:
    """What words of one stem mostly have in common."""
    return word.lower().removesuffix("s")[:_ALIKE]


def _of_value(line: Line, words: list[Word], here: int) -> int | None:
    """The next token of a value, or its end."""
    span = _value(line, words)
    if not line.size:
        return None if span is None else line.words[span[0]]
    going = any(word.start < here < word.end for word in words)
    if span is not None and here - line.size == span[0]:
        going |= here < span[1]
    else:
        before = [word for word in words if word.end == here]
        behind = [word for word in words if word.start == here]
        going |= any(not a.last and (b.last or _is_name(b.text)) for a in before for b in behind)
    return line.words[here] if going else line.dialogue.end_id


def _value(line: Line, words: list[Word]) -> tuple[int, int] | None:
    """Where the turn is likely to say the value."""
    written = set(line.written[: len(line.written) - line.size])
    # The first piece of a number may be its space alone.
    names = [
        n
        for n, word in enumerate(words)
        if _is_name(word.text)
        and (n or _begins(words))
        and not written.issuperset(line.words[word.start : word.end])
    ]
    if names:
        first = last = names[-1]
        while first - 1 in names and not words[first - 1].last:
            first -= 1
        if first > 1 and words[first - 1].text == "of" and words[first - 2].text[0].isdigit():
            first -= 3 if first > 2 and words[first - 3].text == "the" else 2
        return words[first].start, words[last].end
    behind = [n + 1 for n, word in enumerate(words[:-1]) if word.text in _BEFORE_VALUES]
    behind += [n + 1 for n, word in enumerate(words[:-1]) if ":" in _mark(line, word)]
    if behind:
        first = max(behind)
        last = next(n for n in range(first, len(words)) if words[n].last)
        return words[first].start, words[last].end
    return (words[-1].start, words[-1].end) if words else None


def _begins(words: list[Word]) -> bool:
    """Whether a turn begins with a name, and not with a word that is merely its first."""
    behind = words[1].text if len(words) > 1 else ""
    return not words[0].text.isalpha() or behind in _BEFORE_VALUES or _is_name(behind)


def _mark(line: Line, word: Word) -> str:
    return line.pieces[word.end] if word.end < len(line.pieces) else ""


def _is_mine(piece: str) -> bool:
    return piece.strip().lower() == "my"


def _is_name(word: str) -> bool:
    """Whether a word looks like a name or a number."""
    return word != "I" and not word.startswith("I'") and (word[:1].isupper() or word[:1].isdigit())
