"""Tables and numbers of the models: recall, curves, language modelling, latency."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from nestling.evaluation import published
from nestling.evaluation.results import Row
from nestling.evaluation.tables import (
    column_values,
    group_rows,
    markdown_table,
    mean_range,
    number,
    seeds_of,
    spread_of_runs,
    table,
)


def _ranked(*orders: Sequence[str] | None) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A sort key for group keys: by the given order of words, by value where there is none."""

    def rank(value: Any, order: Sequence[str] | None) -> Any:
        if order is None:
            return value
        return (order.index(value) if value in order else len(order), value)

    return lambda key: tuple(map(rank, key, orders))


_KINDS = ("told", "updated", "never_told")
_PHRASINGS = ("train", "held_out")
_MEMORIES = ("on", "off", "other")


def _words(name: str) -> str:
    return name.replace("_", " ")


@table("recall")
def recall_table(rows: Sequence[Row]) -> str:
    """One line per kind of question, number of facts, phrasing and memory; mean and min–max."""
    groups = group_rows(rows, "kind", "facts", "phrasings", "memory")
    lines = []
    for key in sorted(groups, key=_ranked(_KINDS, None, _PHRASINGS, _MEMORIES)):
        kind, facts, phrasings, memory = key
        of_group = groups[key]
        lines.append(
            (
                _words(kind),
                f"{facts:,}",
                _words(phrasings),
                memory,
                seeds_of(of_group),
                mean_range(column_values(of_group, "exact_match")),
                mean_range(column_values(of_group, "refused")),
            )
        )
    headers = ("asked about", "facts", "phrasings", "memory", "seeds", "exact match", "refused")
    note = "Mean over seeds, with min–max where they differ."
    return f"{markdown_table(headers, lines, 'lrllrrr')}\n\n{note}"


@table("recall_short", source="recall")
def recall_short_table(rows: Sequence[Row]) -> str:
    """One line per number of facts: what a reader wants to know first; means over seeds."""

    def cell(
        facts: int, kind: str, column: str, phrasings: str = "train", memory: str = "on"
    ) -> str:
        wanted = (kind, facts, phrasings, memory)
        groups = group_rows(rows, "kind", "facts", "phrasings", "memory")
        return mean_range(column_values(groups.get(wanted, []), column))

    lines = [
        (
            f"{facts:,}",
            cell(facts, "told", "exact_match"),
            cell(facts, "told", "exact_match", "held_out"),
            cell(facts, "updated", "exact_match"),
            cell(facts, "never_told", "refused"),
            cell(facts, "told", "exact_match", memory="off"),
            cell(facts, "told", "exact_match", memory="other"),
        )
        for facts in sorted({row["facts"] for row in rows})
    ]
    headers = (
        "facts told",
        "recalled",
        "recalled, wordings never trained on",
        "recalled after a change",
        "never told: says so",
        "memory off",
        "another's memory",
    )
    return markdown_table(headers, lines, "rrrrrrr")


@table("language_modeling")
@table("language_modeling_books")
def language_modeling_table(rows: Sequence[Row]) -> str:
    """One table per data set: perplexity of every model, mean ± sd over seeds, best first."""
    parts = []
    for (data,), of_data in group_rows(rows, "data").items():
        groups = group_rows(of_data, "model", "parameters", "tokens")
        best_first = sorted(groups.items(), key=lambda item: _perplexity(item[1]))
        places = [name for name in of_data[0] if name.startswith("fresh_loss_")]
        lines = [
            (
                model,
                _short(parameters),
                _short(tokens),
                seeds_of(of_model),
                spread_of_runs(of_model, "perplexity", digits=2),
                spread_of_runs(of_model, "carried_perplexity", digits=2),
                published.LANGUAGE_MODELING.get(model, "–"),
                *(mean_range(column_values(of_model, place)) for place in places),
            )
            for (model, parameters, tokens), of_model in best_first
        ]
        headers = (
            "model",
            "parameters",
            "tokens",
            "seeds",
            "perplexity (mean ± sd)",
            "the same, state carried",
            "paper, 760M, WikiText",
            *(
                f"loss, places {place.removeprefix('fresh_loss_').replace('_', '–')}"
                for place in places
            ),
        )
        parts.append(
            f"**{data}**\n\n{markdown_table(headers, lines, 'lrrrrrr' + 'r' * len(places))}"
        )
    return "\n\n".join(parts)


def _perplexity(rows: Sequence[Row]) -> float:
    """The mean; infinity, so that it sorts last, where no run gave one."""
    values = column_values(rows, "perplexity")
    return statistics.fmean(values) if values else math.inf


@table("speed_cpu")
def speed_table(rows: Sequence[Row]) -> str:
    """For each mode and number of threads, one line per model: tokens a second by length."""
    parts = []
    for (mode, threads), of_mode in group_rows(rows, "mode", "threads").items():
        title = f"**{mode}**, {threads} thread" + ("s" if threads > 1 else "")
        field, unit = (
            ("chunk", "chunk of {:,}") if "chunk" in of_mode[0] else ("tokens", "{:,} tokens")
        )
        sizes = list(dict.fromkeys(row[field] for row in of_mode))
        show = _decoding if mode == "decode" else _reading
        lines = []
        for (model,), of_model in group_rows(of_mode, "model").items():
            by_size = {row[field]: row for row in of_model}
            lines.append((model, *(show(by_size.get(size)) for size in sizes)))
        headers = ("model", *(unit.format(size) for size in sizes))
        table_ = markdown_table(headers, lines, "l" + "r" * len(sizes))
        parts.append(f"{title}\n\n{table_}")
    return "\n\n".join(parts)


def _reading(row: Row | None) -> str:
    if row is None:
        return "–"
    ratio = row.get("to_attention", row.get("to_theirs"))
    shown = "" if ratio is None else f" ({ratio:.2f}x)"
    return f"{row['tokens_per_second']:,}{shown}, {row['peak_bytes'] / 2**20:,.0f} MiB"


def _decoding(row: Row | None) -> str:
    if row is None:
        return "–"
    return f"{row['milliseconds']:.1f} ms, {row['state_bytes'] / 2**20:.2f} MiB"


@table("latency")
def latency_table(rows: Sequence[Row]) -> str:
    """One line per operation, tokens and threads: medians."""
    groups = group_rows(rows, "operation", "tokens", "threads")
    lines = [
        (
            _words(operation),
            f"{tokens:,}",
            threads,
            _median(column_values(groups[operation, tokens, threads], "milliseconds"), ".1f"),
            _median(column_values(groups[operation, tokens, threads], "ratio_to_forward"), ".2f"),
        )
        for operation, tokens, threads in sorted(groups)
    ]
    headers = ("operation", "tokens", "threads", "median ms", "median ratio to a forward pass")
    return markdown_table(headers, lines, "lrrrr")


@table("facts_curve")
def facts_curve_table(rows: Sequence[Row]) -> str:
    """One line per number of facts: recall of the told, refusal of the never told."""
    groups = group_rows(rows, "facts", "kind")
    lines = [
        (
            f"{facts:,}",
            seeds_of(groups[facts, "told"]),
            mean_range(column_values(groups[facts, "told"], "exact_match")),
            mean_range(column_values(groups[facts, "told"], "refused")),
            mean_range(column_values(groups[facts, "never_told"], "refused")),
        )
        for facts, kind in sorted(groups)
        if kind == "told"
    ]
    headers = ("facts", "seeds", "recalled", "told but refused", "never told and refused")
    return markdown_table(headers, lines, "rrrrr")


@table("small_talk_curve")
def small_talk_curve_table(rows: Sequence[Row]) -> str:
    """One line per amount of small talk read after the facts."""
    groups = group_rows(rows, "facts", "small_talk_tokens")
    lines = [
        (
            f"{tokens:,}",
            f"{facts:,}",
            seeds_of(groups[facts, tokens]),
            mean_range(column_values(groups[facts, tokens], "exact_match")),
        )
        for facts, tokens in sorted(groups)
    ]
    headers = ("tokens of small talk", "facts", "seeds", "recalled")
    return markdown_table(headers, lines, "rrrr")


def _median(values: Sequence[float], form: str) -> str:
    return format(statistics.median(values), form) if values else "–"


def _short(count: int) -> str:
    """`1_234_567` as `1.23M`."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)


def _told_most(rows: Sequence[Row], memory: str) -> list[Row]:
    """Rows of the largest set of told facts asked about in phrasings that were held out."""
    told = [r for r in rows if r["kind"] == "told" and r["phrasings"] == "held_out"]
    most = max((row["facts"] for row in told if row["memory"] == "on"), default=None)
    return [row for row in told if row["facts"] == most and row["memory"] == memory]


@number("recall_facts", source="recall")
def recall_facts(rows: Sequence[Row]) -> str:
    """The largest number of told facts measured with held-out phrasings."""
    most = _told_most(rows, "on")
    return f"{most[0]['facts']:,}" if most else "–"


def _recall_number(rows: Sequence[Row], *, memory: str) -> str:
    return mean_range(column_values(_told_most(rows, memory), "exact_match"))


# Exact match at `recall_facts` facts, held-out phrasings: with the memory, without, with another's.
for _memory in _MEMORIES:
    number(f"recall_memory_{_memory}", source="recall")(
        functools.partial(_recall_number, memory=_memory)
    )


@table("long_life")
def long_life_table(rows: Sequence[Row]) -> str:
    """A long life at some of its turns, and how fast its files grow."""
    step = max(1, len(rows) // 10)
    shown = [*rows[:1], *rows[step - 1 :: step]]
    levels = [column for column in rows[0] if column.startswith("norm ")]
    lines = [
        (
            f"{row['turn']:,}",
            *(f"{row[name]:.2f}" for name in ("first", "changed", "refused")),
            *(f"{row[level]:.1f}" for level in levels),
            f"{row['journal bytes'] / 1e6:.1f}",
            f"{row['snapshot bytes'] / 1e6:.1f}",
            row["snapshots"],
        )
        for row in {row["turn"]: row for row in shown}.values()
    ]
    headers = (
        "turns",
        "first facts",
        "changing facts",
        "never told: refused",
        *(f"norm, {level.removeprefix('norm ')}" for level in levels),
        "journal, MB",
        "snapshots, MB",
        "snapshots",
    )
    first, last = rows[0], rows[-1]
    growth = last["journal bytes"] - first["journal bytes"]
    slope = growth / max(1, last["turn"] - first["turn"])
    finite = "All" if all(row["finite"] for row in rows) else "Not all"
    return (
        f"{markdown_table(headers, lines, 'r' * len(headers))}\n\n"
        f"{finite} numbers of the state were finite at {len(rows)} looks; the journal grows by "
        f"{slope:.0f} bytes a turn."
    )


@table("everyday")
def everyday_table(rows: Sequence[Row]) -> str:
    """One line per number of facts told together, and one for small talk."""
    never = next(row for row in rows if row["kind"] == "never_told")
    talk = next(row for row in rows if row["kind"] == "small_talk")
    lines = [
        (f"{row['facts']:,}", f"{row['turns']:,}", f"{row['right']:.3f}", f"{row['refused']:.3f}")
        for row in rows
        if row["kind"] == "told"
    ]
    headers = ("facts told together", "questions", "right", "says it doesn't know")
    return (
        f"{markdown_table(headers, lines, 'rrrr')}\n\n"
        f"Of {talk['turns']} turns of small talk {talk['refused']:.3f} left no note; of "
        f"{never['turns']} questions about what was never told {never['refused']:.3f} were "
        'answered with "I don\'t know."'
    )


@table("found_texts")
def found_texts_table(rows: Sequence[Row]) -> str:
    """One line per number of facts and way of answering; mean and min–max over seeds."""
    ways = {
        "weights": "weights alone (the default)",
        "text": "texts alone",
        "both": "weights and texts",
        "nothing": "neither",
    }
    groups = group_rows(rows, "facts", "way", "kind")
    lines = [
        (
            f"{facts:,}",
            name,
            *(
                mean_range(column_values(groups.get((facts, way, kind), []), column))
                for kind, column in (
                    ("told", "exact_match"),
                    ("updated", "exact_match"),
                    ("never_told", "refused"),
                )
            ),
        )
        for facts in sorted({row["facts"] for row in rows})
        for way, name in ways.items()
    ]
    headers = ("facts told", "answered from", "recalled", "after a change", "never told: says so")
    return markdown_table(headers, lines, "rlrrr")
