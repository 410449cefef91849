"""Ways to remember a stream of notes: a Hope with some levels, fine-tuning, and other cabinets.

Those that learn by weights write one and the same matrix of the model, the down projection of its
written memory, so that all have the same room. Every method is told notes, turn by turn, and may do
something at the end of a session.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nestling.evaluation.fact_stream import Query, Turn
from nestling.memory.consolidation import Lessons
from nestling.memory.level import Level
from nestling.memory.state import MemoryState
from nestling.models.bundle import ModelBundle
from nestling.models.dialogue import Note
from nestling.models.hope import Hope
from nestling.models.rehearsal import margins, note_lessons, unknown_lessons
from nestling.models.restate import SURE, learn_notes
from nestling.resident.journal import Entry, Noted, Recalled
from nestling.resident.sleep import Sleep, SleepOptions

# Gradient steps on a note at most, for those that train until it is sure.
STEPS = 20
REPLAYED = 8
ROOM = 64
LORA_RANK = 8
SLOW_PERIODS = (256, 2048)


class Learner(Protocol):
    """What a method does with a stream."""

    def tell(self, turn: Turn) -> None: ...

    def end_session(self) -> None: ...

    def outcomes(self, queries: Sequence[Query]) -> list[str]:
        """For each query "right", "old" (what was changed since), "refused" or "other"."""
        ...

    def state(self) -> MemoryState | None:
        """What the model reads with, where a method has one."""
        ...

    @property
    def nbytes(self) -> int:
        """What is kept of the stream, in bytes."""
        ...


def with_levels(bundle: ModelBundle, count: int, *, sleeps: bool) -> ModelBundle:
    """The same model with so many nested levels; the last one is written in sleep or at a period.

    One level is the model's own. Up to three are written while reading, each less often; with
    sleep, the slowest of two or more is written in sleep alone.
    """
    own = bundle.model.settings.levels[0]
    levels = [replace(own, name="fast")]
    for place in range(count - 1):
        last = place == count - 2
        if last and sleeps:
            levels.append(Level("slow", period=0, source="sleep"))
        else:
            period = (*SLOW_PERIODS, 8192)[place]
            levels.append(Level(f"level_{place + 2}", period=period, rate=1.0))
    settings = replace(bundle.model.settings, levels=tuple(levels), continuum="nested")
    model = Hope(settings)
    weights = bundle.model.state_dict()
    known = model.state_dict()
    missing = {name: known[name] for name in known if name not in weights}
    model.load_state_dict({**{n: w for n, w in weights.items() if n in known}, **missing})
    return replace(bundle, model=model.eval())


class _ByMargin:
    """Recalls by what the model answers with a state."""

    def __init__(self, bundle: ModelBundle) -> None:
        self.bundle = bundle
        self.memory = bundle.model.new_state(1)
        self._lessons: dict[tuple[str, ...], Lessons] = {}

    def state(self) -> MemoryState | None:
        return self.memory

    @property
    def nbytes(self) -> int:
        return sum(x.nbytes for name, x in self.memory.items() if ".delta." in name)

    def end_session(self) -> None:
        pass

    def outcomes(self, queries: Sequence[Query]) -> list[str]:
        return graded(
            queries,
            self.margins_of(queries),
            self._margins([(q.key, q.old) for q in queries]),
            self._refusals([q.key for q in queries]),
        )

    def margins_of(self, queries: Sequence[Query]) -> list[float]:
        """How well the values of queries are known, in nats."""
        return self._margins([(query.key, query.value) for query in queries])

    def _margins(self, rows: Sequence[tuple[str, str | None]]) -> list[float]:
        notes = [Note(key, value or "-") for key, value in rows]
        lessons = self._lessons_of(tuple(f"{note}" for note in notes), notes)
        found = margins(self.bundle.model, lessons, self.memory, len(notes)).tolist()
        return [m if row[1] else -1.0 for m, row in zip(found, rows, strict=True)]

    def _refusals(self, keys: Sequence[str]) -> list[float]:
        name = ("refused", *keys)
        if name not in self._lessons:
            model, dialogue = self.bundle.model, self.bundle.dialogue
            self._lessons[name] = unknown_lessons(model, dialogue, keys)
        return margins(self.bundle.model, self._lessons[name], self.memory, len(keys)).tolist()

    def _lessons_of(self, name: tuple[str, ...], notes: Sequence[Note]) -> Lessons:
        # What stands below the memory is the same whatever was learned.
        if name not in self._lessons:
            model, dialogue = self.bundle.model, self.bundle.dialogue
            self._lessons[name] = note_lessons(model, dialogue, notes)
        return self._lessons[name]


def graded(
    queries: Sequence[Query],
    right: Sequence[float],
    old: Sequence[float],
    refused: Sequence[float],
) -> list[str]:
    """Outcomes by margins: of the value, of the one before it, and of a refusal."""
    found = []
    for place in range(len(queries)):
        if right[place] > 0:
            found.append("right")
        elif old[place] > 0:
            found.append("old")
        else:
            found.append("refused" if refused[place] > 0 else "other")
    return found


class HopeLearner(_ByMargin):
    """The model's own writes; with `sleeps`, every session ends with the sleep of a resident."""

    def __init__(self, bundle: ModelBundle, levels: int = 1, *, sleeps: bool = False) -> None:
        super().__init__(with_levels(bundle, levels, sleeps=sleeps))
        self.sleeps = sleeps
        self.entries: list[Entry] = []
        self.notes: dict[str, Noted] = {}
        self.recalls: dict[str, Recalled] = {}
        self.last_sleep = 0

    def tell(self, turn: Turn) -> None:
        model, dialogue = self.bundle.model, self.bundle.dialogue
        self.memory, _ = learn_notes(model, dialogue, turn.notes, self.memory)
        entry = len(self.entries) + 1
        self.entries.append(Entry(entry, "", "user", turn.text, turn.notes))
        for place, note in enumerate(turn.notes):
            self.notes.pop(note.key, None)
            self.notes[note.key] = Noted(note.key, note.value, entry, "", place)

    def end_session(self) -> None:
        if not self.sleeps:
            return
        _, self.memory, report, known = Sleep(self.bundle, self.memory, self.entries).decide(
            list(self.notes.values()), self.recalls, self.last_sleep, SleepOptions()
        )
        if report.kept:
            self.last_sleep = len(self.entries)
            for key, margin in known.items():
                times = self.recalls[key].times + 1 if key in self.recalls else 1
                self.recalls[key] = Recalled(key, "sleep", times, "", self.last_sleep, margin)


class FineTuning(_ByMargin):
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
        self.delta = nn.Parameter(self.memory["memory.delta.fast.down"].clone())
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
        self.memory = self.memory.replace({"memory.delta.fast.down": self.delta.detach().clone()})

    def end_session(self) -> None:
        if not self.anchor or not self.session:
            return
        for note in self.session:
            (slope,) = torch.autograd.grad(self._loss([note]).mean(), [self.delta])
            self.importance += slope.square()
        self.settled, self.session = self.delta.detach().clone(), []

    def _train(self, note: Note) -> None:
        old = self.rng.sample(self.buffer, min(self.replayed, len(self.buffer)))
        for _ in range(STEPS):
            own = self._loss([note])
            if bool((own.detach() < -torch.tensor(SURE).log()).all()):
                break
            loss = own.mean() if not old else own.mean() + self._loss(old).mean()
            if self.anchor:
                away = self.importance * (self.delta - self.settled).square()
                loss = loss + self.anchor * away.sum()
            self.optimizer.zero_grad()
            loss.backward(inputs=[self.delta])
            self.optimizer.step()

    def _loss(self, notes: Sequence[Note]) -> Tensor:
        model, dialogue = self.bundle.model, self.bundle.dialogue
        lessons = note_lessons(model, dialogue, notes)
        deltas = {"fast": {"down": self.delta}}
        return model.pair_loss(lessons.hidden[None], lessons.targets[None], deltas)[0]

    def _keep(self, note: Note) -> None:
        """Reservoir sampling: every note of the stream stays with the same probability."""
        self.seen += 1
        if len(self.buffer) < (ROOM if self.replayed else 0):
            self.buffer.append(note)
        elif self.buffer and self.rng.random() < ROOM / self.seen:
            self.buffer[self.rng.randrange(ROOM)] = note


class FineTuningAll(_ByMargin):
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
            for _ in range(STEPS):
                logits = model(ids[:, :-1]).logits[0, first - 1 :]
                loss = nn.functional.cross_entropy(logits, ids[0, first:], reduction="none")
                if bool((loss.detach() < -torch.tensor(SURE).log()).all()):
                    break
                self.optimizer.zero_grad()
                loss.mean().backward()
                self.optimizer.step()
        if turn.notes:
            self._lessons.clear()


class LoRAPerSession(_ByMargin):
    """A new adapter of `peft` for every session; a question is answered by the surest one."""

    def __init__(self, bundle: ModelBundle, rate: float) -> None:
        super().__init__(with_levels(bundle, 1, sleeps=False))
        self.rate = rate
        self.adapters: list[Tensor] = []
        self._begin()

    @property
    def nbytes(self) -> int:
        rows, columns = self.memory["memory.delta.fast.down"].shape[1:]
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
        model, dialogue = self.bundle.model, self.bundle.dialogue
        for note in turn.notes:
            lessons = note_lessons(model, dialogue, [note])
            for _ in range(STEPS):
                deltas = {"fast": {"down": self.layer.get_delta_weight("default")[None]}}
                loss = model.pair_loss(lessons.hidden[None], lessons.targets[None], deltas)[0]
                if bool((loss.detach() < -torch.tensor(SURE).log()).all()):
                    break
                self.optimizer.zero_grad()
                loss.mean().backward(inputs=self.optimizer.param_groups[0]["params"])
                self.optimizer.step()
            delta = self.layer.get_delta_weight("default")[None].detach().clone()
            self.adapters[len(self.adapters) - (not self.fresh) :] = [delta]
            self.fresh = False

    def end_session(self) -> None:
        self._begin()

    def _with(self, delta: Tensor) -> MemoryState:
        return self.memory.replace({"memory.delta.fast.down": delta})

    def outcomes(self, queries: Sequence[Query]) -> list[str]:
        if not queries:
            return []
        found, sure = [], []
        model, dialogue = self.bundle.model, self.bundle.dialogue
        lessons = unknown_lessons(model, dialogue, [query.key for query in queries])
        first = torch.ones(len(lessons), dtype=torch.bool)
        first[1:] = lessons.passage[1:] != lessons.passage[:-1]
        empty = self.memory
        for delta in self.adapters or [empty["memory.delta.fast.down"]]:
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


class InContext(_ByMargin):
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

    def outcomes(self, queries: Sequence[Query]) -> list[str]:
        dialogue = self.bundle.dialogue
        margins_of = [
            self._after(
                [dialogue.note(Note(q.key, value(q) or "-")) for q in queries],
                [len(dialogue.recall(q.key)) for q in queries],
            )
            for value in (lambda q: q.value, lambda q: q.old)
        ]
        right, old = (
            [m if value else -1.0 for m, value in zip(some, values, strict=True)]
            for some, values in zip(
                margins_of, ([q.value for q in queries], [q.old for q in queries]), strict=True
            )
        )
        rows = [dialogue.unknown(q.key) for q in queries]
        return graded(queries, right, old, self._after(rows, [len(row) - 2 for row in rows]))

    @torch.no_grad()
    def _after(self, rows: Sequence[Sequence[int]], starts: Sequence[int]) -> list[float]:
        """Margins of passages from their starts on, read behind the notes."""
        prefix, found = self._prefix(), []
        for row, start in zip(rows, starts, strict=True):
            ids = torch.tensor([[*prefix, *row]])
            first = len(prefix) + start
            logits = self.bundle.model(ids).logits[0, first - 1 : -1].float()
            targets = ids[0, first:]
            right = logits.gather(1, targets[:, None])[:, 0]
            others = logits.scatter(1, targets[:, None], -torch.inf).amax(1)
            found.append(float((right - others).min()))
        return found


class Retrieval:
    """BM25 over the texts of all turns (`bm25s`); the note of the best hit answers, if it fits."""

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


class Frozen(_ByMargin):
    """The model as it is; nothing is kept."""

    def tell(self, turn: Turn) -> None:
        pass

    @property
    def nbytes(self) -> int:
        return 0


@dataclass(frozen=True)
class Method:
    """How a learner is made, and the settings of which the best is taken."""

    make: Any
    settings: tuple[dict[str, Any], ...] = ({},)
    levels: int = 0
    sleeps: bool = False


def _hope(levels: int, sleeps: bool) -> Method:
    def make(bundle: ModelBundle, **_: Any) -> Learner:
        return HopeLearner(bundle, levels, sleeps=sleeps)

    return Method(make, levels=levels, sleeps=sleeps)


RATES = tuple({"rate": rate} for rate in (3e-4, 1e-3, 3e-3))
METHODS: dict[str, Method] = {
    **{f"hope, levels {n}": _hope(n, False) for n in (1, 2, 3, 4)},
    **{f"hope, levels {n}, sleep": _hope(n, True) for n in (2, 3, 4)},
    "fine-tuning, all weights": Method(
        FineTuningAll, tuple({"rate": rate} for rate in (1e-5, 1e-4, 1e-3))
    ),
    "fine-tuning": Method(FineTuning, RATES),
    "fine-tuning, replay": Method(FineTuning, tuple({**r, "replayed": REPLAYED} for r in RATES)),
    "fine-tuning, ewc": Method(
        FineTuning,
        tuple({**rate, "anchor": anchor} for rate in RATES[:2] for anchor in (1.0, 100.0)),
    ),
    "lora per session": Method(
        LoRAPerSession, tuple({"rate": rate} for rate in (3e-3, 1e-2, 3e-2))
    ),
    "in context": Method(InContext),
    "retrieval (bm25)": Method(Retrieval),
    "frozen": Method(Frozen),
}
