"""The published tables that can be run here, each at a stated scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nestling.evaluation import formal_languages, mad

Row = dict[str, Any]
Progress = Callable[[str], None]
Measure = Callable[[Sequence[str], Sequence[int], Path | None, Progress], Iterator[Row]]
"""(models, seeds, file of finished runs, progress) -> rows."""


@dataclass(frozen=True)
class Reproduction:
    """A published table: `source` as NL cites it, our `scale`, what it `takes` on two cores."""

    title: str
    source: str
    scale: str
    takes: str
    models: tuple[str, ...]
    measure: Measure


def _formal_languages(
    models: Sequence[str], seeds: Sequence[int], run_file: Path | None, progress: Progress
) -> Iterator[Row]:
    return formal_languages.measure_formal_languages(
        models=models, seeds=seeds, run_file=run_file, progress=progress
    )


def _mad(
    models: Sequence[str], seeds: Sequence[int], run_file: Path | None, progress: Progress
) -> Iterator[Row]:
    return mad.measure_mad(models=models, seeds=seeds, run_file=run_file, progress=progress)


REPRODUCTIONS: dict[str, Reproduction] = {
    "formal_languages": Reproduction(
        "Formal languages",
        "[L] Table 5, after Irie et al. 2023",
        "two blocks of width 32, chunks of one token, up to 1,500 steps of 32 strings",
        "about 3 hours for 3 seeds",
        tuple(formal_languages.MODELS),
        _formal_languages,
    ),
    "mad": Reproduction(
        "Mechanistic Architecture Design",
        "[L] Table 4, after Poli et al. 2024",
        "two blocks of width 64, the base setting of each task, 1,500 steps of 32 sequences",
        "about 3 hours for 3 seeds",
        tuple(mad.MODELS),
        _mad,
    ),
}


def reproduction(name: str) -> Reproduction:
    """A table by its name. Raises ValueError with the names there are."""
    if name not in REPRODUCTIONS:
        raise ValueError(f"there is no table {name!r}; there are: {', '.join(REPRODUCTIONS)}")
    return REPRODUCTIONS[name]
