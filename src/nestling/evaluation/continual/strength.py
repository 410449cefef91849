"""How well the first facts of a stream are known as others follow, with and without sleep.

The margin of a fact is the log-probability of its value beside the likeliest other answer, at its
weakest token, in nats: what is above 0 is recalled. In the end those that never slept sleep once.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from nestling.evaluation.continual.fact_learners import HopeLearner
from nestling.evaluation.continual.fact_stream import Query, StreamSize, draw_stream
from nestling.evaluation.continual.facts import EVERY
from nestling.evaluation.rows import Progress, Row
from nestling.models.bundle import load_bundle


def measure_strength(
    *,
    seeds: Sequence[int] = (0, 1, 2),
    size: StreamSize | None = None,
    model: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/strength.json`: the margins of what the first session told, by turn.

    `sleep` is "every session", "never", or "once, at the end" for what "never" becomes by it.
    """
    bundle = load_bundle(model)
    for seed in seeds:
        progress(f"seed {seed}: drawing the stream")
        stream = draw_stream(bundle, size or StreamSize(), seed)
        first = [query for query in stream.told if stream.session(query.told) == 0]
        for sleep in ("never", "every session"):
            progress(f"seed {seed}: sleep {sleep}")
            learner = HopeLearner(bundle, 2, sleeps=True)
            for place, turn in enumerate(stream.turns):
                learner.tell(turn)
                if sleep == "every session" and (place + 1) % stream.size.turns == 0:
                    learner.end_session()
                if (place + 1) % EVERY == 0 and place + 1 >= stream.size.turns:
                    yield _row(learner, first, sleep, seed, place + 1)
            if sleep == "never":
                learner.end_session()
                yield _row(learner, first, "once, at the end", seed, len(stream.turns))


def _row(learner: HopeLearner, queries: Sequence[Query], sleep: str, seed: int, turn: int) -> Row:
    found = sorted(learner.margins_of(queries))
    return {
        "sleep": sleep,
        "seed": seed,
        "turn": turn,
        "facts": len(found),
        "margin": round(statistics.median(found), 4),
        # Of ten facts, the weakest but for what was misread from the start.
        "margin_tenth": round(found[len(found) // 10], 4),
        "known": round(sum(margin > 0 for margin in found) / len(found), 4),
    }
