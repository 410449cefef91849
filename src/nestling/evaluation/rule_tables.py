"""Tables of the update rules: `results/rule_*.json`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from nestling.evaluation.inner_race import WANTED, facts_held
from nestling.evaluation.results import Row
from nestling.evaluation.tables import (
    column_values,
    group_rows,
    markdown_table,
    mean_range,
    mean_spread,
    table,
)


@table("rule_landscape")
def landscape_table(rows: Sequence[Row]) -> str:
    """One line per rule: steps to the target in each valley, at the best rate."""
    valleys = list(dict.fromkeys(row["valley"] for row in rows))
    lines = []
    for (rule,), of_rule in group_rows(rows, "rule").items():
        first = {row["valley"]: row for row in reversed(of_rule)}
        cells = []
        for valley in valleys:
            needed = first[valley]["steps_to_target"]
            cells.append("not reached" if needed is None else f"{needed}")
        lines.append((rule, *cells))
    return markdown_table(
        ("rule", *(f"steps, {name} valley" for name in valleys)), lines, "l" + "r" * len(valleys)
    )


@table("outer_race")
def text_table(rows: Sequence[Row]) -> str:
    """One table per model: the loss of every optimizer at its best rate, best first."""
    parts = []
    for (model,), of_model in group_rows(rows, "model").items():
        best = [row for row in of_model if row["best"]]
        groups = group_rows(best, "optimizer", "lr", "tokens")
        ordered = sorted(groups.items(), key=lambda item: _mean(item[1], "validation_loss"))
        adamw = statistics.median(
            column_values([r for r in best if r["optimizer"] == "adamw"], "seconds_per_step")
            or [math.nan]
        )
        lines = []
        for (optimizer, rate, tokens), of_one in ordered:
            seconds = statistics.median(column_values(of_one, "seconds_per_step") or [math.nan])
            tried = {row["lr"] for row in of_model if row["optimizer"] == optimizer}
            lines.append(
                (
                    optimizer,
                    f"{rate:g}",
                    len(tried),
                    f"{tokens:,}",
                    len(of_one),
                    mean_spread(column_values(of_one, "validation_loss"), digits=3),
                    f"{seconds / adamw:.2f}",
                )
            )
        headers = (
            "optimizer",
            "best lr",
            "lr tried",
            "tokens",
            "seeds",
            "validation loss (mean ± sd)",
            "time of a step, AdamW = 1",
        )
        parts.append(f"**{model}**\n\n{markdown_table(headers, lines, 'lrrrrrr')}")
    return "\n\n".join(parts)


@table("outer_race_stream")
def stream_table(rows: Sequence[Row]) -> str:
    """One line per optimizer: loss on each domain at its own end, at the end, and forgetting."""
    lines = []
    for (optimizer, rate), of_one in group_rows(rows, "optimizer", "lr").items():
        own, final, forgotten = [], [], []
        for _, of_seed in group_rows(of_one, "seed").items():
            last = max(row["order"] for row in of_seed)
            at_own = {r["domain"]: r["loss"] for r in of_seed if r["after"] == r["domain"]}
            at_end = {r["domain"]: r["loss"] for r in of_seed if r["order"] == last}
            old = [name for name in at_end if name != next(reversed(at_own))]
            own.append(statistics.fmean(at_own.values()))
            final.append(statistics.fmean(at_end.values()))
            forgotten.append(statistics.fmean(at_end[name] - at_own[name] for name in old))
        lines.append(
            (
                statistics.fmean(own),
                (
                    optimizer,
                    f"{rate:g}",
                    len(own),
                    mean_spread(own),
                    mean_spread(final),
                    mean_spread(forgotten),
                ),
            )
        )
    headers = (
        "optimizer",
        "lr",
        "seeds",
        "loss on each language at its own end",
        "loss on all at the end",
        "forgetting",
    )
    ordered = [line for _, line in sorted(lines, key=lambda item: item[0])]
    return markdown_table(headers, ordered, "lrrrrr")


@table("inner_race")
def recall_table(rows: Sequence[Row]) -> str:
    """One line per rule: recall by number of facts, and how many are held at the wanted recall."""
    counts = sorted({row["facts"] for row in rows})
    lines = []
    for (rule,), of_rule in group_rows(rows, "rule").items():
        held = [
            facts_held({row["facts"]: row["recall"] for row in of_seed})
            for of_seed in group_rows(of_rule, "seed").values()
        ]
        by_count = group_rows(of_rule, "facts")
        cells = [mean_range(column_values(by_count[count,], "recall")) for count in counts]
        refused = mean_range(column_values(by_count[counts[0],], "refused"))
        lines.append(
            (
                -statistics.fmean(held),
                (rule, len(held), *cells, refused, f"{statistics.fmean(held):,.0f}"),
            )
        )
    headers = (
        "rule",
        "seeds",
        *(f"{count:,} facts" for count in counts),
        f"never told and refused, {counts[0]} facts",
        f"facts held at {WANTED:g}",
    )
    ordered = [line for _, line in sorted(lines, key=lambda item: item[0])]
    return markdown_table(headers, ordered, "lr" + "r" * (len(counts) + 2))


@table("rule_cost")
def cost_table(rows: Sequence[Row]) -> str:
    """One line per optimizer: time of a step and state, beside AdamW and Muon of torch."""
    lines = [
        (
            row["optimizer"],
            f"{row['milliseconds']:,.0f}",
            f"{row['to_adamw']:.2f}",
            f"{row['to_muon']:.2f}",
            f"{row['state_bytes_per_parameter']:.1f}",
            f"{row['peak_bytes_per_parameter']:.1f}",
        )
        for row in rows
    ]
    headers = (
        "optimizer",
        "ms a step",
        "to torch AdamW",
        "to torch Muon",
        "state, bytes a parameter",
        "peak, bytes a parameter",
    )
    return markdown_table(headers, lines, "lrrrrr")


def _mean(rows: Sequence[Row], column: str) -> float:
    values = column_values(rows, column)
    return statistics.fmean(values) if values else math.inf
