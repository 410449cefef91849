"""Tables and numbers of README and docs, drawn from `results/*.json`.

A document marks the place, and what stands between the marks is generated:

    <!-- table:recall -->            ...          <!-- /table -->
    <!-- number:recall_facts -->     32           <!-- /number -->

`@table(name)` and `@number(name)` register the function from rows to text; both read
`results/<name>.json` unless `source` names another. `nestling results tables` writes the documents.
"""

import functools
import logging
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nestling.evaluation.results import Row, read_results

logger = logging.getLogger(__name__)

Render = Callable[[Sequence[Row]], str]


@dataclass(frozen=True)
class _Generated:
    source: str
    render: Render


_REGISTERED: dict[tuple[str, str], _Generated] = {}

_MARK = re.compile(r"<!-- (table|number):(\S+) -->(.*?)<!-- /(table|number) -->", re.DOTALL)
_OPENING = re.compile(r"<!-- (?:table|number):.*?-->")


def table(name: str, *, source: str | None = None) -> Callable[[Render], Render]:
    """Register a function from rows to the markdown of table `name`."""
    return _register("table", name, source)


def number(name: str, *, source: str | None = None) -> Callable[[Render], Render]:
    """Register a function from rows to the text of inline number `name`."""
    return _register("number", name, source)


def _register(kind: str, name: str, source: str | None) -> Callable[[Render], Render]:
    def decorate(render: Render) -> Render:
        if (kind, name) in _REGISTERED:
            raise ValueError(f"{kind} {name!r} is registered twice; choose another name")
        _REGISTERED[kind, name] = _Generated(source or name, render)
        return render

    return decorate


def render_tables(root: Path) -> list[Path]:
    """Regenerate README.md and docs under `root` from `root/results`; return the files changed.

    Where a results file is missing the text stays as it is, and a warning says so.

    Raises ValueError for a mark without its end or with an unknown name.
    """
    changed = []
    for path in _documents(root):
        before = path.read_text(encoding="utf-8")
        after = _regenerate(path, before, root, stale=[])
        if after != before:
            path.write_text(after, encoding="utf-8", newline="\n")
            changed.append(path)
    return changed


def check_tables(root: Path) -> list[str]:
    """Name every table and number under `root` that differs from its results, e.g.
    `"README.md: table recall"`; change nothing. Raises as `render_tables` does."""
    stale: list[str] = []
    for path in _documents(root):
        _regenerate(path, path.read_text(encoding="utf-8"), root, stale)
    return stale


def _documents(root: Path) -> list[Path]:
    fixed = (root / "README.md", root / "src/nestling/models/fledgling/README.md")
    return [path for path in (*fixed, *sorted(root.glob("docs/**/*.md"))) if path.is_file()]


def _regenerate(path: Path, text: str, root: Path, stale: list[str]) -> str:
    """The text with every mark regenerated; names of those that differ are added to `stale`."""
    document = path.relative_to(root).as_posix()

    def replacement(match: re.Match[str]) -> str:
        kind, name, inside, closing = match.groups()
        if closing != kind or _OPENING.search(inside):
            raise ValueError(f"{document}: {kind} {name} has no <!-- /{kind} -->; add it")
        generated = _REGISTERED.get((kind, name))
        if generated is None:
            known = ", ".join(sorted(n for k, n in _REGISTERED if k == kind)) or "none"
            raise ValueError(f"{document}: no {kind} is called {name!r}; there are: {known}")
        results = root / "results" / f"{generated.source}.json"
        if not results.is_file():
            place = f"{document}: {kind} {name}"
            logger.warning("%s stays as it is: there is no results/%s", place, results.name)
            return match.group()
        content = generated.render(read_results(results)["rows"])
        content = f"\n{content.strip()}\n" if kind == "table" else content.strip()
        if content != inside:
            stale.append(f"{document}: {kind} {name}")
        return f"<!-- {kind}:{name} -->{content}<!-- /{kind} -->"

    if unclosed := _OPENING.search(_MARK.sub("", text)):
        raise ValueError(f"{document}: {unclosed.group()} has no closing mark; add it")
    return _MARK.sub(replacement, text)


def markdown_table(
    headers: Sequence[str], rows: Iterable[Sequence[Any]], align: str | None = None
) -> str:
    """A markdown table; `align` has one letter per column: l, c or r (all l unless given).

    Raises ValueError where a row or `align` has another number of columns than `headers`.
    """
    align = align or "l" * len(headers)
    if len(align) != len(headers) or set(align) - set("lcr"):
        raise ValueError(f"align {align!r} must be {len(headers)} letters out of l, c, r")
    rule = {"l": ":---", "c": ":---:", "r": "---:"}
    lines = [list(headers), [rule[letter] for letter in align]]
    for row in rows:
        if len(row) != len(headers):
            raise ValueError(f"row {list(row)} must have {len(headers)} cells, one per header")
        lines.append([str(cell).replace("|", "\\|") for cell in row])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def mean_spread(values: Iterable[float], digits: int = 3) -> str:
    """Mean ± sample standard deviation, `"0.993 ± 0.004"`; the value alone if there is one."""
    values = _present(values)
    if len(values) < 2:
        return _mean(values, digits)
    return f"{_mean(values, digits)} ± {statistics.stdev(values):.{digits}f}"


def mean_range(values: Iterable[float], digits: int = 3) -> str:
    """Mean and min–max, `"0.993 (0.989–0.997)"`; the mean alone if all values print alike."""
    values = _present(values)
    if not values:
        return _mean(values, digits)
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return _mean(values, digits) + (f" ({low}–{high})" if low != high else "")


def _present(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float], digits: int) -> str:
    return f"{statistics.fmean(values):.{digits}f}" if values else "–"


def group_rows(rows: Iterable[Row], *columns: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by the values of `columns`, groups in the order in which they first appear."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[column] for column in columns)].append(row)
    return dict(groups)


def column_values(rows: Iterable[Row], column: str) -> list[Any]:
    """The values of one column that were measured: absent and None are left out."""
    return _present(row.get(column) for row in rows)


def _seeds(rows: Sequence[Row]) -> int:
    return len({row["seed"] for row in rows})


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
                _seeds(of_group),
                mean_range(column_values(of_group, "exact_match")),
                mean_range(column_values(of_group, "refused")),
            )
        )
    headers = ("asked about", "facts", "phrasings", "memory", "seeds", "exact match", "refused")
    note = "Mean over seeds, with min–max where they differ."
    return f"{markdown_table(headers, lines, 'lrllrrr')}\n\n{note}"


@table("language_modeling")
def language_modeling_table(rows: Sequence[Row]) -> str:
    """One table per data set: perplexity of every model, mean ± sd over seeds, best first."""
    parts = []
    for (data,), of_data in group_rows(rows, "data").items():
        groups = group_rows(of_data, "model", "parameters", "tokens")
        best_first = sorted(groups.items(), key=lambda item: _perplexity(item[1]))
        lines = [
            (
                model,
                _short(parameters),
                _short(tokens),
                _seeds(of_model),
                mean_spread(column_values(of_model, "perplexity"), digits=2),
            )
            for (model, parameters, tokens), of_model in best_first
        ]
        headers = ("model", "parameters", "tokens", "seeds", "perplexity (mean ± sd)")
        parts.append(f"**{data}**\n\n{markdown_table(headers, lines, 'lrrrr')}")
    return "\n\n".join(parts)


def _perplexity(rows: Sequence[Row]) -> float:
    """The mean; infinity, so that it sorts last, where no run gave one."""
    values = column_values(rows, "perplexity")
    return statistics.fmean(values) if values else math.inf


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
            _seeds(groups[facts, "told"]),
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
            _seeds(groups[facts, tokens]),
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
