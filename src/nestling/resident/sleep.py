"""What a resident does in sleep: choose what is rehearsed, consolidate it, check, and report.

Everything told since the last sleep is rehearsed. Of what is older, the half of a budget goes to
what is known worst and the other half to what was recalled longest ago. What would be lost by it is
rehearsed, too. The plan is kept in the journal, so that a replay sleeps in the same way.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from torch import Tensor

from nestling.memory.consolidation import Consolidation, ConsolidationOptions, Lessons
from nestling.memory.state import MemoryState
from nestling.models.bundle import ModelBundle
from nestling.models.dialogue import Note
from nestling.models.rehearsal import (
    dreamed_keys,
    margins,
    mean_loss,
    note_lessons,
    restating_lessons,
    unknown_lessons,
)
from nestling.resident.exact import one_thread
from nestling.resident.records import Entry, Noted, Recalled

ROUNDS = 3


@dataclass(frozen=True)
class SleepOptions:
    """What a sleep may do.

    Args:
        budget: older notes that are rehearsed at most.
        base_bound: the loss of restating may rise by this share of itself.
        consolidation: how it is rehearsed.
    """

    budget: int = 256
    base_bound: float = 0.02
    consolidation: ConsolidationOptions = field(default_factory=ConsolidationOptions)

    def __post_init__(self) -> None:
        if self.budget < 0:
            raise ValueError(f"budget is 0 or more, got {self.budget}")
        if not self.base_bound >= 0:
            raise ValueError(f"base_bound is 0 or more, got {self.base_bound}")


@dataclass(frozen=True)
class Plan:
    """What is rehearsed, by (entry, place) of notes; enough to sleep in the same way again.

    Args:
        dreamed, dream_weight: keys nobody told for every note, and their weight beside 1 for what
            is rehearsed.
        base_turns, base_weight: turns whose restatement must stay as it is, and their weight.
    """

    level: str
    notes: tuple[tuple[int, int], ...]
    consolidation: ConsolidationOptions
    dreamed: int = 3
    dream_weight: float = 0.9
    base_turns: int = 200
    base_weight: float = 0.9

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def without(self, forgotten: Collection[tuple[int, int]]) -> Plan:
        """The same plan where notes, by entry and place, were never told."""
        kept = [
            (entry, place - sum((entry, before) in forgotten for before in range(place)))
            for entry, place in self.notes
            if (entry, place) not in forgotten
        ]
        return replace(self, notes=tuple(kept))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        values = json.loads(text)
        values["notes"] = tuple((entry, place) for entry, place in values["notes"])
        # Plans of before norms were bounded know no bound.
        values["consolidation"] = ConsolidationOptions(**{"norm": None, **values["consolidation"]})
        return cls(**values)


@dataclass(frozen=True)
class SleepReport:
    """What a sleep did. `kept` is False where it was taken back; `reason` says why.

    Recall is the share of all notes that would be recalled, refusal that of keys nobody told that
    are refused, base the loss of restating in nats a token: each before and after.
    """

    level: str
    rehearsed: int
    new: int
    steps: int
    recall: tuple[float, float]
    refusal: tuple[float, float]
    base: tuple[float, float]
    kept: bool
    reason: str
    milliseconds: float


@dataclass(frozen=True)
class Strength:
    """How well a note is known now.

    Args:
        margin: log-probability of the value beside the likeliest other answer, in nats, at its
            weakest token; above 0 it is recalled.
        change: of the margin since it was last recalled or rehearsed; None if it never was.
        times, last: how often that was, and when.
    """

    key: str
    value: str
    told: str
    margin: float
    change: float | None
    times: int
    last: str | None


def sleeping_level(bundle: ModelBundle) -> str:
    """The level that is written in sleep.

    Raises:
        ValueError: the model has none.
    """
    for level in bundle.model.settings.levels:
        if level.source == "sleep":
            return level.name
    raise ValueError(
        "this model has no level that is written in sleep; give it one, such as "
        "Level('slow', period=0, source='sleep')"
    )


def choose(
    notes: Sequence[Noted],
    known: Sequence[float],
    recalls: Mapping[str, Recalled],
    last_sleep: int,
    budget: int,
) -> list[int]:
    """Indices of the notes to rehearse, in the order in which they were told."""
    new = [i for i, note in enumerate(notes) if note.entry > last_sleep]
    old = [i for i, note in enumerate(notes) if note.entry <= last_sleep]

    def recency(i: int) -> tuple[int, int]:
        recalled = recalls.get(notes[i].key)
        return (max(notes[i].entry, recalled.entry if recalled else 0), i)

    weakest = sorted(old, key=lambda i: (known[i], i))[: budget // 2]
    rest = sorted(set(old) - set(weakest), key=recency)[: budget - len(weakest)]
    return sorted([*new, *weakest, *rest])


class Sleep:
    """One sleep of a resident, over what its journal holds.

    Args:
        state: where the resident stands; it is left as it is.
        entries: the journal so far, those entries that count.
    """

    def __init__(self, bundle: ModelBundle, state: MemoryState, entries: Sequence[Entry]) -> None:
        self.bundle, self.state = bundle, state
        self.turns = [entry for entry in entries if entry.restated]
        self._bases: dict[int, Lessons] = {}
        self.by_place = {
            (entry.id, place): note
            for entry in self.turns
            for place, note in enumerate(entry.notes)
        }

    def consolidation(self, plan: Plan) -> Consolidation:
        """The rehearsal of a plan, not begun; notes that are gone are left out."""
        model, dialogue = self.bundle.model, self.bundle.dialogue
        notes = [self.by_place[place] for place in plan.notes if place in self.by_place]
        dreamed = self._dreamed(plan, len(notes))
        lessons = [
            (note_lessons(model, dialogue, notes), 1.0),
            (unknown_lessons(model, dialogue, dreamed), plan.dream_weight),
            (self._base(plan.base_turns), plan.base_weight),
        ]
        if not notes:
            lessons = []
        return Consolidation(
            model.writer, self.state, plan.level, model.pair_loss, lessons, plan.consolidation
        )

    @one_thread()
    def run(self, plan: Plan) -> MemoryState:
        """The state after the plan."""
        consolidation = self.consolidation(plan)
        while consolidation.rehearse():
            pass
        return consolidation.result()

    @one_thread()
    def decide(
        self,
        notes: Sequence[Noted],
        recalls: Mapping[str, Recalled],
        last_sleep: int,
        options: SleepOptions,
        *,
        plan: Plan | None = None,
        resume: Mapping[str, Tensor] | None = None,
        checkpoint: Callable[[Plan, Mapping[str, Tensor]], None] = lambda plan, values: None,
        progress: Callable[[int, int], None] = lambda done, steps: None,
    ) -> tuple[Plan, MemoryState, SleepReport, dict[str, float]]:
        """Plan, rehearse and check; returns the new state and what to say of it.

        Args:
            plan, resume: of a sleep that was interrupted.
            checkpoint: given the plan and the state of the rehearsal every few steps.

        Returns:
            the plan, the state (the old one where the sleep was taken back), the report, and the
            margin of every rehearsed note.
        """
        start = time.perf_counter()
        model, dialogue = self.bundle.model, self.bundle.dialogue
        level = sleeping_level(self.bundle)
        every = note_lessons(model, dialogue, [Note(note.key, note.value) for note in notes])
        index = {(note.entry, note.place): i for i, note in enumerate(notes)}
        before = margins(model, every, self.state, len(notes)).tolist()
        if plan is None:
            chosen = choose(notes, before, recalls, last_sleep, options.budget)
            plan = self._plan(level, notes, chosen, options)
        # Other keys than those that are rehearsed, if there are any.
        trained = set(self._dreamed(plan, len(notes)))
        dreamed = dreamed_keys([note.key for note in self._all()], 64, seed=-1)
        unasked = [key for key in dreamed if key not in trained] or dreamed
        unknown = unknown_lessons(model, dialogue, unasked)
        attempt = 1
        while True:
            consolidation = self._rehearsed(plan, resume, checkpoint, progress)
            after_state = consolidation.result()
            after = margins(model, every, after_state, len(notes)).tolist()
            rehearsed = [index[place] for place in plan.notes if place in index]
            lost = {i for i in range(len(notes)) if before[i] > 0 >= after[i]}
            if lost <= set(rehearsed) or attempt == ROUNDS:
                break
            attempt, resume = attempt + 1, None
            plan = self._plan(level, notes, sorted(lost.union(rehearsed)), options)
        recall = _share(before), _share(after)
        base = self._base(plan.base_turns)
        losses = mean_loss(model, base, self.state), mean_loss(model, base, after_state)
        refusals = [
            _share(margins(model, unknown, state, len(unasked)).tolist())
            for state in (self.state, after_state)
        ]
        reason = _objection(recall, losses, after_state, options)
        report = SleepReport(
            level=level,
            rehearsed=len(rehearsed),
            new=sum(notes[i].entry > last_sleep for i in rehearsed),
            steps=consolidation.step,
            recall=recall,
            refusal=(refusals[0], refusals[1]),
            base=losses,
            kept=not reason,
            reason=reason,
            milliseconds=1000 * (time.perf_counter() - start),
        )
        state = self.state if reason else after_state
        return plan, state, report, {notes[i].key: after[i] for i in rehearsed}

    def _rehearsed(
        self,
        plan: Plan,
        resume: Mapping[str, Tensor] | None,
        checkpoint: Callable[[Plan, Mapping[str, Tensor]], None],
        progress: Callable[[int, int], None],
    ) -> Consolidation:
        """The rehearsal of a plan, from where it was, to its end."""
        consolidation, chosen = self.consolidation(plan), plan.consolidation
        if resume is not None:
            consolidation.load_state_dict(resume)
        while consolidation.rehearse():
            progress(consolidation.step, chosen.steps)
            if consolidation.step % chosen.check_every == 0:
                checkpoint(plan, consolidation.state_dict())
        return consolidation

    def _plan(
        self, level: str, notes: Sequence[Noted], chosen: Sequence[int], options: SleepOptions
    ) -> Plan:
        places = tuple((notes[i].entry, notes[i].place) for i in chosen)
        return Plan(level, places, options.consolidation)

    def _dreamed(self, plan: Plan, rehearsed: int) -> list[str]:
        """Keys nobody told."""
        told = [note.key for note in self._all()]
        return dreamed_keys(told, max(64, plan.dreamed * rehearsed), plan.consolidation.seed)

    def _base(self, turns: int) -> Lessons:
        """How the last turns are restated; read once."""
        if turns not in self._bases:
            # Of what was forgotten, no text is left.
            said = [(entry.text, entry.notes) for entry in self.turns if entry.text]
            last = said[-turns:]
            self._bases[turns] = restating_lessons(self.bundle.model, self.bundle.dialogue, last)
        return self._bases[turns]

    def _all(self) -> list[Note]:
        return list(self.by_place.values())


def _objection(
    recall: tuple[float, float],
    losses: tuple[float, float],
    after: MemoryState,
    options: SleepOptions,
) -> str:
    """Why a sleep is taken back; empty if it is kept."""
    if recall[1] < recall[0]:
        return f"recall would have fallen from {recall[0]:.3f} to {recall[1]:.3f}"
    if losses[1] > (1 + options.base_bound) * losses[0] + 1e-3:
        return (
            f"the loss of restating would have risen from {losses[0]:.4f} to {losses[1]:.4f}, "
            f"more than {options.base_bound:.0%}"
        )
    if not all(bool(leaf.isfinite().all()) for leaf in after.values()):
        return "the memory would have held numbers that are not finite"
    return ""


def strengths(
    bundle: ModelBundle,
    state: MemoryState,
    notes: Sequence[Noted],
    recalls: Mapping[str, Recalled],
) -> list[Strength]:
    """How well every note is known now, in the order in which they were told."""
    lessons = note_lessons(
        bundle.model, bundle.dialogue, [Note(note.key, note.value) for note in notes]
    )
    found = margins(bundle.model, lessons, state, len(notes)).tolist()
    rows = []
    for note, margin in zip(notes, found, strict=True):
        last = recalls.get(note.key)
        rows.append(
            Strength(
                key=note.key,
                value=note.value,
                told=note.time,
                margin=margin,
                change=None if last is None else margin - last.margin,
                times=0 if last is None else last.times,
                last=None if last is None else last.time,
            )
        )
    return rows


def _share(values: Sequence[float]) -> float:
    """Of those above 0; 1 for none at all."""
    return sum(value > 0 for value in values) / len(values) if values else 1.0
