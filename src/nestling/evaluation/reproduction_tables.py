"""Tables of published benchmarks, ours beside the paper's."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from nestling.evaluation import published
from nestling.evaluation.results import Row
from nestling.evaluation.tables import (
    column_values,
    group_rows,
    markdown_table,
    seeds_of,
    spread_of_runs,
    table,
)


def _percent(values: Sequence[float]) -> str:
    """Mean in percent, and the range where the seeds differ."""
    if not values:
        return "–"
    mean, low, high = (100 * f(values) for f in (statistics.fmean, min, max))
    return f"{mean:.1f}" + (f" ({low:.0f}–{high:.0f})" if f"{low:.0f}" != f"{high:.0f}" else "")


@table("formal_languages")
def formal_languages_table(rows: Sequence[Row]) -> str:
    """One line per model: strings right in both bins; below each of ours the paper's."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    bins = list(dict.fromkeys(row["bin"] for row in rows))
    lines = []
    for (model,), of_model in group_rows(rows, "model").items():
        found = group_rows(of_model, "task", "bin")
        lines.append(
            (
                model,
                seeds_of(of_model),
                *(
                    " / ".join(
                        _percent(column_values(found.get((task, name), []), "accuracy"))
                        for name in bins
                    )
                    for task in tasks
                ),
            )
        )
        if paper := published.FORMAL_LANGUAGES.get(model):
            cells = (" / ".join(f"{value:g}" for value in paper[task]) for task in tasks)
            of = published.FORMAL_LANGUAGES_OF.get(model)
            lines.append(
                (
                    f"*in the paper, {of}*" if of else "*in the paper*",
                    "",
                    *(f"*{cell}*" for cell in cells),
                )
            )
    headers = ("model", "seeds", *(f"{task}, {' / '.join(bins)}" for task in tasks))
    return markdown_table(headers, lines, "lr" + "r" * len(tasks))


@table("mad")
def mad_table(rows: Sequence[Row]) -> str:
    """One line per model, best average first; below each of ours the paper's."""
    return _tasks_table(rows, published.MAD)


@table("mqar")
def mqar_table(rows: Sequence[Row]) -> str:
    """One line per model, best average first."""
    return _tasks_table(rows, {})


@table("needles")
def needles_table(rows: Sequence[Row]) -> str:
    """One table per kind of needle: answers found by length; below each of ours the paper's."""
    return _lengths_tables(rows, published.NEEDLES)


@table("babilong")
def babilong_table(rows: Sequence[Row]) -> str:
    """One table per task: answers right by length."""
    return _lengths_tables(rows, {})


@table("ablation")
def ablation_table(rows: Sequence[Row]) -> str:
    """One line per variant: perplexity and what is lost beside the whole Hope, ours and theirs.

    Seeds of equal number have read the same in the same order, and so they are compared in pairs.
    """
    groups = {model: of_model for (model,), of_model in group_rows(rows, "model").items()}
    whole = groups.get("hope", [])
    paper = published.ABLATION
    lines = [
        (
            variant,
            seeds_of(found),
            spread_of_runs(found, "perplexity", digits=2),
            _against(found, whole, "perplexity"),
            spread_of_runs(found, "carried_perplexity", digits=2),
            _against(found, whole, "carried_perplexity"),
            paper.get(variant, "–"),
            f"{100 * (paper[variant] / paper['hope'] - 1):+.1f} %" if variant in paper else "–",
        )
        for variant, found in groups.items()
    ]
    headers = (
        "variant",
        "seeds",
        "perplexity (mean ± sd)",
        "to Hope",
        "state carried",
        "to Hope",
        "paper, WikiText and LAMBADA",
        "to Hope",
    )
    return markdown_table(headers, lines, "lrrrrrrr")


def _against(rows: Sequence[Row], whole: Sequence[Row], column: str) -> str:
    """How much more than the whole Hope of the same seed, in percent; mean and range."""
    of_hope = {row["seed"]: row.get(column) for row in whole}
    pairs = [(row.get(column), of_hope.get(row["seed"])) for row in rows]
    more = [100 * (value / other - 1) for value, other in pairs if value and other]
    if not more:
        return "–"
    low, high = f"{min(more):+.1f}", f"{max(more):+.1f}"
    spread = f" ({low} to {high})" if low != high else ""
    return f"{statistics.fmean(more):+.1f} %{spread}"


def _lengths_tables(
    rows: Sequence[Row], paper: Mapping[str, Mapping[str, Mapping[int, float]]]
) -> str:
    parts = []
    for (kind,), of_kind in group_rows(rows, "kind").items():
        lengths = sorted({row["length"] for row in of_kind})
        lines: list[tuple[object, ...]] = []
        for (model,), of_model in group_rows(of_kind, "model").items():
            found = group_rows(of_model, "length")
            cells = [_percent(column_values(found.get((n,), []), "accuracy")) for n in lengths]
            lines.append((model, seeds_of(of_model), *cells))
            if theirs := paper.get(model, {}).get(kind):
                numbers = (f"*{theirs[n]:g}*" if n in theirs else "" for n in lengths)
                lines.append(("*in the paper*", "", *numbers))
        headers = ("model", "seeds", *(f"{n:,} tokens" for n in lengths))
        table = markdown_table(headers, lines, "lr" + "r" * len(lengths))
        parts.append(f"**{kind}**\n\n{table}")
    return "\n\n".join(parts)


def _tasks_table(rows: Sequence[Row], paper: Mapping[str, Mapping[str, float]]) -> str:
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    groups = []
    for (model,), of_model in group_rows(rows, "model").items():
        lines: list[tuple[object, ...]]
        found = group_rows(of_model, "task")
        values = {task: column_values(found.get((task,), []), "accuracy") for task in tasks}
        average = statistics.fmean(statistics.fmean(v) for v in values.values() if v)
        cells = [_percent(values[task]) for task in tasks]
        lines = [(model, seeds_of(of_model), *cells, f"{100 * average:.1f}")]
        if theirs := paper.get(model):
            mean = statistics.fmean(theirs[task] for task in tasks)
            numbers = (f"*{theirs[task]:g}*" for task in tasks)
            lines.append(("*in the paper*", "", *numbers, f"*{mean:.1f}*"))
        groups.append((average, lines))
    ordered = [line for _, lines in sorted(groups, key=lambda g: -g[0]) for line in lines]
    return markdown_table(
        ("model", "seeds", *tasks, "average"), ordered, "lr" + "r" * (len(tasks) + 1)
    )
