"""What memories ought to hold, kept apart from them and by simpler means.

A book is a value: an operation gives another book, and what is found on disk after an accident must
fit the one before or the one after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nestling.resident.records import Entry

Notes = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Line:
    """An entry of a journal; of a sleep the text is left out, and notes of None fit any."""

    role: str
    text: str
    notes: Notes | None


Lines = tuple[Line, ...]


@dataclass(frozen=True)
class Operation:
    """Something done to a memory.

    Args:
        texts: what is told.
        item: what is forgotten, an entry or a key; the version that is rolled back to.
        other: the second memory of a branch or an import, the file of an export or an import.
    """

    kind: str
    name: str
    texts: tuple[str, ...] = ()
    item: int | str | None = None
    other: str = ""


@dataclass(frozen=True)
class Book:
    """The memories by name, and the exported files by name, each with its lines."""

    memories: Mapping[str, Lines] = field(default_factory=dict)
    files: Mapping[str, Lines] = field(default_factory=dict)

    def with_memory(self, name: str, lines: Lines | None) -> Book:
        return replace(self, memories=_with(self.memories, name, lines))

    def with_file(self, name: str, lines: Lines | None) -> Book:
        return replace(self, files=_with(self.files, name, lines))


def lines_of(entries: Sequence[Entry]) -> Lines:
    """A journal as a book has it."""
    return tuple(
        Line(
            entry.role,
            "" if entry.role == "sleep" else entry.text,
            tuple((note.key, note.value) for note in entry.notes),
        )
        for entry in entries
    )


def fit(expected: Lines | None, found: Lines | None) -> bool:
    """Whether a memory (None: there is none) is what a book says."""
    if expected is None or found is None:
        return expected is found
    return len(expected) == len(found) and all(
        (one.role, one.text) == (other.role, other.text)
        and (one.notes is None or one.notes == other.notes)
        for one, other in zip(expected, found, strict=True)
    )


def after(book: Book, operation: Operation) -> Book:
    """The book once an operation has taken place; of a sleep, once it was kept."""
    name, other = operation.name, operation.other
    lines = book.memories.get(name, ())
    match operation.kind:
        case "learn" | "learn_all":
            return book.with_memory(
                name, (*lines, *(Line("user", text, None) for text in operation.texts))
            )
        case "sleep":
            return book.with_memory(name, (*lines, Line("sleep", "", ())))
        case "forget" | "undo":
            assert operation.item is not None
            return book.with_memory(name, without(lines, operation.item))
        case "rollback":
            return book.with_memory(name, (*lines, Line("rollback", str(operation.item), ())))
        case "export":
            return book.with_file(other, lines)
        case "import":
            return book.with_memory(name, book.files[other])
        case "branch":
            return book.with_memory(other, lines)
        case "rm":
            return book.with_memory(name, None)
        case _:
            return book


def counted(lines: Lines) -> set[int]:
    """The numbers of the lines that count, from 1: those that no rollback went back behind."""
    numbers: set[int] = set()
    at = len(lines)
    while at:
        line = lines[at - 1]
        if line.role == "rollback":
            at = int(line.text)
        else:
            numbers.add(at)
            at -= 1
    return numbers


def without(lines: Lines, item: int | str) -> Lines:
    """Lines with an entry (by number, from 1) or a key forgotten."""
    left = []
    for number, line in enumerate(lines, start=1):
        if line.role != "user":
            left.append(line)
            continue
        notes = line.notes or ()
        if item == number:
            left.append(Line("forgotten", "", ()))
        elif any(key == item for key, _ in notes):
            kept = tuple((key, value) for key, value in notes if key != item)
            left.append(Line("user" if kept else "forgotten", "", kept))
        else:
            left.append(line)
    return tuple(left)


def _with(values: Mapping[str, Lines], name: str, lines: Lines | None) -> dict[str, Lines]:
    kept = {key: value for key, value in values.items() if key != name}
    return kept if lines is None else {**kept, name: lines}
