"""Tables of kills and faults: what was tried, and how often something was not as promised."""

from __future__ import annotations

from collections.abc import Sequence

from nestling.evaluation.durability.checks import VIOLATIONS
from nestling.evaluation.durability.damage import DAMAGES
from nestling.evaluation.results import Row
from nestling.evaluation.tables import group_rows, markdown_table, number, table

_AIMS = ("moment", "writing", "call")


def _total(rows: Sequence[Row], column: str) -> int:
    return sum(row.get(column, 0) for row in rows)


def _violations(rows: Sequence[Row]) -> int:
    return sum(_total(rows, kind) for kind in VIOLATIONS)


@table("kills")
def kills_table(rows: Sequence[Row]) -> str:
    """One line per operation: kills by aim, how often it took place all the same, violations."""
    lines = []
    for (operation,), of_operation in group_rows(rows, "operation").items():
        aimed = {row["aim"]: row["kills"] for row in of_operation}
        name = "(between two)" if operation == "none" else operation
        kills = _total(of_operation, "kills")
        took_place = "" if operation == "none" else f"{_total(of_operation, 'took_place'):,}"
        aims = (f"{aimed.get(aim, 0):,}" for aim in _AIMS)
        lines.append((name, f"{kills:,}", *aims, took_place, _violations(of_operation)))
    aims = (f"{_total([row for row in rows if row['aim'] == aim], 'kills'):,}" for aim in _AIMS)
    took_place = f"{_total(rows, 'took_place'):,}"
    lines.append(("all", f"{_total(rows, 'kills'):,}", *aims, took_place, _violations(rows)))
    headers = (
        "killed in",
        "kills",
        "at any moment",
        "while writing",
        "before a call",
        "took place",
        "violations",
    )
    return markdown_table(headers, lines, "lrrrrrr")


@table("faults")
def faults_table(rows: Sequence[Row]) -> str:
    """One line per kind of fault, over all operations."""
    return _faults([row for row in rows if row["fault"] not in DAMAGES], "fault")


@table("damage", source="faults")
def damage_table(rows: Sequence[Row]) -> str:
    """One line per file, over all kinds of damage."""
    return _faults([row for row in rows if row["fault"] in DAMAGES], "place", older=True)


def _faults(rows: Sequence[Row], column: str, *, older: bool = False) -> str:
    columns = ("tries", "named_errors", "successes", *(("older",) if older else ()), "violations")
    lines = [
        (name, *(f"{_total(some, column):,}" for column in columns))
        for (name,), some in group_rows(rows, column).items()
    ]
    first = "damaged file" if older else "fault"
    names = ("tries", "named error", "right answer" if older else "success")
    headers = (first, *names, *(("older state",) if older else ()), "violations")
    return markdown_table(headers, lines, "l" + "r" * len(columns))


@number("kills")
def kills_number(rows: Sequence[Row]) -> str:
    """All kills."""
    return f"{_total(rows, 'kills'):,}"


@number("kill_violations", source="kills")
def kill_violations_number(rows: Sequence[Row]) -> str:
    """All violations that were found after kills."""
    return f"{_violations(rows):,}"
