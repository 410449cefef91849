"""What a method that remembers a stream of notes does, and how Hope does it.

Every method is told notes, turn by turn, and may do something at the end of a session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from torch import Tensor

from nestling.evaluation.continual.fact_stream import Query, Turn
from nestling.memory.consolidation import Lessons
from nestling.memory.level import Level
from nestling.memory.state import MemoryState
from nestling.models.bundle import ModelBundle
from nestling.models.dialogue import Note
from nestling.models.hope import Hope
from nestling.models.rehearsal import margins, note_lessons, unknown_lessons
from nestling.models.restate import learn_notes
from nestling.resident.records import Entry, Recalled, latest_notes
from nestling.resident.sleep import Sleep, SleepOptions

SLOW_PERIODS = (256, 2048, 8192)


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
            period = SLOW_PERIODS[place]
            levels.append(Level(f"level_{place + 2}", period=period, rate=1.0))
    settings = replace(bundle.model.settings, levels=tuple(levels), continuum="nested")
    model = Hope(settings)
    weights = bundle.model.state_dict()
    model.load_state_dict({name: weights.get(name, w) for name, w in model.state_dict().items()})
    return replace(bundle, model=model.eval())


class ByMargin:
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
            self.margins_of_notes([(q.key, q.old) for q in queries]),
            self.refusals([q.key for q in queries]),
        )

    def margins_of(self, queries: Sequence[Query]) -> list[float]:
        """How well the values of queries are known, in nats."""
        return self.margins_of_notes([(query.key, query.value) for query in queries])

    def margins_of_notes(self, rows: Sequence[tuple[str, str | None]]) -> list[float]:
        """Margins of values under keys; below 0 where there is no value."""
        notes = [Note(key, value or "-") for key, value in rows]
        found = margins(self.bundle.model, self._lessons_of(notes), self.memory, len(notes))
        return [m if value else -1.0 for m, (_, value) in zip(found.tolist(), rows, strict=True)]

    def refusals(self, keys: Sequence[str]) -> list[float]:
        """Margins of "I don't know" under keys."""
        name = ("refused", *keys)
        if name not in self._lessons:
            model, dialogue = self.bundle.model, self.bundle.dialogue
            self._lessons[name] = unknown_lessons(model, dialogue, keys)
        return margins(self.bundle.model, self._lessons[name], self.memory, len(keys)).tolist()

    def _lessons_of(self, notes: Sequence[Note]) -> Lessons:
        # What stands below the memory is the same whatever was learned.
        name = tuple(f"{note}" for note in notes)
        if name not in self._lessons:
            model, dialogue = self.bundle.model, self.bundle.dialogue
            self._lessons[name] = note_lessons(model, dialogue, notes)
        return self._lessons[name]

    def _losses_with(self, lessons: Lessons, delta: Tensor) -> Tensor:
        """Losses of lessons where the fast level's matrix differs by a delta."""
        deltas = {"fast": {"down": delta}}
        return self.bundle.model.pair_loss(lessons.hidden[None], lessons.targets[None], deltas)[0]


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


class HopeLearner(ByMargin):
    """The model's own writes; with `sleeps`, every session ends with the sleep of a resident."""

    def __init__(self, bundle: ModelBundle, levels: int = 1, *, sleeps: bool = False) -> None:
        super().__init__(with_levels(bundle, levels, sleeps=sleeps))
        self.sleeps = sleeps
        self.entries: list[Entry] = []
        self.recalls: dict[str, Recalled] = {}
        self.last_sleep = 0

    def tell(self, turn: Turn) -> None:
        model, dialogue = self.bundle.model, self.bundle.dialogue
        self.memory, _ = learn_notes(model, dialogue, turn.notes, self.memory)
        self.entries.append(Entry(len(self.entries) + 1, "", "user", turn.text, turn.notes))

    def end_session(self) -> None:
        if not self.sleeps:
            return
        _, self.memory, report, known = Sleep(self.bundle, self.memory, self.entries).decide(
            latest_notes(self.entries), self.recalls, self.last_sleep, SleepOptions()
        )
        if report.kept:
            self.last_sleep = len(self.entries)
            for key, margin in known.items():
                times = self.recalls[key].times + 1 if key in self.recalls else 1
                self.recalls[key] = Recalled(key, "sleep", times, "", self.last_sleep, margin)


class Frozen(ByMargin):
    """The model as it is; nothing is kept."""

    def tell(self, turn: Turn) -> None:
        pass

    @property
    def nbytes(self) -> int:
        return 0
