"""`nestling memory forget`, `nestling memory undo`, and what chat shares with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from nestling.cli.common import (
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
    from nestling.resident.reports import Forgotten


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
        what = ", ".join(map(named_item, dict.fromkeys(items)))
        if not yes:
            resident.check_items(*named)
            confirm(f"Forget {what}? It cannot be brought back.")
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
        what = f"turn {last.id} ({last.text or 'its words were forgotten'})"
        if not yes:
            confirm(f"Forget {what}? It cannot be brought back.")
        _tell_forgotten(what, resident.forget(last.id), as_json=as_json, items=[last.id])


def _tell_forgotten(
    what: str, forgotten: Forgotten, *, as_json: bool, items: Sequence[int | str]
) -> None:
    if as_json:
        print_json({"items": items, **vars(forgotten)})
        return
    say(forgotten_line(what, forgotten))
    if not forgotten.scrubbed:
        say(
            "Its files could not all be written anew, so they may still hold the words; the next "
            "write tries again."
        )


def item_of(said: str) -> int | str:
    """What somebody names to be forgotten: a turn by its number, else a key."""
    return int(said) if said.isdecimal() else said


def named_item(said: str) -> str:
    """The same for people: "turn 3", "'my dog'"."""
    return f"turn {said}" if said.isdecimal() else f"'{said}'"


def forgotten_line(what: str, forgotten: Forgotten) -> str:
    """What was forgotten, for people."""
    turns, notes = count_of(forgotten.entries, "turn"), count_of(forgotten.notes, "note")
    return f"Forgot {what}: {turns}, {notes}."
