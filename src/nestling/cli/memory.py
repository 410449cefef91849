"""`nestling memory COMMAND`: look at memories, let them sleep and forget, carry them elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    progress_line,
    say,
    shown,
)
from nestling.cli.forgetting import forget, undo

if TYPE_CHECKING:
    from nestling.models.dialogue import Dialogue
    from nestling.resident.records import Entry

# Columns of a table that nobody looks at.
_WIDEST = 1_000_000
group = typer.Typer(
    help="Look at memories, let them sleep and forget, go back, carry them elsewhere.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="memory")


@group.command("list")
def list_all(home: Home = None, as_json: AsJson = False) -> None:
    """List all memories."""
    from nestling.resident.history import living
    from nestling.resident.journal import JournalError
    from nestling.resident.records import SPOKEN, latest_notes
    from nestling.resident.store import (
        MemoryFolder,
        damaged_memories,
        default_home,
        list_memories,
    )

    rows: list[dict[str, Any]] = []
    unread: list[str] = []
    with clear_errors():
        for name in list_memories(home):
            folder = MemoryFolder(name, home)
            try:
                entries = living(folder.journal.entries())
            except JournalError as error:
                # One that was removed since it was listed is no error.
                if folder.exists():
                    unread.append(str(error))
                continue
            told = [entry for entry in entries if entry.role in SPOKEN]
            rows.append(
                {
                    "name": name,
                    "entries": len(told),
                    "notes": len(latest_notes(entries)),
                    "bytes": folder.nbytes(),
                    "last": told[-1].time if told else None,
                }
            )
        unread += damaged_memories(home)
    if as_json:
        for row in rows:
            print_json(row)
    elif rows:
        _print_table(
            ("memory", "entries", "notes", "size", "last told"),
            [
                (r["name"], r["entries"], r["notes"], size(r["bytes"]), r["last"] or "never")
                for r in rows
            ],
        )
    elif not unread:
        say(f"There are no memories in {home or default_home()} yet.")
    for error in unread:
        say(f"error: {error}", err=True)
    if unread:
        raise typer.Exit(1)


@group.command()
def show(name: Name, home: Home = None, as_json: AsJson = False) -> None:
    """Show what a memory has noted."""
    from nestling.resident.history import living
    from nestling.resident.records import latest_notes
    from nestling.resident.store import MemoryFolder

    with clear_errors():
        folder = MemoryFolder(name, home)
        folder.require()
        notes = latest_notes(living(folder.journal.entries()))
    if as_json:
        for note in notes:
            print_json(vars(note))
    elif notes:
        _print_table(
            ("key", "value", "told"), [(note.key, note.value, note.time[:10]) for note in notes]
        )
    else:
        say(f"{name} has noted nothing yet.")


@group.command()
def strength(name: Name, home: Home = None, model: Model = None, as_json: AsJson = False) -> None:
    """Show how well a memory knows what it has noted, the weakest first.

    The margin says by how much (nats) a value is likelier than anything else; below 0 it is not
    known. It is recalled when somebody asks for it, and in sleep.
    """
    with clear_errors(), open_memory(name, home, model, create=False) as resident:
        found = sorted(resident.strengths(), key=lambda item: item.margin)
    if as_json:
        for item in found:
            print_json(vars(item))
    elif found:
        _print_table(
            ("key", "value", "margin", "since last recalled", "recalled", "last"),
            [
                (
                    item.key,
                    item.value,
                    f"{item.margin:.1f}",
                    "" if item.change is None else f"{item.change:+.1f}",
                    f"{item.times} times" if item.times != 1 else "once",
                    (item.last or "never")[:10],
                )
                for item in found
            ],
        )
    else:
        say(f"{name} has noted nothing yet.")


@group.command()
def sleep(name: Name, home: Home = None, model: Model = None, as_json: AsJson = False) -> None:
    """Let a memory sleep: what it was told is rehearsed into its slow level.

    Interrupted, it goes on next time; what it holds stays as it is until it is over.
    """
    with clear_errors(), open_memory(name, home, model, create=False) as resident:
        try:
            report = resident.sleep(progress=progress_line("sleeping: step"))
        except KeyboardInterrupt:
            say("\nstopped; nothing changed, and it goes on there next time", err=True)
            raise typer.Exit(130) from None
    if as_json:
        print_json(vars(report))
        return
    if not report.rehearsed:
        say(f"{name} has nothing to rehearse.")
        return
    say(
        f"{name} slept for {report.milliseconds / 1000:.1f} s and rehearsed "
        f"{count_of(report.rehearsed, 'note')} ({report.new} of them new)."
    )
    for what, (before, after) in (
        ("known", report.recall),
        ("never told and refused", report.refusal),
    ):
        say(f"  {what}: {before:.1%} before, {after:.1%} after")
    if not report.kept:
        say(f"It was taken back: {report.reason}.")


@group.command()
def log(name: Name, home: Home = None, model: Model = None, as_json: AsJson = False) -> None:
    """Show the journal of a memory: every turn, its length in tokens, and what was noted of it.

    The number of a turn is the version that it made.
    """
    from nestling.models.folder import locate, read_dialogue
    from nestling.resident.history import living
    from nestling.resident.store import MemoryFolder

    with clear_errors():
        folder = MemoryFolder(name, home)
        folder.require()
        entries = folder.journal.entries()
        dialogue = read_dialogue(locate(model))
        tokens = {entry.id: _tokens(entry, dialogue) for entry in entries}
        counted = {entry.id for entry in living(entries)}
    if as_json:
        for entry in entries:
            notes = [vars(note) for note in entry.notes]
            also = {"tokens": tokens[entry.id], "counts": entry.id in counted}
            print_json({**vars(entry), "notes": notes, **also})
    elif entries:
        _print_table(
            ("turn", "time", "tokens", "said", "noted", ""),
            [
                (
                    entry.id,
                    entry.time[:16].replace("T", " "),
                    "" if tokens[entry.id] is None else tokens[entry.id],
                    _said(entry),
                    _noted(entry),
                    "" if entry.id in counted or entry.role == "rollback" else "rolled back",
                )
                for entry in entries
            ],
        )
    else:
        say(f"{name} was told nothing yet.")


def _tokens(entry: Entry, dialogue: Dialogue) -> int | None:
    """How many a turn has; None where nothing was said, or its words were forgotten."""
    from nestling.resident.records import SPOKEN

    return len(dialogue.words(entry.text)) if entry.role in SPOKEN and entry.text else None


def _said(entry: Entry) -> str:
    if entry.role == "rollback":
        return f"(rolled back to {entry.text})"
    if entry.role in ("sleep", "forgotten"):
        return f"({entry.role})"
    said = entry.text or f"({WORDLESS})"
    return said if entry.role == "user" else f"{entry.role}: {said}"


def _noted(entry: Entry) -> str:
    return "; ".join(f"{note.key} = {note.value}" for note in entry.notes)


group.command()(forget)
group.command()(undo)


@group.command()
def verify(name: Name, home: Home = None, model: Model = None) -> None:
    """Look whether a memory is as it was written, and is what its journal says."""
    with clear_errors(), open_memory(name, home, model, create=False) as resident:
        found = resident.verify()
        if not found.replayed:
            raise ValueError(
                f"the memory '{name}' differs from what its journal gives; bring it back with "
                f"`nestling memory rebuild {name}`"
            )
    say(
        f"{name} is whole: {count_of(found.entries, 'turn')}, replayed to the bit in "
        f"{found.milliseconds:.0f} ms."
    )
    if found.snapshots < found.kept:
        say(
            f"Of {found.kept} snapshots of earlier versions, {found.kept - found.snapshots} are "
            f"damaged and not used; `nestling memory gc {name} --only-now` removes them."
        )


@group.command()
def rollback(
    name: Name,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="A turn, as `log` shows it.")],
    home: Home = None,
    model: Model = None,
) -> None:
    """Go on from an earlier version; what was told since counts no more, and stays on record."""
    with clear_errors(), open_memory(name, home, model, create=False) as resident:
        done = resident.rollback(version)
    say(
        f"{name} knows what it knew at version {version}; this is version {done.version}. "
        f"`nestling memory rollback {name} {done.from_version}` takes it back."
    )


@group.command()
def diff(
    name: Name,
    before: Annotated[int, typer.Argument(metavar="FROM", help="A version, as `log` shows it.")],
    after: Annotated[
        int | None, typer.Argument(metavar="TO", help="Another; else the present one.")
    ] = None,
    ask: Annotated[
        list[str] | None,
        typer.Option("--ask", help="A question to put to both, beside the keys that were told."),
    ] = None,
    home: Home = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed from one version to another: levels, and answers."""
    with clear_errors(), open_memory(name, home, model, create=False) as resident:
        found = resident.difference(before, after, ask or ())
    if as_json:
        print_json({**vars(found), "changed": [vars(change) for change in found.changed]})
        return
    norms = ", ".join(f"{level} {norm:.2f}" for level, norm in found.norms.items())
    say(f"From version {found.before} to {found.after} the levels moved by: {norms}.")
    if found.changed:
        _print_table(
            ("question", f"at {found.before}", f"at {found.after}"),
            [(c.question, c.before or "-", c.after or "-") for c in found.changed],
        )
    say(f"{len(found.changed)} of {found.asked} answers differ.")


@group.command()
def gc(
    name: Name,
    only_now: Annotated[
        bool, typer.Option("--only-now", help="Keep no snapshot of an earlier version.")
    ] = False,
    home: Home = None,
    model: Model = None,
) -> None:
    """Clear up what a memory does not need any more. What it was told stays."""
    with clear_errors(), open_memory(name, home, model, create=False) as resident:
        done = resident.collect(only_now=only_now)
    say(f"Freed {size(done.freed)}; kept are {count_of(done.snapshots, 'snapshot')}.")
    if done.left:
        say(f"{done.left} files could not be removed.")


@group.command("export")
def export_file(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; an export is replaced.")],
    home: Home = None,
) -> None:
    """Write a memory as one file: journal, snapshot and checksums."""
    from nestling.resident.archive import export_memory
    from nestling.resident.store import MemoryFolder

    with clear_errors():
        path = export_memory(MemoryFolder(name, home), file)
    say(f"Wrote {name} to {path} ({size(path.stat().st_size)}).")


@group.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `export` wrote.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the memory; else the one it had.")
    ] = None,
    home: Home = None,
) -> None:
    """Make a memory of an exported file."""
    from nestling.resident.archive import import_memory

    with clear_errors():
        folder = import_memory(file, name, home)
    say(f"Imported {folder.name}.")


@group.command()
def branch(
    name: Name,
    new: Annotated[str, typer.Argument(metavar="NEW", help="Name of the second memory.")],
    home: Home = None,
) -> None:
    """Make a second memory that stands where this one does."""
    from nestling.resident.archive import branch_memory
    from nestling.resident.store import MemoryFolder

    with clear_errors():
        branch_memory(MemoryFolder(name, home), new)
    say(f"{new} knows what {name} knows.")


@group.command("rm")
def remove(
    name: Name,
    home: Home = None,
    yes: Yes = False,
) -> None:
    """Remove a memory for good, with its journal."""
    from nestling.resident.store import MemoryFolder

    with clear_errors():
        folder = MemoryFolder(name, home)
        folder.require()
        if not yes:
            confirm(f"Remove all that {name} was told? It cannot be brought back.")
        folder.remove()
    say(f"Removed {name}.")


@group.command()
def rebuild(name: Name, home: Home = None, model: Model = None) -> None:
    """Learn the journal of a memory anew: after damage, or for another model."""
    with clear_errors(), open_memory(name, home, model, create=False) as resident:
        rebuilt = resident.rebuild()
    say(
        f"Rebuilt {name}: {count_of(rebuilt.entries, 'turn')}, {count_of(rebuilt.notes, 'note')}, "
        f"{rebuilt.milliseconds:.0f} ms."
    )


def size(nbytes: int) -> str:
    """Bytes for people: "1.2 MB"."""
    for unit, scale in (("MB", 1_000_000), ("kB", 1_000)):
        if nbytes >= scale:
            return f"{nbytes / scale:.1f} {unit}"
    return f"{nbytes} bytes"


def _print_table(headers: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headers, box=None)
    for row in rows:
        # Text, so that what a user said is never read as markup.
        table.add_row(*(Text(shown(str(cell))) for cell in row))
    console = Console()
    if not console.is_terminal:
        # A line is a row for whoever reads it from a pipe.
        wide = console.options.update(max_width=_WIDEST)
        console.width = max(console.width, console.measure(table, options=wide).maximum)
    with clear_errors():
        console.print(table)
