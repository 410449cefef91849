"""The told-facts task: restate everyday English, and meta-learn to remember the notes.

Each step trains two things of one model:

1. **restating**: a turn in context is rewritten as notes, an asked key, or nothing;
2. **remembering**: residents are told notes, one turn at a time in emptied contexts, through the
   very writes that are used later; then every key is asked, told or not. The outer gradient runs
   through all writes.

Letters: B residents, N notes, L tokens of a note.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nestling.models.dialogue import Dialogue, Note, Restatement, is_of_thing, owner_of
from nestling.models.hope import Deltas, Hope
from nestling.training.options import ToldFactsOptions
from nestling.training.told_facts import Fact, FactSource
from nestling.training.told_facts.sentences import SentenceFact
from nestling.training.told_facts.splits import split_of

UPDATED_SHARE = 0.1
ABSENT_SHARE = 0.25
# Refusals are short and few: without a weight of their own they would hardly count.
REFUSAL_WEIGHT = 0.5
# Turns of like length are read together: half of a common rectangle would be padding.
TOGETHER = 16
# Turns that tell one fact, and up to where the next ones tell several.
_ONE_FACT, _SEVERAL_FACTS = 0.22, 0.48


@dataclass(frozen=True)
class Passages:
    """Right-padded passages: ids, mask and scored (where the loss is taken), all [..., L]."""

    ids: Tensor
    mask: Tensor
    scored: Tensor

    def view(self, *shape: int) -> Passages:
        """The same passages as [*shape, L]."""
        parts = (self.ids, self.mask, self.scored)
        return Passages(*(part.view(*shape, part.shape[-1]) for part in parts))


def pad(rows: Sequence[Sequence[int]], starts: Sequence[int], pad_id: int) -> Passages:
    """Pad rows of ids to one length; `starts[i]` is the first scored token of row i."""
    length = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad_id] * (length - len(row))] for row in rows])
    column = torch.arange(length)
    mask = column < torch.tensor([len(row) for row in rows])[:, None]
    return Passages(ids, mask, mask & (column >= torch.tensor(starts)[:, None]))


def as_note(fact: Fact) -> Note:
    return Note(fact.key, fact.value)


class ToldFactsTask:
    """Draws the examples of every step from (seed, step) alone, so a resumed run sees the same.

    Args:
        stage: index into `options.stages`; moves up as recall is learned.
    """

    def __init__(self, dialogue: Dialogue, options: ToldFactsOptions, seed: int) -> None:
        self.dialogue, self.options, self.seed = dialogue, options, seed
        self.stage, self.recall = 0, 0.0

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The words of the vocabulary that may be values of training."""
        words = self.dialogue.whole_words().values()
        return tuple(word for word in words if split_of(word) == "train")

    def state_dict(self) -> dict[str, Any]:
        return {"stage": self.stage, "recall": self.recall}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        self.stage, self.recall = int(values["stage"]), float(values["recall"])

    # -- examples ------------------------------------------------------------------------------

    def turns(self, source: FactSource, rng: random.Random, count: int) -> list[Passages]:
        """Turns with their restatements, the restatement scored: short ones first, [<= 16, L]."""
        drawn = []
        for text, restated in islice(draw_turns(source, rng), count):
            prompt = self.dialogue.turn(text)
            drawn.append((prompt + self.dialogue.restatement(restated), len(prompt)))
        drawn.sort(key=lambda turn: len(turn[0]))
        passages = []
        for place in range(0, count, TOGETHER):
            rows, starts = zip(*drawn[place : place + TOGETHER], strict=True)
            passages.append(pad(rows, starts, self.dialogue.pad_id))
        return passages

    def notes(
        self, source: FactSource, rng: random.Random, residents: int, facts: int
    ) -> tuple[Passages, Tensor, Passages]:
        """What residents are told [B, N, L], which of it is asked [B, N], and keys nobody told.

        Some facts are told twice with different values: only the last telling is asked. Values
        are scored.
        """
        rows, starts, asked, absent, absent_starts = [], [], [], [], []
        encode = self.dialogue
        updated = round(facts * UPDATED_SHARE)
        for _ in range(residents):
            new = [self._with_odd_word(fact, rng) for fact in source.facts(facts)]
            old = [replace(fact, value=source.value_of(fact)) for fact in rng.sample(new, updated)]
            current = {(fact.key, fact.value) for fact in new}
            for fact in merge_before(old, new, rng):
                rows.append(encode.note(as_note(fact)))
                starts.append(len(encode.recall(fact.key)))
                asked.append((fact.key, fact.value) in current)
            for key in source.absent_keys(new, max(1, round(facts * ABSENT_SHARE))):
                absent.append(encode.unknown(key))
                absent_starts.append(len(absent[-1]) - 2)
        told = pad(rows, starts, encode.pad_id).view(residents, facts + updated)
        return (
            told,
            torch.tensor(asked).view(residents, -1),
            pad(absent, absent_starts, encode.pad_id).view(residents, -1),
        )

    def _with_odd_word(self, fact: Fact, rng: random.Random) -> Fact:
        share = self.options.odd_words
        if not share or rng.random() >= share:
            return fact
        odd = [rng.choice(self.vocabulary) for _ in range(rng.choice((1, 1, 2)))]
        return replace(fact, value=" ".join(odd))

    # -- losses --------------------------------------------------------------------------------

    def loss(
        self, model: Hope, step: int, precision: torch.dtype
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss of one step and what is worth a line in the log."""
        rng = random.Random(f"told facts {self.seed} {step}")
        chosen = self.options
        source = FactSource(
            rng,
            slips=chosen.slips,
            odd_values=chosen.odd_values,
            further=chosen.further,
            open_facts=chosen.open_facts,
            sentences=chosen.sentences,
        )
        restating, restated = self.restating_loss(
            model, self.turns(source, rng, self.options.turns), precision
        )
        numbers = {"restating": restating.item(), "restated": restated}
        if step % self.options.remember_every:
            return restating, numbers
        if chosen.known_only and rng.random() < chosen.known_only:
            source = FactSource(rng, odd_values=chosen.odd_values, further=chosen.further)
        remembering, more = self.remembering(model, precision, source, rng)
        return restating + remembering, numbers | more

    def remembering(
        self,
        model: Hope,
        precision: torch.dtype,
        source: FactSource,
        rng: random.Random,
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch of residents and its numbers; moves the stage up as they learn."""
        largest = self.options.stages[self.stage]
        # Earlier stages stay in the mix, so that few facts are remembered as well as many.
        facts = largest if rng.random() < 0.6 else rng.choice(self.options.stages[: self.stage + 1])
        residents = max(1, min(self.options.notes // facts, self.options.residents))
        loss, recalled, refused = self.remembering_loss(
            model,
            *self.notes(source, rng, residents, facts),
            precision,
        )
        if facts == largest:
            self.recall += 0.1 * (recalled - self.recall)
            if self.recall > self.options.advance and self.stage + 1 < len(self.options.stages):
                self.stage, self.recall = self.stage + 1, 0.0
        return loss, {
            "remembering": loss.item(),
            "facts": facts,
            "recalled": recalled,
            "refused": refused,
        }

    def restating_loss(
        self, model: Hope, turns: Sequence[Passages], precision: torch.dtype
    ) -> tuple[Tensor, float]:
        """Mean loss of the restatements, and the share of turns restated without an error."""
        losses, exact = [], []
        for group in turns:
            ids, scored = group.ids, group.scored[:, 1:]
            with torch.autocast(ids.device.type, precision, enabled=precision != torch.float32):
                hidden = model.turns_below_memory(ids[:, None], group.mask[:, None])[:, 0]
                # Only scored tokens go on: above the mixers every token stands alone.
                top = model.above_mixers(hidden[:, :-1][scored][None], {})[0]
                logits = model.head(top).float()
            targets = ids[:, 1:][scored]
            wrong = torch.zeros_like(scored)
            wrong[scored] = logits.argmax(-1) != targets
            losses.append(F.cross_entropy(logits, targets, reduction="none"))
            exact.append(~wrong.any(-1))
        return torch.cat(losses).mean(), torch.cat(exact).float().mean().item()

    def notes_of_a_write(self, notes: int) -> int:
        """How many notes share a write, when a resident is told so many."""
        return math.ceil(notes / self.options.writes)

    def remembering_loss(
        self,
        model: Hope,
        told: Passages,
        asked: Tensor,
        absent: Passages,
        precision: torch.dtype,
    ) -> tuple[Tensor, float, float]:
        """Loss of all answers after all writes, share recalled, share refused of the never told."""
        state = model.new_state(len(told.ids))
        with torch.autocast(told.ids.device.type, precision, enabled=precision != torch.float32):
            told_hidden = model.turns_below_memory(told.ids, told.mask).float()
            absent_hidden = model.turns_below_memory(absent.ids, absent.mask).float()
        _, state = model.read_turns(
            told.ids,
            told.mask,
            state,
            learn=told.scored,
            together=self.notes_of_a_write(told.ids.shape[1]),
            hidden=told_hidden,
        )
        deltas = model.writer.deltas(model.end_turn(state))
        # A note that was learned and a note that is recalled are the same passage.
        scored = told.scored & asked[..., None]
        told_loss, told_right = answer_loss(
            model, Passages(told.ids, told.mask, scored), told_hidden, deltas
        )
        absent_loss, absent_right = answer_loss(model, absent, absent_hidden, deltas)
        return (
            told_loss.mean() + REFUSAL_WEIGHT * absent_loss.mean(),
            told_right[asked].float().mean().item(),
            absent_right.float().mean().item(),
        )


def answer_loss(
    model: Hope, passages: Passages, hidden: Tensor, deltas: Deltas
) -> tuple[Tensor, Tensor]:
    """Loss of every scored token, and which passages [B, N] have all their scored tokens right."""
    batch, count, _ = passages.ids.shape
    top = model.above_mixers(hidden[:, :, :-1].flatten(1, 2), deltas).view(
        batch, count, -1, hidden.shape[-1]
    )
    targets, scored = passages.ids[:, :, 1:], passages.scored[:, :, 1:]
    logits, answers = model.head(top[scored]), targets[scored]
    wrong = torch.zeros_like(scored)
    wrong[scored] = logits.argmax(-1) != answers
    return F.cross_entropy(logits, answers, reduction="none"), ~wrong.any(-1)


def merge_before(old: list[Fact], new: list[Fact], rng: random.Random) -> list[Fact]:
    """Tell every old fact somewhere before the new fact of the same key."""
    place = {fact.key: index for index, fact in enumerate(new)}
    keyed = [(float(index), fact) for index, fact in enumerate(new)]
    keyed += [(rng.uniform(-1.0, place[fact.key] - 1e-6), fact) for fact in old]
    return [fact for _, fact in sorted(keyed, key=lambda item: item[0])]


def as_said(key: str, text: str) -> str:
    """A key with the capital that its thing has at the beginning of a sentence ("Bins's time")."""
    thing, _ = owner_of(key)
    if thing in text or not is_of_thing(key):
        return key
    capital = thing[:1].upper() + thing[1:]
    return capital + key[len(thing) :] if capital in text else key


def draw_turns(source: FactSource, rng: random.Random):
    """Endless turns (text, restatement): one to three facts told, changes, questions, talk."""
    in_a_sentence = _ONE_FACT + (_SEVERAL_FACTS - _ONE_FACT) * source.sentences
    while True:
        facts = source.facts(24)
        place = 0
        while place < len(facts):
            kind = rng.random()
            fact = facts[place]
            if kind < _ONE_FACT:
                telling = source.telling([fact])
                place += 1
            elif kind < in_a_sentence:
                telling = source.telling([source.sentence_fact()])
            elif kind < _SEVERAL_FACTS:
                size = rng.choice((2, 2, 3))
                telling = source.telling(facts[place : place + size])
                place += size
            elif kind < 0.58:
                old = source.value_of(fact) if rng.random() < 0.5 else None
                telling = source.update(fact, old)
                place += 1
            elif kind < 0.92:
                question = source.question(fact)
                place += 1
                yield question.text, Restatement(asked=as_said(question.key, question.text))
                continue
            else:
                telling = source.small_talk()
            noted = [note for fact in telling.facts for note in fact.notes]
            if any(isinstance(fact, SentenceFact) for fact in telling.facts):
                noted.sort(key=lambda note: telling.text.find(note.value))
            notes = (Note(as_said(fact.key, telling.text), fact.value) for fact in noted)
            yield telling.text, Restatement(tuple(notes))
