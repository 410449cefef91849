"""`nestling memory forget`, `nestling memory undo`, and what chat shares with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from nestling.cli.common import (
    WORDLESS,
    AsJson,
    Home,
    Model,
    Name,
    Yes,
    clear_errors,
    confirm,
    count_of,
    open_memory,
    print_json,
    say,
)

if TYPE_CHECKING:
    from nestling.resident.records import Entry
    from nestling.resident.reports import Forgotten

_NOT_SCRUBBED = (
    "Its files could not all be written anew, so they may still hold the words; the next write "
    "tries again."
)
# Turns that are shown before they are forgotten.
_SHOWN = 5


def forget(
    name: Name,
    items: Annotated[
        list[str],
        typer.Argument(metavar="ITEM...", help="Turns by number, or keys such as 'my dog'."),
    ],
    home: Home = None,
    model: Model = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Forget turns or keys as if they had never been told, in the weights and in all files."""
    with clear_errors(), open_memory(name, home, model, create=False) as resident:
        named = [item_of(item) for item in items]
        what = ", ".join(map(named_item, dict.fromkeys(named)))
        if not yes:
            confirm(question_of(what, resident.would_forget(*named)))
        _tell_forgotten(what, resident.forget(*named), as_json=as_json, items=named)


def undo(
    name: Name,
    home: Home = None,
    model: Model = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Forget the last turn as if it had never been told."""
    with clear_errors(), open_memory(name, home, model, create=False) as resident:
        last = resident.last_told()
        if not yes:
            confirm(question_of("the last turn", [last]))
        what = f"turn {last.id} ({last.text or WORDLESS})"
        _tell_forgotten(what, resident.forget(last.id), as_json=as_json, items=[last.id])


def _tell_forgotten(
    what: str, forgotten: Forgotten, *, as_json: bool, items: Sequence[int | str]
) -> None:
    if as_json:
        print_json({"items": items, **vars(forgotten)})
        return
    say(forgotten_line(what, forgotten))


def item_of(said: str) -> int | str:
    """What somebody names to be forgotten: a turn by its number, else a key, quoted or not."""
    bare = said.strip().rstrip(".!").strip("'\"") or said
    return int(bare) if bare.isdecimal() else bare


def named_item(item: int | str) -> str:
    """The same for people: "turn 3", "'my dog'"."""
    return f"turn {item}" if isinstance(item, int) else f"'{item}'"


def question_of(what: str, entries: Sequence[Entry]) -> str:
    """What somebody is asked before turns are forgotten, with what stands in them."""
    shown = [
        f"  {entry.id}: {entry.text or WORDLESS}"
        + "".join(f"\n     {note}" for note in entry.notes)
        for entry in entries[:_SHOWN]
    ]
    if more := len(entries) - len(shown):
        shown.append(f"  and {count_of(more, 'other turn')}")
    return "\n".join([*shown, f"Forget {what}? It cannot be brought back."])


def forgotten_line(what: str, forgotten: Forgotten) -> str:
    """What was forgotten, for people, and what of it may still be read."""
    turns, notes = count_of(forgotten.entries, "turn"), count_of(forgotten.notes, "note")
    line = f"Forgot {what}: {turns}, {notes}."
    return line if forgotten.scrubbed else f"{line}\n{_NOT_SCRUBBED}"
