"""R[i, j], the score on task j after task i, and what continual learning is judged by."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nestling.evaluation.rows import Row

_PLACE = re.compile(r"R\[(\d+), (\d+)\]")


def rows_of(row: Row, common: Mapping[str, Any]) -> Iterator[Row]:
    """A run's summary and matrix as flat rows, one for each number."""
    for metric, value in row["summary"].items():
        yield {**common, "metric": metric, "value": value}
    for i, line in enumerate(row["matrix"]):
        for j, value in enumerate(line):
            yield {**common, "metric": f"R[{i}, {j}]", "value": value}


def matrices_of(rows: Sequence[Mapping[str, Any]]) -> list[list[list[float]]]:
    """The matrices that flat rows are of, one for each seed; scores before a task not included."""
    found: dict[int, dict[int, dict[int, float]]] = {}
    for row in rows:
        place = _PLACE.fullmatch(row["metric"])
        if place:
            i, j = map(int, place.groups())
            if j <= i:
                found.setdefault(row["seed"], {}).setdefault(i, {})[j] = row["value"]
    return [
        [[line[j] for j in sorted(line)] for _, line in sorted(matrix.items())]
        for _, matrix in sorted(found.items())
    ]


def transfer(
    matrix: Sequence[Sequence[float]], *, rises: bool = True, first: Sequence[float] = ()
) -> dict[str, float]:
    """What continual learning is judged by.

    Args:
        matrix: R, line i after task i, with the tasks to come where they can be judged.
        rises: whether a higher score is a better one.
        first: the scores of the model of the beginning, where all tasks can be judged at any time.
    """
    sign, last, count = (1 if rises else -1), matrix[-1], len(matrix)
    found = {
        "average": statistics.fmean(last),
        "anytime": statistics.fmean(
            statistics.fmean(line[: i + 1]) for i, line in enumerate(matrix)
        ),
        "newest": statistics.fmean(matrix[j][j] for j in range(count)),
    }
    if count > 1:
        before = range(count - 1)
        found["backward transfer"] = statistics.fmean(
            sign * (last[j] - matrix[j][j]) for j in before
        )
        found["forgetting"] = statistics.fmean(
            max(sign * line[j] for line in matrix[j:]) - sign * last[j] for j in before
        )
    if count > 1 and first:
        found["forward transfer"] = statistics.fmean(
            sign * (matrix[j - 1][j] - first[j]) for j in range(1, count)
        )
    return {name: round(value, 4) for name, value in found.items()}
