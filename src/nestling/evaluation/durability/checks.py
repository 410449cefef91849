"""What must hold of a home after an accident.

| violation   | what was found                                                                    |
|-------------|-----------------------------------------------------------------------------------|
| `errors`    | an exception where there should be none                                           |
| `lost`      | something acknowledged is not in the journal, or its memory or file is gone       |
| `returned`  | something forgotten or removed is back                                            |
| `half_done` | an operation that was cut off took place in part                                  |
| `differs`   | a state is not, bit for bit, what its journal gives                               |
| `words`     | a word that was forgotten stands in a file after the next writer                  |
| `leftovers` | files of operations that were cut off are there for ever                          |
| `stuck`     | a process did not come to an end                                                  |
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nestling.evaluation.durability.book import Book, Lines, Operation, after, fit, lines_of
from nestling.evaluation.durability.operations import SLEEP, Place, Texts, found_in
from nestling.memory.storage import StateFileError
from nestling.models.bundle import ModelBundle
from nestling.resident import Resident
from nestling.resident.archive import branch_memory, export_memory, import_memory
from nestling.resident.journal import JournalError
from nestling.resident.store import StoreError, list_memories

VIOLATIONS = (
    "errors",
    "lost",
    "returned",
    "half_done",
    "differs",
    "words",
    "leftovers",
    "stuck",
)
# What a call may raise: errors of nestling's own, each a sentence.
NAMED = (StoreError, JournalError, StateFileError)
_WORD = re.compile(r"\b[A-Z][a-z]{9}\b")


@dataclass
class Found:
    """What a check came to.

    Args:
        book: what the memories hold now.
        took_place: whether the operation that was cut off did; None if there was none.
        violations: kind and sentence of each.
    """

    book: Book
    took_place: bool | None = None
    violations: list[tuple[str, str]] = field(default_factory=list)

    def add(self, kind: str, sentence: str) -> None:
        assert kind in VIOLATIONS
        self.violations.append((kind, sentence))

    def counts(self) -> dict[str, int]:
        return dict(Counter(kind for kind, _ in self.violations))


def words_of(text: str) -> set[str]:
    """The words of a text that a memory is searched for once they are forgotten."""
    return set(_WORD.findall(text))


def check_content(
    place: Place, bundle: ModelBundle, book: Book, cut_off: Operation | None
) -> Found:
    """Read all memories without writing: is every one as before, or as after what was cut off?"""
    found = Found(book)
    try:
        memories: dict[str, Lines] = found_in(place, list_memories(place.home))
    except Exception as error:
        found.add("errors", f"the journals cannot be read: {error!r}")
        return found
    candidates = [book]
    if cut_off is not None:
        if cut_off.kind in ("learn", "learn_all") and cut_off.name not in book.memories:
            # It was opened, and nothing told yet.
            candidates.append(book.with_memory(cut_off.name, ()))
        candidates.append(after(book, cut_off))
    fitting = [some for some in candidates if _all_fit(some.memories, memories)]
    if not fitting:
        for name in sorted(set(book.memories) | set(memories)):
            here = memories.get(name)
            if not any(fit(some.memories.get(name), here) for some in candidates):
                found.add(*_what_is_wrong(name, candidates[-1].memories.get(name), here))
    if cut_off is not None:
        found.took_place = bool(fitting) and fitting[-1] is candidates[-1] is not book
    files = book.files
    if cut_off is not None and cut_off.kind == "export":
        files, found.took_place = _check_export(place, bundle, found, candidates, cut_off)
    found.book = Book(memories, files)
    for name in memories:
        try:
            with Resident.open(name, place.home, model=bundle, create=False) as resident:
                resident.state()
        except Exception as error:
            found.add("errors", f"{name} cannot be opened: {error!r}")
    return found


def check_state(
    place: Place, bundle: ModelBundle, found: Found, names: Collection[str], words: Collection[str]
) -> None:
    """Write: let the next writer clean up, replay the journals, search all files for words.

    Args:
        names: memories to look at.
        words: all that were ever told to any.
    """
    for name in sorted(set(names) & set(found.book.memories)):
        try:
            with Resident.open(name, place.home, model=bundle, create=False) as resident:
                if not resident.verify().replayed:
                    found.add("differs", f"{name} is not what its journal gives")
        except Exception as error:
            found.add("errors", f"{name} cannot be verified: {error!r}")
            continue
        known = _words_in(found.book.memories[name])
        gone = set(words) - known
        for path, content in _contents(place.home / name):
            for word in sorted(gone):
                if word.encode() in content:
                    found.add("words", f"{word} was forgotten and stands in {path.name} of {name}")


def check_settled(place: Place, bundle: ModelBundle, book: Book) -> Found:
    """Live on for a while, in the time that it takes for leftovers to be old: are they gone?"""
    found, texts = Found(book), iter(Texts("settled"))
    for folder in (place.home, place.exports):
        for path in folder.glob(".*"):
            os.utime(path, (0, 0))
    try:
        for name in list_memories(place.home):
            with Resident.open(name, place.home, model=bundle, create=False) as resident:
                resident.learn(next(texts)[0])
                resident.sleep(SLEEP)
            for file in "xy":
                export_memory(place.folder(name), place.file(file))
            branch_memory(place.folder(name), "again")
            place.folder("again").remove()
            with Resident.open(name, place.home, model=bundle, create=False) as resident:
                if not resident.verify().replayed:
                    found.add("differs", f"{name} is not what its journal gives")
    except Exception as error:
        found.add("errors", f"life did not go on: {error!r}")
        return found
    if not book.memories:
        return found
    for folder in (place.home, place.exports):
        for path in sorted(folder.rglob(".*")):
            found.add("leftovers", f"{path.relative_to(place.root)} is still there")
    return found


def _check_export(
    place: Place, bundle: ModelBundle, found: Found, candidates: list[Book], cut_off: Operation
) -> tuple[Mapping[str, Lines], bool]:
    """The files as they are now, and whether the export took place."""
    path, book = place.file(cut_off.other), candidates[0]
    here: Lines | None = None
    if path.exists():
        try:
            with tempfile.TemporaryDirectory() as scratch:
                here = lines_of(import_memory(path, "scratch", scratch).journal.entries())
        except Exception as error:
            found.add("errors", f"an exported file cannot be read: {error!r}")
    fitting = [some for some in candidates if fit(some.files.get(cut_off.other), here)]
    if not fitting:
        found.add("half_done", f"{path.name} holds neither what it did nor what it should")
    return book.with_file(cut_off.other, here).files, fitting == candidates[1:]


def _all_fit(expected: Mapping[str, Lines], found: Mapping[str, Lines]) -> bool:
    return set(expected) == set(found) and all(fit(expected[name], found[name]) for name in found)


def _what_is_wrong(name: str, expected: Lines | None, here: Lines | None) -> tuple[str, str]:
    said = f"{name} holds {here}, expected {expected}"
    if here is None:
        return "lost", said
    if expected is None:
        return "returned", said
    texts, wanted = ({line.text for line in lines if line.text} for lines in (here, expected))
    if wanted - texts:
        return "lost", said
    return ("returned" if texts - wanted else "half_done"), said


def _words_in(lines: Lines) -> set[str]:
    known: set[str] = set()
    for line in lines:
        known |= words_of(line.text)
        for key, value in line.notes or ():
            known |= words_of(key) | words_of(value)
    return known


def _contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()
