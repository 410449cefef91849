"""What a told-facts model does with a turn: restate it, learn its notes, recall a key.

    restate      turn in context, no memory       ->  notes, or an asked key, or neither
    learn_notes  each note in an emptied context  ->  written into the memory state
    recall       key in an emptied context        ->  the value, from what was written alone

Decoding is greedy and batched; a restatement with a doubtful token in it is searched for with
several beams. **A note holds only words that were said**: a value is a contiguous
span of the turn's own tokens, whatever the model would rather write.
"""

from __future__ import annotations

import copy
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from nestling.memory.state import MemoryState
from nestling.models.dialogue import (
    ASK,
    IS,
    NOTE,
    SPECIAL_TOKENS,
    UNKNOWN,
    Dialogue,
    Note,
    Restatement,
)
from nestling.models.hope import Hope

# Sequences decoded together: more of them only need more room.
_BATCH = 64
# A value is known when each of its tokens is more likely than this.
SURE = 0.8
ATTEMPTS = 8
# A restatement with a token less likely than this is searched for, with so many beams.
DOUBTFUL = 0.7
BEAMS = 4
# Sentences that are restated together: as many as the turns of training have.
TOGETHER = 3

Allow = Callable[[Sequence[int]], Tensor]
"""Rows that are still written -> mask [rows, V], true where a token may come next."""

Forced = Callable[[int], int | None]
"""Row -> the only token that may come next, if there is only one."""


@dataclass(frozen=True)
class Recall:
    """What the memory says about a key.

    `text` is None and `known` False where the model says that it was never told. `logprob` is the
    sum of the log-probabilities of the tokens in `ids`, the end included.
    """

    ids: tuple[int, ...]
    text: str | None
    logprob: float
    known: bool


@dataclass(frozen=True)
class WriteReport:
    """What learning one note did.

    `surprise` is the mean next-token loss (nats) of the value before it was learned, `update_norm`
    the L2 norm of the change of all deltas, `writes` how often the note was written.
    """

    note: Note
    surprise: float
    update_norm: float
    writes: int
    milliseconds: float


@torch.inference_mode()
def restate(
    model: Hope,
    dialogue: Dialogue,
    texts: Sequence[str],
    *,
    asking: bool | None = None,
    max_new_tokens: int = 96,
    together: int = TOGETHER,
) -> list[Restatement]:
    """Let the model restate each turn, read with no memory and nothing before it.

    Tellings are read a few sentences at a time, so that a turn may have any number of them.

    Args:
        texts: the turns, one restatement each.
        asking: True takes every turn as a question, False as a telling; None lets the model decide.
        max_new_tokens: a piece that is not complete by then is left out.
        together: sentences of a telling that are read at a time, as far as they fit the window.
    """
    if asking is False:
        room = model.settings.sliding_window - max_new_tokens
        pieces = [_passages(dialogue, text, together, room) for text in texts]
        flat = _restate_pieces(
            model, dialogue, [piece for some in pieces for piece in some], asking, max_new_tokens
        )
        parts = iter(flat)
        return [_joined([next(parts) for _ in some]) for some in pieces]
    return _restate_pieces(model, dialogue, texts, asking, max_new_tokens)


def _passages(dialogue: Dialogue, text: str, together: int, room: int) -> list[str]:
    """Sentences in a row, up to so many and so many tokens at a time."""
    passages: list[list[str]] = []
    for sentence in sentences(text):
        joined = [*passages[-1], sentence] if passages else []
        if joined and len(joined) <= together and len(dialogue.turn(" ".join(joined))) <= room:
            passages[-1] = joined
        else:
            passages.append([sentence])
    return [" ".join(passage) for passage in passages]


def sentences(text: str) -> list[str]:
    """Split at the ends of sentences; the text itself where there are none."""
    parts: list[str] = []
    for piece in re.split(r"(?<=[.!?])\s+", text.strip()):
        if parts and re.search(r"(^|\s)(Dr|Mr|Mrs|Ms|St|Prof|No|\w)\.$", parts[-1]):
            parts[-1] += " " + piece
        elif piece or not parts:
            parts.append(piece)
    return parts


def _joined(parts: Sequence[Restatement]) -> Restatement:
    return Restatement(tuple(note for part in parts for note in part.notes))


def _restate_pieces(
    model: Hope,
    dialogue: Dialogue,
    texts: Sequence[str],
    asking: bool | None,
    max_new_tokens: int,
) -> list[Restatement]:
    restated: list[Restatement] = []
    for some in _chunks(texts):
        grammar = _Grammar(model, dialogue, asking)
        lines = [_Line(dialogue, dialogue.words(text)) for text in some]

        def allow(rows: Sequence[int], lines=lines, grammar=grammar) -> Tensor:
            return torch.stack([grammar.mask(lines[row]) for row in rows])

        def forced(row: int, lines=lines, grammar=grammar) -> int | None:
            return grammar.forced(lines[row])

        _, least = _decode(
            model,
            dialogue,
            [dialogue.turn(text) for text in some],
            model.new_state(1).repeat(len(some)),
            max_new_tokens,
            write=lambda row, token, lines=lines: lines[row].write(token),
            allow=allow,
            forced=forced,
        )
        for row, logprob in enumerate(least):
            if logprob < math.log(DOUBTFUL):
                lines[row] = _search(model, dialogue, some[row], grammar, max_new_tokens)
        restated += [dialogue.parse(line.complete()) for line in lines]
    return restated


def _search(
    model: Hope, dialogue: Dialogue, text: str, grammar: _Grammar, max_new_tokens: int
) -> _Line:
    """The likeliest restatement that beams find; forced tokens count as what they are."""
    device = model.embedding.weight.device
    ids = torch.tensor([dialogue.turn(text)], device=device)
    reading = model(ids, state=model.new_state(1))
    scores = reading.logits[:, -1].log_softmax(-1)
    beams = [(0.0, _Line(dialogue, dialogue.words(text)))]
    best: tuple[float, _Line] | None = None
    while True:
        candidates: list[tuple[float, int, int]] = []
        for place, (logprob, line) in enumerate(beams):
            allowed = scores[place].masked_fill(~grammar.mask(line), -torch.inf)
            gained, tokens = allowed.topk(BEAMS)
            candidates += [
                (logprob + gain, place, token)
                for gain, token in zip(gained.tolist(), tokens.tolist(), strict=True)
                if gain > -math.inf
            ]
        grown: list[tuple[float, _Line]] = []
        runs: list[list[int]] = []
        parents: list[int] = []
        for logprob, place, token in sorted(candidates, reverse=True)[:BEAMS]:
            line, run = beams[place][1].copy(), [token]
            line.write(token)
            while (only := grammar.forced(line)) is not None:
                line.write(only)
                run.append(only)
            if run[-1] != dialogue.end_id:
                grown.append((logprob, line))
                runs.append(run)
                parents.append(place)
            elif best is None or logprob > best[0]:
                best = logprob, line
        # What is longer is never likelier.
        if best is not None and all(logprob <= best[0] for logprob, _ in grown):
            return best[1]
        if not grown:
            # Nothing may follow: a turn without words has no value.
            return beams[0][1]
        if max(len(line.written) for _, line in grown) >= max_new_tokens:
            return max(grown, key=lambda item: item[0])[1]
        assert reading.state is not None
        ids, mask = _padded(runs, dialogue.pad_id, device)
        reading = model(ids, mask, state=reading.state.index(parents))
        logprobs = reading.logits.log_softmax(-1)
        beams = [
            (logprob + sum(logprobs[row, i, run[i + 1]].item() for i in range(len(run) - 1)), line)
            for row, ((logprob, line), run) in enumerate(zip(grown, runs, strict=True))
        ]
        scores = logprobs[torch.arange(len(runs), device=device), mask.sum(1) - 1]


@torch.inference_mode()
def recall(
    model: Hope,
    dialogue: Dialogue,
    keys: Sequence[str],
    state: MemoryState | None,
    *,
    max_new_tokens: int = 24,
) -> list[Recall]:
    """Ask one memory for the values of keys, each in an emptied context.

    Args:
        keys: in canonical form ("my dog"), as a restatement gives them.
        state: one sequence; its context is not used. None asks the model without a memory.

    Raises:
        ValueError: the state holds several sequences.
    """
    if state is not None and state.batch_size != 1:
        raise ValueError(
            f"recall asks one memory, and the state holds {state.batch_size}; "
            "choose one with state.index(...)"
        )
    memory = model.new_state(1) if state is None else state.clear_context()
    answers: list[Recall] = []
    for some in _chunks(keys):
        written: list[list[int]] = [[] for _ in some]
        logprobs, _ = _decode(
            model,
            dialogue,
            [dialogue.recall(key) for key in some],
            memory.repeat(len(some)),
            max_new_tokens,
            write=lambda row, token, written=written: written[row].append(token),
        )
        for ids, logprob in zip(written, logprobs, strict=True):
            text = None if ids[:1] == [dialogue.ids[UNKNOWN]] else dialogue.text(ids) or None
            answers.append(Recall(tuple(ids), text, logprob, text is not None))
    return answers


@torch.no_grad()
def learn_notes(
    model: Hope,
    dialogue: Dialogue,
    notes: Sequence[Note],
    state: MemoryState,
    *,
    attempts: int = ATTEMPTS,
) -> tuple[MemoryState, list[WriteReport]]:
    """Write notes into a memory, one after the other, each read in an emptied context.

    The key is what a value hangs on; the value, and that it ends, is what is learned. One note is
    one call, so that notes learned together give, bit for bit, the state that they give when
    learned one by one.

    Args:
        state: one sequence.
        attempts: a note whose value is still doubtful after a write (a token below `SURE`) is
            written again, so often at the most.

    Returns:
        the new state, its context empty, and a report for each note.
    """
    reports = []
    for note in notes:
        start = time.perf_counter()
        ids = torch.tensor([[dialogue.note(note)]], device=state.device)
        mask = torch.ones_like(ids, dtype=torch.bool)
        learn = learned(dialogue, [note], ids)
        before = model.writer.deltas(state)
        hidden, new = model.read_turns(ids, mask, state, learn=learn)
        value = learn[0, 0, 1:]
        pairs = hidden[:, 0, :-1][:, value], ids[:, 0, 1:][:, value]
        surprise = float(model.pair_loss(*pairs, before)[:, :-1].mean())
        writes = 1
        while writes < attempts and _doubtful(model.pair_loss(*pairs, model.writer.deltas(new))):
            _, new = model.read_turns(ids, mask, new, learn=learn, hidden=hidden)
            writes += 1
        after = model.writer.deltas(new)
        squares = [
            (after[level][part] - before[level][part]).square().sum()
            for level, parts in before.items()
            for part in parts
        ]
        state = new.clear_context()
        reports.append(
            WriteReport(
                note=note,
                surprise=surprise,
                update_norm=float(sum(squares)) ** 0.5,
                writes=writes,
                milliseconds=1000 * (time.perf_counter() - start),
            )
        )
    return state, reports


def _doubtful(losses: Tensor) -> bool:
    return bool((losses > -math.log(SURE)).any())


def learned(dialogue: Dialogue, notes: Sequence[Note], ids: Tensor) -> Tensor:
    """Which tokens of notes [1, N, L] are learned: those of the values and their ends."""
    starts = [len(dialogue.recall(note.key)) for note in notes]
    first = torch.tensor(starts, device=ids.device)[None, :, None]
    return torch.arange(ids.shape[-1], device=ids.device) >= first


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _decode(
    model: Hope,
    dialogue: Dialogue,
    prompts: Sequence[Sequence[int]],
    state: MemoryState,
    max_new_tokens: int,
    *,
    write: Callable[[int, int], None],
    allow: Allow | None = None,
    forced: Forced | None = None,
) -> tuple[list[float], list[float]]:
    """Greedy decoding of a batch up to `<|end|>`; calls `write(row, token)` for every token.

    Returns the summed and the least log-probability of what was chosen, by row. A finished sequence
    leaves the batch; tokens that are forced are read together with the one before them.
    """
    device = state.device
    ids, mask = _padded(prompts, dialogue.pad_id, device)
    reading = model(ids, mask, state)
    scores = reading.logits[torch.arange(len(prompts), device=device), mask.sum(1) - 1]
    rows, logprobs, least = list(range(len(prompts))), [0.0] * len(prompts), [0.0] * len(prompts)
    counts = [0] * len(prompts)
    while True:
        allowed = scores if allow is None else scores.masked_fill(~allow(rows), -torch.inf)
        chosen = allowed.argmax(-1)
        gained = scores.log_softmax(-1).gather(1, chosen[:, None])[:, 0]
        runs = []
        for row, token, logprob in zip(rows, chosen.tolist(), gained.tolist(), strict=True):
            runs.append([token])
            write(row, token)
            logprobs[row] += logprob
            least[row] = min(least[row], logprob)
            while forced is not None and (only := forced(row)) is not None:
                runs[-1].append(only)
                write(row, only)
            counts[row] += len(runs[-1])
        going = [
            place
            for place, (row, run) in enumerate(zip(rows, runs, strict=True))
            if run[-1] != dialogue.end_id and counts[row] < max_new_tokens
        ]
        if not going:
            break
        state = reading.state
        if len(going) < len(rows):
            rows, runs, state = (
                [rows[p] for p in going],
                [runs[p] for p in going],
                state.index(going),
            )
        ids, mask = _padded(runs, dialogue.pad_id, device)
        reading = model(ids, mask, state=state)
        scores = reading.logits[torch.arange(len(runs), device=device), mask.sum(1) - 1]
    return logprobs, least


def _padded(
    rows: Sequence[Sequence[int]], pad_id: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Rows of ids as ids and mask [B, T], padded on the right."""
    length = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad_id] * (length - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, torch.arange(length, device=device) < lengths[:, None]


@dataclass
class _Line:
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
    # Whether a word begins, or the turn ends, at each place in `words`.
    borders: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        pieces = [self.dialogue.tokenizer.decode([word]) for word in self.words]
        inside = [
            bool(before) and before[-1].isalnum() and piece[:1].isalnum()
            for before, piece in pairwise(["", *pieces])
        ]
        self.borders = [not middle for middle in inside] + [True]

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

    def copy(self) -> _Line:
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


class _Grammar:
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

    def mask(self, line: _Line) -> Tensor:
        few = self.few(line)
        if few is not None:
            return self._and(None, few)
        return self.key if line.mark == self.ids[NOTE] else self.asked

    def few(self, line: _Line) -> set[int] | None:
        """The tokens that may come next, where they are few; None where any word may."""
        if line.mark is None:
            return self.start
        if line.mark == self.ids[IS]:
            return line.said() | (self.stop if line.is_whole() else set())
        if line.naming and line.words:
            return line.said() | self._name_end(line)
        return None

    def forced(self, line: _Line) -> int | None:
        """The only token that may come next, if there is only one and the line goes on."""
        few = None if line.mark == self.end else self.few(line)
        return next(iter(few)) if few is not None and len(few) == 1 else None

    def _name_end(self, line: _Line) -> set[int]:
        if not line.size:
            return {self.mine}
        return {self.possessive} if line.is_whole() else set()

    def _and(self, mask: Tensor | None, more: set[int]) -> Tensor:
        mask = torch.zeros_like(self.words) if mask is None else mask.clone()
        mask[list(more)] = True
        return mask
