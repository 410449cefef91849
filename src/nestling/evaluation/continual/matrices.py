"""R[i, j], the score on task j after task i, and what continual learning is judged by."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nestling.evaluation.rows import Row


def rows_of(row: Row, common: Mapping[str, Any]) -> Iterator[Row]:
    """A run's summary and matrix as flat rows, one for each number."""
    for metric, value in row["summary"].items():
        yield {**common, "metric": metric, "value": value}
    for i, line in enumerate(row["matrix"]):
        for j, value in enumerate(line):
            yield {**common, "metric": f"R[{i}, {j}]", "value": value}


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
