"""Tables of continual learning: what is kept, what is lost, and what it costs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from nestling.evaluation.continual.streams import CHOICES
from nestling.evaluation.results import Row
from nestling.evaluation.tables import (
    column_values,
    group_rows,
    markdown_table,
    mean_range,
    seeds_of,
    table,
)

_RECALL = ("recall, age 0-10", "recall, age 100-500", "recall, age 1000 and more")
_JUDGED = ("average accuracy", "anytime accuracy", "forgetting")
_CHANGES = ("changed: new", "changed: old", "never told, refused")


@table("continual_facts")
def continual_facts_table(rows: Sequence[Row]) -> str:
    """One line per method: recall by age, what continual learning is judged by, changes, costs."""
    lines = []
    for (method,), of_method in group_rows(rows, "method").items():
        found = group_rows(of_method, "metric")

        def of(metric: str, found: dict = found) -> list[float]:
            return column_values(found.get((metric,), []), "value")

        seconds, nbytes = of("seconds a turn"), of("bytes")
        base, after = of("base loss"), of("base loss after")
        rises = [(y - x) for x, y in zip(base, after, strict=True)]
        lines.append(
            (
                method,
                seeds_of(of_method),
                *(mean_range(of(metric)) for metric in (*_RECALL, *_JUDGED, *_CHANGES)),
                f"{statistics.fmean(rises):+.3f}" if rises else "–",
                f"{1000 * statistics.fmean(seconds):.0f}" if seconds else "–",
                f"{statistics.fmean(nbytes) / 1000:,.0f}" if nbytes else "–",
            )
        )
    headers = (
        "method",
        "seeds",
        "told up to 10 turns ago",
        "100–500 ago",
        "1,000 and more ago",
        *_JUDGED,
        "changed: new answer",
        "changed: old answer",
        "never told and refused",
        "loss of restating with it in the way, nats",
        "ms a turn",
        "kB kept",
    )
    return markdown_table(headers, lines, "lr" + "r" * (len(headers) - 2))


def _stream_table(rows: Sequence[Row]) -> str:
    """One line per method: what is known in the end, what was lost, what it costs."""
    judged = rows[0]["judged"]
    metrics = ("average", "anytime", "newest", "forgetting", "backward transfer")
    if judged == "loss":
        metrics += ("forward transfer",)
    lines = []
    for (method,), of_method in group_rows(rows, "method").items():
        found = group_rows(of_method, "metric")

        def of(metric: str, found: dict = found) -> list[float]:
            return column_values(found.get((metric,), []), "value")

        def rise(metric: str, of: Callable[[str], list[float]] = of) -> float:
            pairs = zip(of(metric), of(f"{metric} after"), strict=True)
            return statistics.fmean(after - before for before, after in pairs)

        lines.append(
            (
                method,
                of_method[0]["setting"],
                seeds_of(of_method),
                *(mean_range(of(metric)) for metric in metrics),
                f"{rise('base loss'):+.3f}",
                *(f"{rise(name):+.3f}" for name in CHOICES),
                f"{statistics.fmean(of('seconds')):,.0f}",
                f"{statistics.fmean(of('bytes')) / 1000:,.0f}",
            )
        )
    named = {"average": f"average {judged}", "anytime": f"anytime {judged}"}
    headers = (
        "method",
        "setting",
        "seeds",
        *(named.get(metric, metric) for metric in metrics),
        "base loss, nats",
        *CHOICES,
        "seconds",
        "kB kept",
    )
    return markdown_table(headers, lines, "llr" + "r" * (len(headers) - 3))


for _name in ("domains", "clinc150", "dbpedia", "languages"):
    table(f"continual_{_name}")(_stream_table)
    table(f"continual_{_name}_new_seeds")(_stream_table)


@table("level_cost")
def level_cost_table(rows: Sequence[Row]) -> str:
    """One line per kind of levels: milliseconds, and the ratio to what it is compared with."""
    lines = [
        (
            row["kind"],
            f"{row['milliseconds']:.0f}",
            f"{row['ratio']:.3f}" if row["compared_with"] else "1",
            row["compared_with"] or "itself",
            f"{row['state_bytes'] / 2**20:.2f}",
        )
        for row in rows
    ]
    headers = ("levels", "ms", "ratio", "to", "MiB of state")
    return markdown_table(headers, lines, "lrrlr")


@table("strength")
def strength_table(rows: Sequence[Row]) -> str:
    """One line for each way to sleep: margin and share known, early and late."""
    first = min(row["turn"] for row in rows)
    last = max(row["turn"] for row in rows)
    lines = []
    for (sleep,), of_sleep in group_rows(rows, "sleep").items():
        cells = []
        for turn in (first, last):
            some = [row for row in of_sleep if row["turn"] == turn]
            cells += [
                mean_range(column_values(some, "margin")) if some else "–",
                mean_range(column_values(some, "margin_tenth")) if some else "–",
                mean_range(column_values(some, "known")) if some else "–",
            ]
        lines.append((sleep, seeds_of(of_sleep), *cells))
    names = ("median margin", "margin of the weakest tenth", "known")
    headers = (
        "sleep",
        "seeds",
        *(f"{name}, turn {turn:,}" for turn in (first, last) for name in names),
    )
    return markdown_table(headers, lines, "lr" + "r" * 6)
