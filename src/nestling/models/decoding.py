"""Decoding: greedy for a batch, with drafts for one turn, with beams for one that is in doubt."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nestling.memory.state import MemoryState
from nestling.models.dialogue import Dialogue
from nestling.models.drafting import draft
from nestling.models.grammar import Grammar, Line
from nestling.models.hope import Hope

Allow = Callable[[Sequence[int]], Tensor]
"""Rows that are still written -> mask [rows, V], true where a token may come next."""

Forced = Callable[[int], int | None]
"""Row -> the only token that may come next, if there is only one."""


def decode(
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

    Returns the summed and the least log-probability of what was chosen, among what is allowed, by
    row. A finished sequence leaves the batch; tokens that are forced are read together with the one
    before them.
    """
    device = state.device
    ids, mask = padded(prompts, dialogue.pad_id, device)
    reading = model(ids, mask, state)
    scores = reading.logits[torch.arange(len(prompts), device=device), mask.sum(1) - 1]
    rows, logprobs, least = list(range(len(prompts))), [0.0] * len(prompts), [0.0] * len(prompts)
    counts = [0] * len(prompts)
    while True:
        allowed = scores if allow is None else scores.masked_fill(~allow(rows), -torch.inf)
        chosen = allowed.argmax(-1)
        gained = allowed.log_softmax(-1).gather(1, chosen[:, None])[:, 0]
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
        ids, mask = padded(runs, dialogue.pad_id, device)
        reading = model(ids, mask, state=state)
        scores = reading.logits[torch.arange(len(runs), device=device), mask.sum(1) - 1]
    return logprobs, least


@dataclass(frozen=True)
class Written:
    """A line, its log-probability among what is allowed, and the least of one of its tokens."""

    line: Line
    logprob: float
    least: float


def decode_lines(
    model: Hope,
    dialogue: Dialogue,
    texts: Sequence[str],
    grammar: Grammar,
    max_new_tokens: int,
) -> list[Written]:
    """Greedy restatements of turns."""
    lines = [Line(dialogue, dialogue.words(text)) for text in texts]
    if len(lines) == 1:
        return [_write(lines[0], model, dialogue.turn(texts[0]), grammar, max_new_tokens)]
    logprobs, least = decode(
        model,
        dialogue,
        [dialogue.turn(text) for text in texts],
        model.new_state(1).repeat(len(texts)),
        max_new_tokens,
        write=lambda row, token: lines[row].write(token),
        allow=lambda rows: torch.stack([grammar.mask(lines[row]) for row in rows]),
        forced=lambda row: grammar.forced(lines[row]),
    )
    return [*map(Written, lines, logprobs, least)]


def _write(
    line: Line, model: Hope, prompt: list[int], grammar: Grammar, max_new_tokens: int
) -> Written:
    """Write a line with drafts, which are read before they are certain.

    Every pass reads what is certain and a draft behind it; of the draft that part stays which the
    model writes itself. Where another part was read in vain, the next pass begins at the state
    before it.
    """
    device = model.embedding.weight.device
    state, unread, gained = model.new_state(1), prompt, [0.0]
    while True:
        drafted = draft(line, grammar)
        reading = model(torch.tensor([[*unread, *drafted]], device=device), state=state)
        scores = reading.logits[0, len(unread) - 1 :]
        start, new, certain = len(line.written), [], 0
        # As long as what the model has written is what was read.
        while len(new) == certain <= len(drafted):
            allowed = scores[certain].masked_fill(~grammar.mask(line), -torch.inf)
            token = int(allowed.argmax())
            gained.append(float(allowed.log_softmax(-1)[token]))
            line.write(token)
            while (only := grammar.forced(line)) is not None:
                line.write(only)
            if line.mark == grammar.end or len(line.written) >= max_new_tokens:
                return Written(line, math.fsum(gained), min(gained))
            new = line.written[start:]
            certain = _in_common(new, drafted)
        if certain == len(drafted):
            assert reading.state is not None
            state, unread = reading.state, new[certain:]
        else:
            unread = [*unread, *new]


def search(
    model: Hope,
    dialogue: Dialogue,
    text: str,
    grammar: Grammar,
    max_new_tokens: int,
    beams: int,
    margin: float = 0.0,
    known: Written | None = None,
) -> list[tuple[float, Line]]:
    """The likeliest restatements that beams find, with their log-probabilities, best first.

    A token counts among those that are allowed in its place, so that one that is forced is certain.

    Args:
        margin: those that are less likely than the best by more than this (nats) are left out.
        known: a whole line that was found before; only what is likelier is looked for.
    """
    device = model.embedding.weight.device
    ids = torch.tensor([dialogue.turn(text)], device=device)
    reading = model(ids, state=model.new_state(1))
    scores = reading.logits[:, -1]
    going = [(0.0, Line(dialogue, dialogue.words(text)))]
    found = [] if known is None else [(known.logprob, known.line)]
    least = -math.inf if known is None else known.logprob
    while True:
        candidates: list[tuple[float, int, int]] = []
        for place, (logprob, line) in enumerate(going):
            allowed = scores[place].masked_fill(~grammar.mask(line), -torch.inf)
            gained, tokens = allowed.log_softmax(-1).topk(beams)
            candidates += [
                (logprob + gain, place, token)
                for gain, token in zip(gained.tolist(), tokens.tolist(), strict=True)
                if gain > -math.inf
            ]
        grown: list[tuple[float, Line]] = []
        runs: list[list[int]] = []
        parents: list[int] = []
        for logprob, place, token in sorted(candidates, reverse=True)[:beams]:
            if logprob <= least:
                continue
            line, run = going[place][1].copy(), [token]
            line.write(token)
            while (only := grammar.forced(line)) is not None:
                line.write(only)
                run.append(only)
            if run[-1] != dialogue.end_id:
                grown.append((logprob, line))
                runs.append(run)
                parents.append(place)
            else:
                found.append((logprob, line))
        found.sort(key=lambda item: -item[0])
        # What is longer is never likelier.
        if found and all(logprob <= found[0][0] - margin for logprob, _ in grown):
            return [item for item in found if item[0] >= found[0][0] - margin]
        if not grown:
            # Nothing may follow: a turn without words has no value.
            return going[:1]
        if max(len(line.written) for _, line in grown) >= max_new_tokens:
            return [max([*found, *grown], key=lambda item: item[0])]
        assert reading.state is not None
        ids, mask = padded(runs, dialogue.pad_id, device)
        reading = model(ids, mask, state=reading.state.index(parents))
        going = grown
        scores = reading.logits[torch.arange(len(runs), device=device), mask.sum(1) - 1]


def padded(
    rows: Sequence[Sequence[int]], pad_id: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Rows of ids as ids and mask [B, T], padded on the right."""
    length = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad_id] * (length - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, torch.arange(length, device=device) < lengths[:, None]


def _in_common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their beginning."""
    shorter = min(len(first), len(second))
    return next((i for i in range(shorter) if first[i] != second[i]), shorter)
