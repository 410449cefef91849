"""A long life: a million turns of one user, in accelerated form.

Accelerated means that turns come with the notes that they would be restated as, and are told a lot
of a thousand at a time; journal, snapshots and sleeps are those of any resident. The user tells
`first` facts in the beginning and never again. From then on every lot tells `news` changes of other
facts among small talk, and every `sleeps` turns the memory sleeps.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from nestling.evaluation.finished import Finished
from nestling.evaluation.recall import other_value
from nestling.evaluation.rows import Progress, Row
from nestling.models.bundle import load_bundle
from nestling.models.dialogue import Note
from nestling.models.rehearsal import margins, unknown_lessons
from nestling.resident import Resident
from nestling.training.told_facts import FactSource


@dataclass(frozen=True)
class Course:
    """A life in turns.

    Args:
        lot: turns that are told at once; the others but `first`, `pool` and `news` are multiples.
        first: facts of the beginning, which are recalled ever after.
        pool: other facts, whose values change.
        news: changes in a lot.
        sleeps, looks: turns between two sleeps, and between two looks at the memory.
    """

    turns: int = 1_000_000
    lot: int = 1000
    first: int = 100
    pool: int = 100
    news: int = 10
    sleeps: int = 20_000
    looks: int = 20_000

    def __post_init__(self) -> None:
        if self.first + self.pool > self.lot:
            raise ValueError(f"first and pool are {self.lot} at most together, got {self}")
        if self.turns % self.lot or self.sleeps % self.lot or self.looks % self.lot:
            raise ValueError(f"turns, sleeps and looks are multiples of {self.lot}, got {self}")


def measure_long_life(
    *,
    course: Course | None = None,
    seed: int = 0,
    model: Path | None = None,
    home: Path | None = None,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/long_life.json`, one for each look at the memory.

    Args:
        home: where the memory lives; one that is there goes on from where it is. None for a place
            that is gone afterwards.
        run_file: of finished looks, of a memory that goes on.

    Raises:
        ValueError: the memory is there and has lived beyond a look that is not in the file.
    """
    course = course or Course()
    finished = Finished(run_file, course, form=2)
    bundle = load_bundle(model)
    life = _Life(course, seed)
    folder = tempfile.TemporaryDirectory() if home is None else nullcontext(home)
    with folder as place, Resident.open(f"life-{seed}", place, model=bundle) as resident:
        for end in range(course.looks, course.turns + 1, course.looks):

            def measured(end: int = end) -> Row:
                start = time.perf_counter()
                _live(resident, life, end, progress)
                spent = time.perf_counter() - start
                return {**_look(resident, life), "seconds": round(spent, 1)}

            row = finished({"turn": end, "seed": seed, "of": bundle.model_hash[:12]}, measured)
            progress("  ".join(f"{key} {value}" for key, value in row.items()))
            yield {key: value for key, value in row.items() if key != "of"}


class _Life:
    """What is told when, all of it from one seed."""

    def __init__(self, course: Course, seed: int) -> None:
        self.course, self.seed = course, seed
        source = FactSource(random.Random(f"long life {seed}"), values="held_out")
        facts = source.facts(course.first + course.pool)
        self.first, self.pool = facts[: course.first], facts[course.first :]
        self.absent = source.absent_keys(facts, 100)
        self.talk = [source.small_talk().text for _ in range(course.lot)]

    def lot(self, number: int) -> list[tuple[str, str, tuple[Note, ...]]]:
        """The turns of a lot: (role, text, notes)."""
        rng = random.Random(f"long life {self.seed} {number}")
        told: list[tuple[str, str, tuple[Note, ...]]] = [
            ("user", text, ()) for text in rng.sample(self.talk, self.course.lot)
        ]
        source = FactSource(rng, values="held_out")
        if number == 0:
            news = [*self.first, *self.pool]
        else:
            changing = rng.sample(self.pool, min(self.course.news, len(self.pool)))
            news = [other_value(source, fact) for fact in changing]
        for place, fact in zip(
            sorted(rng.sample(range(self.course.lot), len(news))), news, strict=True
        ):
            said = source.telling([fact]).text
            told[place] = ("user", said, (Note(fact.key, fact.value),))
        return told


def _live(resident: Resident, life: _Life, until: int, progress: Progress) -> None:
    """Go on to a turn, from wherever the journal stands."""
    entries = resident.entries()
    turns = sum(entry.role == "user" for entry in entries)
    if turns > until:
        raise ValueError(
            f"the memory in {resident.path} is at turn {turns:,} already, and what it was at turn "
            f"{until:,} is not in the file of finished looks; name that file, or another home"
        )
    slept = bool(entries) and entries[-1].role == "sleep"
    while turns <= until:
        if turns and turns % life.course.sleeps == 0 and not slept:
            report = resident.sleep()
            if not report.kept:
                progress(f"turn {turns}: a sleep was taken back: {report.reason}")
        if turns == until:
            break
        resident.learn_restated(life.lot(turns // life.course.lot))
        turns, slept = turns + life.course.lot, False


def _look(resident: Resident, life: _Life) -> Row:
    bundle, state = resident.bundle, resident.state()
    known = {note.key: note.margin for note in resident.strengths()}
    norms = resident.canaries.norms(state)
    unknown = unknown_lessons(bundle.model, bundle.dialogue, life.absent)
    files = [path for path in resident.path.rglob("*") if path.is_file()]
    snapshots = [path for path in files if path.parent.name == "snapshots"]
    return {
        "first": _share([known[fact.key] for fact in life.first]),
        "changed": _share([known[fact.key] for fact in life.pool]),
        "refused": _share(margins(bundle.model, unknown, state, len(life.absent)).tolist()),
        **{f"norm {level}": round(norm, 2) for level, norm in norms.items()},
        "finite": all(bool(leaf.isfinite().all()) for leaf in state.values()),
        "journal bytes": sum(p.stat().st_size for p in files if p not in snapshots),
        "snapshot bytes": sum(path.stat().st_size for path in snapshots),
        "snapshots": len(snapshots),
    }


def _share(found: list[float]) -> float:
    return round(float((torch.tensor(found) > 0).float().mean()), 4)
