"""What is done to memories while something goes wrong: every operation of a resident."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nestling.evaluation.durability.book import Book, Line, Operation, after, counted, lines_of
from nestling.memory.consolidation import ConsolidationOptions
from nestling.models.bundle import ModelBundle
from nestling.resident import Resident, SleepOptions
from nestling.resident.archive import branch_memory, export_memory, import_memory
from nestling.resident.store import MemoryFolder
from nestling.training.told_facts import FactSource

KINDS = (
    "learn",
    "learn_all",
    "sleep",
    "forget",
    "undo",
    "rollback",
    "gc",
    "rebuild",
    "export",
    "import",
    "branch",
    "rm",
)
NAMES = ("ada", "ben", "cleo")
# A few steps, each of them kept, and never taken back for what it does to the model.
SLEEP = SleepOptions(
    base_bound=1000.0, consolidation=ConsolidationOptions(steps=3, check_every=1, sure=0.9999)
)
_LONG = 6


@dataclass(frozen=True)
class Place:
    """Where memories and exported files of a measurement lie."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def exports(self) -> Path:
        return self.root / "exports"

    def file(self, name: str) -> Path:
        return self.exports / f"{name}.nest"

    def folder(self, name: str) -> MemoryFolder:
        return MemoryFolder(name, self.home)


class Texts:
    """Turns that each hold a word which stands nowhere else."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(f"texts {seed}")
        self._source = FactSource(self._rng, values="held_out")

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """A turn and its word, again and again."""
        letters = "bdfgklmnprstvz"
        while True:
            word = "".join(
                self._rng.choice(letters) + self._rng.choice("aeiou") for _ in range(5)
            ).capitalize()
            fact = replace(self._source.facts(1)[0], value=word)
            text = self._source.telling([fact]).text
            if word in text:
                yield text, word


def draw(
    rng: random.Random, kind: str, book: Book, texts: Iterator[tuple[str, str]]
) -> Operation | None:
    """An operation of a kind; None where the book has nothing that it could be done to."""
    memories, files = book.memories, book.files
    free = [name for name in NAMES if name not in memories]
    name = rng.choice(sorted(memories)) if memories else NAMES[0]
    told = _told(memories.get(name, ()))
    match kind:
        case "learn" | "learn_all":
            count = 1 if kind == "learn" else rng.choice((2, 3))
            if free and rng.random() < 0.2:
                name = free[0]
            return Operation(kind, name, texts=tuple(next(texts)[0] for _ in range(count)))
        case "sleep" | "rebuild" | "gc":
            return Operation(kind, name) if name in memories else None
        case "forget":
            keys = [key for line in told.values() for key, _ in line.notes or ()]
            if keys and rng.random() < 0.5:
                return Operation(kind, name, item=rng.choice(keys))
            return Operation(kind, name, item=rng.choice(sorted(told))) if told else None
        case "undo":
            last = counted(memories.get(name, ())).intersection(told)
            return Operation(kind, name, item=max(last)) if last else None
        case "rollback":
            versions = len(memories.get(name, ()))
            return Operation(kind, name, item=rng.randrange(versions)) if versions else None
        case "export":
            return Operation(kind, name, other=rng.choice("xy")) if name in memories else None
        case "import":
            if not files or not free:
                return None
            return Operation(kind, rng.choice(free), other=rng.choice(sorted(files)))
        case "branch":
            return Operation(kind, name, other=rng.choice(free)) if memories and free else None
        case "rm":
            return Operation(kind, name) if memories else None
    raise ValueError(f"operations are {KINDS}, got {kind!r}")


def draw_any(rng: random.Random, book: Book, texts: Iterator[tuple[str, str]]) -> Operation:
    """An operation that can be done; what has grown long is more often removed."""
    long = [name for name, lines in book.memories.items() if len(lines) > _LONG]
    if long and rng.random() < 0.5:
        return Operation("rm", rng.choice(sorted(long)))
    while True:
        if operation := draw(rng, rng.choice(("learn", "learn", *KINDS)), book, texts):
            return operation


def draw_like(
    rng: random.Random, kind: str, book: Book, texts: Iterator[tuple[str, str]]
) -> list[Operation]:
    """Operations of which the last is of a kind, the others make it possible."""
    before: list[Operation] = []
    while (operation := draw(rng, kind, book, texts)) is None:
        if kind in ("import", "branch") and len(book.memories) == len(NAMES):
            needed = "rm"
        elif kind == "import" and book.memories:
            needed = "export"
        else:
            needed = "learn"
        made = draw(rng, needed, book, texts)
        assert made is not None
        before.append(made)
        book = after(book, made)
    return [*before, operation]


def do(operation: Operation, place: Place, bundle: ModelBundle, book: Book) -> Book:
    """Do it; returns what the book is then.

    Raises:
        ValueError, OSError: whatever the resident raises.
    """
    kind, name = operation.kind, operation.name
    new = after(book, operation)
    match kind:
        case "export":
            export_memory(place.folder(name), place.file(operation.other))
        case "import":
            import_memory(place.file(operation.other), name, place.home)
        case "branch":
            branch_memory(place.folder(name), operation.other)
        case "rm":
            place.folder(name).remove()
        case "learn" | "learn_all":
            with Resident.open(name, place.home, model=bundle) as resident:
                learned = resident.learn_all(operation.texts)
            told = [
                Line("user", item.text, tuple((note.key, note.value) for note in item.notes))
                for item in learned
            ]
            return book.with_memory(name, (*book.memories.get(name, ()), *told))
        case _:
            with Resident.open(name, place.home, model=bundle, create=False) as resident:
                if kind == "sleep":
                    report = resident.sleep(SLEEP)
                    return new if report.kept and report.rehearsed else book
                if kind == "rebuild":
                    resident.rebuild()
                elif kind == "gc":
                    resident.collect()
                elif kind == "undo":
                    resident.undo()
                elif kind == "rollback":
                    assert isinstance(operation.item, int)
                    resident.rollback(operation.item)
                else:
                    assert operation.item is not None
                    resident.forget(operation.item)
    return new


def found_in(place: Place, names: Sequence[str]) -> dict[str, tuple[Line, ...]]:
    """The journals of memories."""
    return {name: lines_of(place.folder(name).journal.entries()) for name in names}


def _told(lines: Sequence[Line]) -> Mapping[int, Line]:
    """What can be forgotten, by its number."""
    return {n: line for n, line in enumerate(lines, start=1) if line.role == "user"}
