"""What a told-facts model does with a turn: restate it, learn its notes, recall a key.

    restate      turn in context, no memory       ->  notes, or an asked key, or neither
    learn_notes  each note in an emptied context  ->  written into the memory state
    recall       key in an emptied context        ->  the value, from what was written alone

Decoding is greedy and batched; a restatement with a doubtful token in it is searched for with
several beams. A note holds only words that were said: see `nestling.models.grammar`.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from nestling.memory.state import MemoryState
from nestling.models.decoding import decode, decode_lines, search
from nestling.models.denial import is_asked, is_said, names_something
from nestling.models.dialogue import BROKEN, UNKNOWN, Dialogue, Note, Restatement
from nestling.models.grammar import Grammar
from nestling.models.hope import Deltas, Hope
from nestling.models.reading import points_back, read_sentences, readable

# Sequences decoded together: more of them only need more room.
_BATCH = 64
# A value is known when each of its tokens is more likely than this.
SURE = 0.8
ATTEMPTS = 8
# A restatement with a token less likely than this is searched for, with so many beams.
DOUBTFUL = 0.7
BEAMS = 4
# In place of a value that names nothing: one that is less likely by so much (nats) at the most.
OTHERWISE = 3.0
# Sentences that are restated together, where one points back to another: as many as the turns of
# training have.
TOGETHER = 3


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
class TokenWrite:
    """One learned token: its loss (nats) before it was learned, and how strongly it was written.

    The model gives every token a strength between 0 and 2.
    """

    text: str
    surprise: float
    strength: float


@dataclass(frozen=True)
class WriteReport:
    """What learning one note did, and where it went.

    `surprise` is the mean next-token loss (nats) of the value before it was learned, `update_norm`
    the L2 norm of the change of all deltas and `level_norms` that of each level, `tokens` what was
    learned and how strongly (the last one is the end), `writes` how often the note was written.
    `held` is whether the value is what the memory says now: where it is not, it could not be
    learned.
    """

    note: Note
    surprise: float
    update_norm: float
    writes: int
    milliseconds: float
    tokens: tuple[TokenWrite, ...] = ()
    level_norms: Mapping[str, float] = field(default_factory=dict)
    held: bool = True


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

    Tellings are read sentence by sentence, so that a turn may have any number of them; where one
    says "it" or "her", together with those before it (`nestling.models.reading`). What a turn
    denies, supposes or asks is not noted (`nestling.models.denial`).

    Args:
        texts: the turns, one restatement each.
        asking: True takes every turn as a question, False as a telling; None lets the model decide.
        max_new_tokens: a piece that is not complete by then is left out.
        together: sentences of a telling that are read at a time at most, as far as they fit the
            window.
    """
    if asking is False:
        room = model.settings.sliding_window - max_new_tokens
        pieces = [_passages(dialogue, text, together, room) for text in texts]
        flat = _restate_pieces(
            model, dialogue, [piece for some in pieces for piece in some], asking, max_new_tokens
        )
        parts = iter(flat)
        return [_joined([next(parts) for _ in some]) for some in pieces]
    return _restate_pieces(model, dialogue, [*map(readable, texts)], asking, max_new_tokens)


def _passages(dialogue: Dialogue, text: str, together: int, room: int) -> list[str]:
    """Each sentence, behind those that it points back to; none that plainly asks.

    Args:
        together, room: sentences, and tokens, of a passage at most.
    """
    passages: list[list[str]] = []
    for sentence in read_sentences(text):
        if is_asked(sentence):
            continue
        joined = [*passages[-1], sentence] if passages and points_back(sentence) else []
        if joined and len(joined) <= together and len(dialogue.turn(_passage(joined))) <= room:
            passages[-1] = joined
        else:
            passages.append([sentence])
    return [*map(_passage, passages)]


def _passage(said: Sequence[str]) -> str:
    """Sentences as one text; one that only its line has ended gets a full stop."""
    *some, last = said
    return " ".join([*(s if s[-1:] in tuple(".!?:;,") else f"{s}." for s in some), last])


def _joined(parts: Sequence[Restatement]) -> Restatement:
    """All notes in their order; what is said again right away is noted once."""
    notes: list[Note] = []
    latest: dict[str, str] = {}
    for note in (note for part in parts for note in part.notes):
        if latest.get(note.key) != note.value:
            notes.append(note)
            latest[note.key] = note.value
    return Restatement(tuple(notes))


def _restate_pieces(
    model: Hope,
    dialogue: Dialogue,
    texts: Sequence[str],
    asking: bool | None,
    max_new_tokens: int,
) -> list[Restatement]:
    restated: list[Restatement] = []
    grammar = Grammar(model, dialogue, asking)
    for some in _chunks(texts):
        for text, written in zip(
            some, decode_lines(model, dialogue, some, grammar, max_new_tokens), strict=True
        ):
            line = written.line
            # What is likelier than not is likelier than all else.
            if written.least < math.log(DOUBTFUL) and written.logprob <= math.log(0.5):
                known = written if line.mark == dialogue.end_id else None
                found = search(model, dialogue, text, grammar, max_new_tokens, BEAMS, known=known)
                line = found[0][1]
            parsed = dialogue.parse(line.complete())
            if not _names_things(text, parsed):
                found = search(model, dialogue, text, grammar, max_new_tokens, BEAMS, OTHERWISE)
                others = (dialogue.parse(other.complete()) for _, other in found)
                parsed = next((p for p in others if _names_things(text, p)), parsed)
            said = (note for note in parsed.notes if names_something(text, note))
            notes = [note for note in said if is_said(text, note)]
            restated.append(replace(parsed, notes=_side_by_side(text, notes)))
    return restated


def _side_by_side(text: str, notes: Sequence[Note]) -> tuple[Note, ...]:
    """Values of one key that stand beside each other as one: a key holds no more."""
    found: list[Note] = []
    for note in notes:
        for place, before in enumerate(found):
            both = rf"{re.escape(before.value)}(?:, | and |,? (?:on|at) ){re.escape(note.value)}"
            if before.key == note.key and (beside := re.search(both, text)):
                found[place] = Note(note.key, beside[0])
                break
        else:
            found.append(note)
    return tuple(found)


def _names_things(text: str, parsed: Restatement) -> bool:
    return all(names_something(text, note) for note in parsed.notes)


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
        logprobs, _ = decode(
            model,
            dialogue,
            [dialogue.recall(key) for key in some],
            memory.repeat(len(some)),
            max_new_tokens,
            write=lambda row, token, written=written: written[row].append(token),
        )
        for ids, logprob in zip(written, logprobs, strict=True):
            text = None if ids[:1] == [dialogue.ids[UNKNOWN]] else dialogue.text(ids) or None
            # Of a letter that came back broken nothing is known.
            text = None if text is not None and BROKEN in text else text
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
        before = model.writer.deltas(state)
        new, pairs, writes = write_until_sure(
            model, ids, learned(dialogue, [note], ids), state, attempts
        )
        losses = model.pair_loss(*pairs, before)[0].tolist()
        after = model.writer.deltas(new)
        norms = change_norms(before, after)
        held = writes < attempts or says(model, *pairs, after)
        strengths = model.writer.token_strength(pairs[0])[0].tolist()
        decode_one = partial(dialogue.tokenizer.decode, skip_special_tokens=True)
        texts = [decode_one([i]) for i in pairs[1][0].tolist()]
        state = new.clear_context()
        reports.append(
            WriteReport(
                note=note,
                surprise=math.fsum(losses[:-1]) / max(1, len(losses) - 1),
                update_norm=math.hypot(*norms.values()),
                writes=writes,
                milliseconds=1000 * (time.perf_counter() - start),
                tokens=tuple(map(TokenWrite, texts, losses, strengths)),
                level_norms=norms,
                held=held,
            )
        )
    return state, reports


def write_until_sure(
    model: Hope, ids: Tensor, learn: Tensor, state: MemoryState, attempts: int = ATTEMPTS
) -> tuple[MemoryState, tuple[Tensor, Tensor], int]:
    """Write one note into each of B memories, again while the value of any of them is doubtful.

    Args:
        ids: [B, 1, L], values at the same places in all.
        learn: [1, 1, L] or [B, 1, L], where they are.

    Returns:
        the new state, what stands below the memory before each token of the values [B, P, d] and
        those tokens [B, P], and how often was written.
    """
    mask, value = torch.ones_like(ids, dtype=torch.bool), learn[0, 0, 1:]
    hidden, state = model.read_turns(ids, mask, state, learn=learn)
    pairs = hidden[:, 0, :-1][:, value], ids[:, 0, 1:][:, value]
    writes = 1
    while writes < attempts and doubtful(model.pair_loss(*pairs, model.writer.deltas(state))):
        _, state = model.read_turns(ids, mask, state, learn=learn, hidden=hidden)
        writes += 1
    return state, pairs, writes


def says(model: Hope, hidden: Tensor, tokens: Tensor, deltas: Deltas) -> bool:
    """Whether a model with these deltas says tokens [B, P] itself: each is the likeliest."""
    logits = model.head(model.above_mixers(hidden, deltas))
    return bool((logits.argmax(-1) == tokens).all())


def change_norms(before: Deltas, after: Deltas) -> dict[str, float]:
    """L2 norm of the change of every level."""
    return {
        level: math.hypot(
            *(float((after[level][part] - old).norm()) for part, old in parts.items())
        )
        for level, parts in before.items()
    }


def doubtful(losses: Tensor) -> bool:
    """Whether some token of a note is not yet sure enough, by its losses, to stop writing it."""
    return bool((losses > -math.log(SURE)).any())


def learned(dialogue: Dialogue, notes: Sequence[Note], ids: Tensor) -> Tensor:
    """Which tokens of notes [1, N, L] are learned: those of the values and their ends."""
    starts = [len(dialogue.recall(note.key)) for note in notes]
    first = torch.tensor(starts, device=ids.device)[None, :, None]
    return torch.arange(ids.shape[-1], device=ids.device) >= first


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
