"""`nestling teach --from`: progress on a terminal, what was learned as JSON, and a summary."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nestling.cli.common import (
    count_of,
    open_memory,
    print_json,
    say,
)

if TYPE_CHECKING:
    from nestling.resident import Learned, Taught

_NAMED = 5


def teach_from(
    paths: Sequence[str],
    memory: str,
    home: Path | None,
    model: Path | None,
    *,
    kind: str | None,
    roles: Sequence[str] | None,
    again: bool,
    as_json: bool,
) -> None:
    """Tell a memory what sources hold; the summary goes to stderr where JSON is printed."""
    from nestling.resident.store import check_name
    from nestling.resident.teaching.run import teach
    from nestling.resident.teaching.sources import find_sources

    check_name(memory)
    # There is none where a service closed it.
    stdin = None if sys.stdin is None else sys.stdin.buffer
    sources, left_out = find_sources(paths, kind, stdin)
    if not sources:
        raise ValueError(f"there is nothing to learn from in {', '.join(paths)}{_these(left_out)}")

    def told(learned: Learned) -> None:
        if as_json:
            print_json(asdict(learned))

    learns_from = ("user", *(roles or ()))
    with (
        open_memory(memory, home, model, create=True, learns_from=learns_from) as resident,
        _progress() as progress,
    ):
        try:
            taught = teach(
                resident,
                sources,
                again=again,
                progress=progress,
                told=told,
            )
        except KeyboardInterrupt:
            how = "without --again it goes on" if again else "the same command goes on"
            say(f"Stopped; {how} where this one was.", err=True)
            raise typer.Exit(130) from None
    say(_summary(taught), err=as_json)
    if left_out:
        say(f"Left out, as of no known kind{_these(left_out)}", err=as_json)


@contextmanager
def _progress() -> Iterator[Callable[[int, int, int], None] | None]:
    """A bar on a terminal: turns gone through of all, notes made, time left."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("learning"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("turns, {task.fields[notes]} notes"),
        TimeRemainingColumn(),
    )
    # What goes to stdout stays there.
    bar = Progress(
        *columns, console=Console(stderr=True), redirect_stdout=False, redirect_stderr=False
    )
    with bar:
        task = bar.add_task("", total=None, notes=0)
        yield lambda done, total, notes: bar.update(task, completed=done, total=total, notes=notes)


def _summary(taught: Taught) -> str:
    parts = [f"{count_of(taught.turns, 'turn')} told, {count_of(taught.notes, 'note')}"]
    if taught.silent:
        parts.append(f"nothing to note in {count_of(taught.silent, 'turn')}")
    if taught.lost:
        parts.append(f"{count_of(taught.lost, 'note')} that the memory could not learn")
    if taught.before:
        parts.append(f"{taught.before} told before")
    skipped = ", ".join(f"{count} {reason}" for reason, count in taught.skipped.items())
    parts.append(f"skipped: {skipped}" if skipped else "nothing skipped")
    return f"{'; '.join(parts)}; {taught.seconds:.1f} s."


def _these(paths: Sequence[Path]) -> str:
    if not paths:
        return ""
    more = len(paths) - _NAMED
    return f": {', '.join(map(str, paths[:_NAMED]))}" + (f" and {more} more" if more > 0 else "")
