"""Facts over many sessions: who still knows in the end what was told in the beginning?

Every `EVERY` turns all that was told so far is asked, and nobody learns from the questions. Rows
have a `metric` and its `value`:

- `recall, age ...`: share recalled of what was told so many turns ago, at all times;
- `R[i, j]`: share recalled at the end of session i of what session j told;
- `average accuracy`: mean of the last row of R; `anytime accuracy`: mean over i of the mean of
  R[i, j <= i]; `backward transfer`: mean over j of R[last, j] - R[j, j]; `forgetting`: mean over
  j < last of max_i R[i, j] - R[last, j];
- `changed: new`, `changed: old`: after a change, the share of questions answered with either;
- `never told, refused`: share of "I don't know" where nothing was told; `told, refused`;
- `base loss`, `base loss after`: of restating turns that nobody said, in nats a token, without and
  with what was learned in the way;
- `seconds a turn` of learning, sleeps included; `bytes` of what is kept.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from nestling.evaluation.continual.fact_learners import Learner
from nestling.evaluation.continual.fact_methods import METHODS
from nestling.evaluation.continual.fact_stream import Query, Stream, StreamSize, draw_stream
from nestling.evaluation.continual.matrices import rows_of, transfer
from nestling.evaluation.continual.method import Setting
from nestling.evaluation.finished import Finished
from nestling.evaluation.rows import Progress, Row
from nestling.evaluation.speed import timed
from nestling.models.bundle import ModelBundle, load_bundle
from nestling.models.rehearsal import mean_loss, restating_lessons

EVERY = 50
_ACCURACIES = {"average": "average accuracy", "anytime": "anytime accuracy"}
AGES = ((0, 10), (10, 100), (100, 500), (500, 1000), (1000, 1_000_000))


@dataclass(frozen=True)
class Course:
    """The stream, and the shorter one on which settings are chosen (with a seed of its own)."""

    size: StreamSize = field(default_factory=StreamSize)
    trial: StreamSize = field(default_factory=lambda: StreamSize(sessions=4))


def measure_continual_facts(
    *,
    models: Sequence[str] = tuple(METHODS),
    seeds: Sequence[int] = (0, 1, 2),
    course: Course | None = None,
    model: Path | None = None,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/continual_facts.json`.

    Args:
        models: some of `METHODS`.
        run_file: of finished runs; a later start goes on from it.
    """
    course = course or Course()
    finished = Finished(run_file, course, form=2)
    bundle = load_bundle(model)
    streams: dict[object, Stream] = {}

    def stream_of(seed: int, *, trial: bool) -> Stream:
        name = (seed, trial)
        if name not in streams:
            progress(f"drawing the stream of seed {seed}")
            streams[name] = draw_stream(bundle, course.trial if trial else course.size, seed)
        return streams[name]

    def run(name: str, chosen: Setting, seed: int, *, trial: bool = False) -> Row:
        key = {"method": name, **chosen, "seed": seed, "trial": trial, "of": bundle.model_hash[:12]}

        def measured() -> Row:
            learner = METHODS[name].make(bundle, **chosen)
            return live(learner, stream_of(seed, trial=trial), bundle)

        row = finished(key, measured)
        progress(f"{name}  seed {seed}  {row['summary']}")
        return row

    def score(name: str, some: Setting) -> float:
        return run(name, some, 100, trial=True)["summary"]["average accuracy"]

    for name in models:
        method = METHODS[name]
        chosen = method.best(partial(score, name))
        for seed in seeds:
            row = run(name, chosen, seed)
            common = {
                "method": name,
                "levels": method.levels,
                "sleep": method.sleeps,
                "seed": seed,
                "setting": ", ".join(f"{k} {v}" for k, v in chosen.items()),
            }
            yield from rows_of(row, common)


def live(learner: Learner, stream: Stream, bundle: ModelBundle) -> Row:
    """Tell a learner the stream and ask it on the way: {"summary", "matrix"}."""
    size, spent = stream.size, 0.0
    ages: dict[tuple[int, int], list[bool]] = {age: [] for age in AGES}
    matrix: list[list[float]] = []
    for place, turn in enumerate(stream.turns):
        spent += timed(partial(learner.tell, turn), "cpu")
        ends = (place + 1) % size.turns == 0
        if ends:
            # What was told last is asked before a sleep as well as after it.
            _ask_by_age(learner, stream, place, ages, newest=True)
            spent += timed(learner.end_session, "cpu")
        if not ends and (place + 1) % EVERY:
            continue
        right = _ask_by_age(learner, stream, place, ages)
        if ends:
            matrix.append(
                [
                    round(statistics.fmean(right[j]), 4) if right[j] else 0.0
                    for j in range(place // size.turns + 1)
                ]
            )
    summary = {f"recall, age {age_name(age)}": _mean(found) for age, found in ages.items()}
    summary |= {_ACCURACIES.get(name, name): value for name, value in transfer(matrix).items()}
    outcomes = learner.outcomes(stream.changed)
    summary["changed: new"] = _mean([item == "right" for item in outcomes])
    summary["changed: old"] = _mean([item == "old" for item in outcomes])
    never = learner.outcomes(stream.never_told)
    summary["never told, refused"] = _mean([item == "refused" for item in never])
    told = learner.outcomes(stream.told)
    summary["told, refused"] = _mean([item == "refused" for item in told])
    turns = [(turn.text, turn.notes) for turn in stream.held_out]
    own = getattr(learner, "bundle", bundle).model
    for metric, model, state in (
        ("base loss", bundle.model, None),
        ("base loss after", own, learner.state()),
    ):
        lessons = restating_lessons(model, bundle.dialogue, turns)
        summary[metric] = round(mean_loss(model, lessons, state), 5)
    summary["seconds a turn"] = round(spent / len(stream.turns), 4)
    summary["bytes"] = learner.nbytes
    return {"summary": summary, "matrix": matrix, "size": asdict(size)}


def _ask_by_age(
    learner: Learner,
    stream: Stream,
    place: int,
    ages: dict[tuple[int, int], list[bool]],
    *,
    newest: bool = False,
) -> dict[int, list[bool]]:
    """Ask all that was told up to a turn; by session, which was right."""
    queries: list[Query] = [query for query in stream.told if query.told <= place]
    if newest:
        queries = [query for query in queries if place - query.told < AGES[0][1]]
    right: dict[int, list[bool]] = {j: [] for j in range(stream.session(place) + 1)}
    if not queries:
        return right
    for query, outcome in zip(queries, learner.outcomes(queries), strict=True):
        known = outcome == "right"
        right[stream.session(query.told)].append(known)
        for age, found in ages.items():
            if age[0] <= place - query.told < age[1]:
                found.append(known)
    return right


def age_name(age: tuple[int, int]) -> str:
    """ "0-10", "1000 and more"."""
    return f"{age[0]} and more" if age[1] >= 1_000_000 else f"{age[0]}-{age[1]}"


def _mean(found: Sequence[bool]) -> float:
    return round(sum(found) / len(found), 4) if found else 0.0
