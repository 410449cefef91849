"""The published tables that can be run here, each at a stated scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from nestling.evaluation import formal_languages, mad, mqar
from nestling.evaluation.rows import Row
from nestling.evaluation.sequence_tasks import PEERS, measure_tasks

Measure = Callable[..., Iterator[Row]]
"""(models, seeds, run_file, progress, all by name) -> rows."""


@dataclass(frozen=True)
class Reproduction:
    """A published table: `source` as NL cites it, our `scale`, what it `takes` on two cores."""

    title: str
    source: str
    scale: str
    takes: str
    models: tuple[str, ...]
    measure: Measure


REPRODUCTIONS: dict[str, Reproduction] = {
    "formal_languages": Reproduction(
        "Formal languages",
        "[L] Table 5, after Irie et al. 2023",
        "two blocks of width 32, chunks of one token, up to 1,500 steps of 32 strings",
        "about 3 hours for 3 seeds",
        tuple(PEERS),
        formal_languages.measure_formal_languages,
    ),
    "mad": Reproduction(
        "Mechanistic Architecture Design",
        "[L] Table 4, after Poli et al. 2024",
        "two blocks of width 64, the base setting of each task, 1,500 steps of 32 sequences",
        "about 3 hours for 3 seeds",
        mad.MODELS,
        partial(measure_tasks, mad.TASKS),
    ),
    "mqar": Reproduction(
        "Multi-query associative recall",
        "Arora et al. 2024, as in [At] and [T]",
        "two blocks of width 64, 512 ids, 4 to 32 pairs, 1,500 steps of 32 sequences",
        "about 3 hours for 3 seeds",
        tuple(PEERS),
        partial(measure_tasks, mqar.TASKS),
    ),
}


def reproduction(name: str) -> Reproduction:
    """A table by its name. Raises ValueError with the names there are."""
    if name not in REPRODUCTIONS:
        raise ValueError(f"there is no table {name!r}; there are: {', '.join(REPRODUCTIONS)}")
    return REPRODUCTIONS[name]
