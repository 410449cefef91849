"""What levels cost while reading: tokens a second with writes, and with levels that are not due.

All kinds read the same tokens in turns, so that a noisy machine is noisy for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from nestling.evaluation.rows import Progress, Row
from nestling.evaluation.speed import timed
from nestling.memory.level import Level
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings

FAST = Level("fast", period=64)
# Longer than anything that is read here: it gathers, and is never due.
NEVER = 2**30
STILL = Level("slow", period=0)


@dataclass(frozen=True)
class Course:
    """Shapes; tokens of a turn; rounds, of which the quickest counts: what a machine does beside
    makes a round slower, never quicker.
    """

    width: int = 256
    layers: int = 4
    vocabulary: int = 4096
    tokens: int = 1024
    batch: int = 1
    rounds: int = 25
    rank: int = 16


def kinds(course: Course) -> dict[str, tuple[HopeSettings, bool, str]]:
    """Settings, whether they learn while reading, and with what they are compared."""
    base = HopeSettings(
        vocab_size=course.vocabulary,
        hidden_size=course.width,
        intermediate_size=2 * course.width,
        num_hidden_layers=course.layers,
        num_attention_heads=4,
        sliding_window=512,
        levels=(FAST,),
    )

    def of(*levels: Level, **more: Any) -> HopeSettings:
        return replace(base, levels=levels, **more)

    slow = Level("slow", period=NEVER)
    return {
        "one level, not learning": (base, False, ""),
        "one level": (base, True, "one level, not learning"),
        "one level, next token": (
            of(replace(FAST, source="next_token")),
            True,
            "one level, not learning",
        ),
        "one level, low rank": (
            of(replace(FAST, rank=course.rank)),
            True,
            "one level, not learning",
        ),
        "nested, one that is not due": (of(FAST, slow, continuum="nested"), True, "one level"),
        "nested, three that are not due": (
            of(
                FAST,
                slow,
                Level("slower", period=2 * NEVER),
                Level("slowest", period=0, source="sleep"),
                continuum="nested",
            ),
            True,
            "one level",
        ),
        "sequential, one static": (of(FAST, STILL), True, "one level"),
        "sequential, one that is not due": (of(FAST, slow), True, "sequential, one static"),
        "sequential, one of low rank that is not due": (
            of(FAST, replace(slow, rank=course.rank)),
            True,
            "sequential, one static",
        ),
        "sequential, one for sleep": (
            of(FAST, Level("slow", period=0, source="sleep")),
            True,
            "sequential, one static",
        ),
    }


def measure_level_cost(
    *, threads: int = 1, course: Course | None = None, progress: Progress = lambda line: None
) -> Iterator[Row]:
    """Rows for `results/level_cost.json`: milliseconds of the quickest round, and the ratio to the
    kind that each is compared with.
    """
    course = course or Course()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ids = torch.randint(
            course.vocabulary,
            (course.batch, course.tokens),
            generator=torch.Generator().manual_seed(0),
        )
        known = kinds(course)
        models = {}
        for name, (settings, _, _) in known.items():
            torch.manual_seed(0)
            models[name] = Hope(settings).eval()
        # Every round reads the same ids from an empty state.
        seconds: dict[str, list[float]] = {name: [] for name in known}
        with torch.no_grad():
            for turn in range(course.rounds + 1):
                progress(f"round {turn}")
                for name, model in models.items():
                    state = model.new_state(course.batch)
                    elapsed = timed(
                        lambda m=model, s=state, n=name: m(ids, state=s, learn=known[n][1]), "cpu"
                    )
                    if turn:
                        seconds[name].append(elapsed)
        for name, (_, _, base) in known.items():
            quickest = min(seconds[name])
            yield {
                "kind": name,
                "compared_with": base,
                "threads": threads,
                "tokens": course.tokens * course.batch,
                "milliseconds": round(1000 * quickest, 3),
                "ratio": round(quickest / min(seconds[base or name]), 4),
                "state_bytes": models[name].new_state(1).nbytes,
            }
    finally:
        torch.set_num_threads(before)
