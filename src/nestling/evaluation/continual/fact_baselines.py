"""Other ways to remember a stream of notes: fine-tuning, adapters, a long context, retrieval.

Those that learn by weights write the matrix that Hope writes, the down projection of its written
memory, so that all have the same room; `FineTuningAll` writes all weights.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from nestling.evaluation.continual.fact_learners import ByMargin, with_levels
from nestling.evaluation.continual.fact_stream import Query, Turn
from nestling.memory.consolidation import Lessons
from nestling.memory.state import MemoryState
from nestling.models.bundle import ModelBundle
from nestling.models.dialogue import Note
from nestling.models.rehearsal import unknown_lessons
from nestling.models.restate import doubtful
from nestling.ops.packing import row_mask

# Gradient steps on a note at most.
STEPS = 20
ROOM = 64
LORA_RANK = 8
# Passages read at once behind the same notes.
_TOGETHER = 64
_DOWN = "memory.delta.fast.down"


def train_until_sure(
    optimizer: torch.optim.Optimizer,
    losses: Callable[[], Tensor],
    more: Callable[[], Tensor | float] = lambda: 0.0,
) -> None:
    """Step until no token's loss is in doubt, as the model itself writes.

    Args:
        losses: of the tokens of a note.
        more: what is minimized beside their mean.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for _ in range(STEPS):
        own = losses()
        if not doubtful(own):
            break
        optimizer.zero_grad()
        (own.mean() + more()).backward(inputs=weights)
        optimizer.step()


class FineTuning(ByMargin):
    """AdamW on the matrix, on every note until it is sure.

    Args:
        replayed: notes of before that are trained on with every new one, from a buffer of `ROOM`.
        anchor: weight of elastic weight consolidation; its importances are taken at every end of a
            session from that session's notes.
    """

    def __init__(
        self, bundle: ModelBundle, rate: float, *, replayed: int = 0, anchor: float = 0.0
    ) -> None:
        super().__init__(with_levels(bundle, 1, sleeps=False))
        self.rate, self.replayed, self.anchor = rate, replayed, anchor
        self.delta = nn.Parameter(self.memory[_DOWN].clone())
        self.optimizer = torch.optim.AdamW([self.delta], lr=rate, weight_decay=0.0)
        self.buffer: list[Note] = []
        self.seen = 0
        self.session: list[Note] = []
        self.importance = torch.zeros_like(self.delta)
        self.settled = torch.zeros_like(self.delta)
        self.rng = random.Random(0)

    @property
    def nbytes(self) -> int:
        kept = sum(len(str(note).encode()) for note in self.buffer)
        return super().nbytes * (3 if self.anchor else 1) + kept

    def tell(self, turn: Turn) -> None:
        for note in turn.notes:
            self._train(note)
            self.session.append(note)
            self._keep(note)
        self.memory = self.memory.replace({_DOWN: self.delta.detach().clone()})

    def end_session(self) -> None:
        if not self.anchor or not self.session:
            return
        for note in self.session:
            losses = self._losses(self._lessons_of([note]))
            (slope,) = torch.autograd.grad(losses.mean(), [self.delta])
            self.importance += slope.square()
        self.settled, self.session = self.delta.detach().clone(), []

    def _train(self, note: Note) -> None:
        old = self.rng.sample(self.buffer, min(self.replayed, len(self.buffer)))
        own, replayed = self._lessons_of([note]), self._lessons_of(old) if old else None

        def more() -> Tensor | float:
            loss = 0.0 if replayed is None else self._losses(replayed).mean()
            if self.anchor:
                away = self.importance * (self.delta - self.settled).square()
                loss = loss + self.anchor * away.sum()
            return loss

        train_until_sure(self.optimizer, lambda: self._losses(own), more)

    def _losses(self, lessons: Lessons) -> Tensor:
        return self._losses_with(lessons, self.delta)

    def _keep(self, note: Note) -> None:
        """Reservoir sampling: every note of the stream stays with the same probability."""
        self.seen += 1
        if len(self.buffer) < (ROOM if self.replayed else 0):
            self.buffer.append(note)
        elif self.buffer and self.rng.random() < ROOM / self.seen:
            self.buffer[self.rng.randrange(ROOM)] = note


class FineTuningAll(ByMargin):
    """AdamW on all weights of the model, on every note until it is sure: what is done usually."""

    def __init__(self, bundle: ModelBundle, rate: float) -> None:
        own = with_levels(bundle, 1, sleeps=False)
        super().__init__(own)
        self.optimizer = torch.optim.AdamW(own.model.parameters(), lr=rate, weight_decay=0.0)

    @property
    def nbytes(self) -> int:
        return sum(p.nbytes for p in self.bundle.model.parameters())

    def tell(self, turn: Turn) -> None:
        model, dialogue = self.bundle.model, self.bundle.dialogue
        for note in turn.notes:
            ids = torch.tensor([dialogue.note(note)])
            first = len(dialogue.recall(note.key))

            def losses(ids: Tensor = ids, first: int = first) -> Tensor:
                logits = model(ids[:, :-1]).logits[0, first - 1 :]
                return nn.functional.cross_entropy(logits, ids[0, first:], reduction="none")

            train_until_sure(self.optimizer, losses)
        if turn.notes:
            self._lessons.clear()


class LoRAPerSession(ByMargin):
    """A new adapter of `peft` for every session; a question is answered by the surest one."""

    def __init__(self, bundle: ModelBundle, rate: float) -> None:
        super().__init__(with_levels(bundle, 1, sleeps=False))
        self.rate = rate
        self.adapters: list[Tensor] = []
        self._begin()

    @property
    def nbytes(self) -> int:
        rows, columns = self.memory[_DOWN].shape[1:]
        return len(self.adapters) * LORA_RANK * (rows + columns) * 4

    def state(self) -> MemoryState | None:
        return self._with(self.adapters[-1]) if self.adapters else self.memory

    def _begin(self) -> None:
        peft = import_module("peft")
        down = self.bundle.model.layers[-1].memory.mlp("fast").down
        holder = nn.Module()
        holder.down = nn.Linear(down.in_features, down.out_features, bias=False)
        config = peft.LoraConfig(r=LORA_RANK, lora_alpha=LORA_RANK, target_modules=["down"])
        self.layer: Any = peft.inject_adapter_in_model(config, holder).down
        weights = [p for name, p in self.layer.named_parameters() if "lora_" in name]
        self.optimizer = torch.optim.AdamW(weights, lr=self.rate, weight_decay=0.0)
        self.fresh = True

    def tell(self, turn: Turn) -> None:
        for note in turn.notes:
            lessons = self._lessons_of([note])

            def losses(lessons: Lessons = lessons) -> Tensor:
                return self._losses_with(lessons, self.layer.get_delta_weight("default")[None])

            train_until_sure(self.optimizer, losses)
            delta = self.layer.get_delta_weight("default")[None].detach().clone()
            self.adapters[len(self.adapters) - (not self.fresh) :] = [delta]
            self.fresh = False

    def end_session(self) -> None:
        self._begin()

    def _with(self, delta: Tensor) -> MemoryState:
        return self.memory.replace({_DOWN: delta})

    def outcomes(self, queries: Sequence[Query]) -> list[str]:
        if not queries:
            return []
        found, sure = [], []
        model, dialogue = self.bundle.model, self.bundle.dialogue
        lessons = unknown_lessons(model, dialogue, [query.key for query in queries])
        first = torch.ones(len(lessons), dtype=torch.bool)
        first[1:] = lessons.passage[1:] != lessons.passage[:-1]
        empty = self.memory
        for delta in self.adapters or [empty[_DOWN]]:
            self.memory = self._with(delta)
            found.append(super().outcomes(queries))
            deltas = model.writer.deltas(self.memory)
            with torch.no_grad():
                logits = model.head(model.above_mixers(lessons.hidden[first][None], deltas))[0]
            # How sure it is of anything but a refusal.
            logprobs = logits.log_softmax(-1)
            logprobs[:, lessons.targets[first][0]] = -torch.inf
            sure.append(logprobs.amax(-1))
        self.memory = empty
        best = torch.stack(sure).argmax(0).tolist()
        return [found[adapter][place] for place, adapter in enumerate(best)]


class InContext(ByMargin):
    """The latest notes, as many as fit the window, before the question; no memory."""

    def __init__(self, bundle: ModelBundle) -> None:
        super().__init__(with_levels(bundle, 1, sleeps=False))
        self.notes: list[Note] = []

    @property
    def nbytes(self) -> int:
        return sum(len(str(note).encode()) for note in self.notes)

    def tell(self, turn: Turn) -> None:
        self.notes += turn.notes
        dialogue, room = self.bundle.dialogue, self.bundle.model.settings.sliding_window - 32
        while sum(len(dialogue.note(note)) - 1 for note in self.notes) > room:
            self.notes.pop(0)

    def _prefix(self) -> list[int]:
        return [i for note in self.notes for i in self.bundle.dialogue.note(note)[:-1]]

    def margins_of_notes(self, rows: Sequence[tuple[str, str | None]]) -> list[float]:
        dialogue = self.bundle.dialogue
        notes = [dialogue.note(Note(key, value or "-")) for key, value in rows]
        found = self._after(notes, [len(dialogue.recall(key)) for key, _ in rows])
        return [m if value else -1.0 for m, (_, value) in zip(found, rows, strict=True)]

    def refusals(self, keys: Sequence[str]) -> list[float]:
        rows = [self.bundle.dialogue.unknown(key) for key in keys]
        return self._after(rows, [len(row) - 2 for row in rows])

    @torch.no_grad()
    def _after(self, rows: Sequence[Sequence[int]], starts: Sequence[int]) -> list[float]:
        """Margins of passages from their starts on, read behind the notes."""
        prefix, found = self._prefix(), []
        for begin in range(0, len(rows), _TOGETHER):
            some = rows[begin : begin + _TOGETHER]
            ids = pad_sequence([torch.tensor([*prefix, *row]) for row in some], batch_first=True)
            lengths = torch.tensor([len(prefix) + len(row) for row in some])
            logits = self.bundle.model(ids, row_mask(lengths, ids.shape[1])).logits
            for place, row in enumerate(some):
                first, end = len(prefix) + starts[begin + place], len(prefix) + len(row)
                answer = logits[place, first - 1 : end - 1].float()
                targets = ids[place, first:end, None]
                others = answer.scatter(1, targets, -torch.inf).amax(1)
                found.append(float((answer.gather(1, targets)[:, 0] - others).min()))
        return found


class Retrieval:
    """BM25 over the texts of all turns (`bm25s`); of five hits the latest that noted the key."""

    def __init__(self, bundle: ModelBundle) -> None:
        self.turns: list[Turn] = []
        self.bm25s: Any = import_module("bm25s")

    def tell(self, turn: Turn) -> None:
        self.turns.append(turn)

    def end_session(self) -> None:
        pass

    def state(self) -> MemoryState | None:
        return None

    @property
    def nbytes(self) -> int:
        return sum(len(turn.text.encode()) for turn in self.turns)

    def outcomes(self, queries: Sequence[Query]) -> list[str]:
        if not self.turns or not queries:
            return ["refused"] * len(queries)
        index = self.bm25s.BM25()
        split = {"stopwords": None, "show_progress": False}
        texts = [turn.text for turn in self.turns]
        index.index(self.bm25s.tokenize(texts, **split), show_progress=False)
        asked = self.bm25s.tokenize([query.question for query in queries], **split)
        hits, _ = index.retrieve(asked, k=min(5, len(texts)), show_progress=False)
        return [self._outcome(query, row) for query, row in zip(queries, hits, strict=True)]

    def _outcome(self, query: Query, hits: Sequence[int]) -> str:
        """Of several hits that note the key, the latest counts."""
        for place in sorted((int(hit) for hit in hits), reverse=True):
            for note in self.turns[place].notes:
                if note.key == query.key:
                    if note.value == query.value:
                        return "right"
                    return "old" if note.value == query.old else "other"
        return "refused"
