"""Tables and numbers of README and docs, drawn from `results/*.json`.

A document marks the place, and what stands between the marks is generated:

    <!-- table:recall -->            ...          <!-- /table -->
    <!-- number:recall_facts -->     32           <!-- /number -->

`@table(name)` and `@number(name)` register the function from rows to text; both read
`results/<name>.json` unless `source` names another. `nestling results tables` writes the documents.
"""

import logging
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


def render(name: str, rows: Sequence[Row]) -> str:
    """The markdown of table `name`. Raises KeyError for a name that is not registered."""
    _register_all()
    return _REGISTERED["table", name].render(rows)


def _register_all() -> None:
    # They register their tables, and need this module first.
    import nestling.evaluation.continual.tables
    import nestling.evaluation.durability.tables
    import nestling.evaluation.model_tables
    import nestling.evaluation.reproduction_tables
    import nestling.evaluation.rule_tables  # noqa: F401


def _documents(root: Path) -> list[Path]:
    fixed = (root / "README.md", root / "src/nestling/models/fledgling/README.md")
    return [path for path in (*fixed, *sorted(root.glob("docs/**/*.md"))) if path.is_file()]


def _regenerate(path: Path, text: str, root: Path, stale: list[str]) -> str:
    """The text with every mark regenerated; names of those that differ are added to `stale`."""
    _register_all()
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


def spread_of_runs(rows: Sequence[Row], column: str, digits: int = 3) -> str:
    """`mean_spread` of a column of which None is a run that diverged; says how many did."""
    lost = sum(column in row and row[column] is None for row in rows)
    values = column_values(rows, column)
    parts = [mean_spread(values, digits)] if values or not lost else []
    return "; ".join([*parts, *([f"{lost} of {len(rows)} diverged"] if lost else [])])


def seeds_of(rows: Sequence[Row]) -> int:
    return len({row["seed"] for row in rows})
