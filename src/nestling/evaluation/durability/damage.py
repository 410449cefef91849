"""Files that were torn, overwritten or lost: is a damaged memory ever taken for a whole one?

Every reading call gives the right answer or a named error, and there is a way back: `rebuild` where
the journal is whole, a copy of the file where it is not. What a cut in the log of the journal takes
away is the one thing that cannot be seen: it looks as if the last turns had never been committed.
Such a memory is whole, and older.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nestling.evaluation.durability.book import Book, fit, lines_of
from nestling.evaluation.durability.checks import NAMED
from nestling.evaluation.durability.operations import SLEEP, Place, do
from nestling.evaluation.finished import Finished
from nestling.evaluation.rows import Progress, Row
from nestling.memory.state import MemoryState
from nestling.models.bundle import ModelBundle
from nestling.resident import Resident
from nestling.resident.archive import export_memory, import_memory
from nestling.resident.records import Entry
from nestling.resident.replay import replay
from nestling.resident.store import SLEEP as SLEEP_FILE

if TYPE_CHECKING:
    from nestling.evaluation.durability.faults import Scene

NAME, LOG = "ada", "journal.sqlite3-wal"
PLACES = ("journal", "log of the journal", "snapshot", "unfinished sleep", "lock", "archive")
Damage = Callable[[random.Random, bytes], bytes | None]


class _Stopped(Exception):
    """A sleep that is not to go on."""


def _cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(max(1, len(content)))]


def _flipped(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 8)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _zeros(rng: random.Random, content: bytes) -> bytes:
    size = rng.choice((64, 512, 4096))
    start = rng.randrange(max(1, len(content) - size + 1))
    return content[:start] + bytes(min(size, len(content) - start)) + content[start + size :]


def _other(rng: random.Random, content: bytes) -> bytes:
    return rng.randbytes(len(content))


def _emptied(rng: random.Random, content: bytes) -> bytes:
    return b""


def _deleted(rng: random.Random, content: bytes) -> None:
    return None


# With each, whether there is more than one way to do it.
DAMAGES: dict[str, tuple[Damage, bool]] = {
    "cut": (_cut, True),
    "bits flipped": (_flipped, True),
    "zeros": (_zeros, True),
    "other bytes": (_other, False),
    "emptied": (_emptied, False),
    "deleted": (_deleted, False),
}


def measure_damage(
    scene: Scene,
    bundle: ModelBundle,
    tries: int,
    seed: int,
    finished: Finished,
    progress: Progress,
) -> Iterator[Row]:
    """Rows by damage and file: tries, named errors, right answers, violations."""
    with tempfile.TemporaryDirectory() as folder:
        log = _with_log(scene, bundle, Path(folder) / "log")
        sleeping = _sleeping(scene, bundle, Path(folder) / "sleeping")
        for file in PLACES:
            home = {"log of the journal": log, "unfinished sleep": sleeping}.get(file, scene)
            for name, (damage, many) in DAMAGES.items():
                count = tries if many and file != "lock" else 1

                def measure(
                    home: Scene = home,
                    file: str = file,
                    name: str = name,
                    damage: Damage = damage,
                    count: int = count,
                ) -> dict[str, Any]:
                    rng = random.Random(f"damage {seed} {name} {file}")
                    looks = [
                        _look(home, scene.book, bundle, file, damage, rng) for _ in range(count)
                    ]
                    sentences = [line for look in looks for line in look["wrong"]]
                    return {
                        "tries": count,
                        "named_errors": sum(look["named"] and not look["wrong"] for look in looks),
                        "successes": sum(
                            not (look["named"] or look["wrong"] or look["older"]) for look in looks
                        ),
                        "older": sum(look["older"] and not look["wrong"] for look in looks),
                        "violations": sum(bool(look["wrong"]) for look in looks),
                        "sentences": "\n".join(
                            dict.fromkeys(line[:300] for line in sentences[:20])
                        ),
                    }

                row = finished({"fault": name, "place": file, "of": tries}, measure)
                row.pop("of")
                for sentence in row.pop("sentences", "").splitlines():
                    progress(f"{name}, {file}: {sentence}")
                progress(f"{name}, {file}: {row['tries']} tries, {row['violations']} violations")
                yield row


def _with_log(scene: Scene, bundle: ModelBundle, root: Path) -> Scene:
    """The scene as a process leaves it that was killed after it told one turn more."""
    work = Place(root.with_name("work"))
    shutil.copytree(scene.place.root, work.root)
    journal = work.folder(NAME).journal.path
    # Who reads meanwhile keeps the log from being written back.
    with closing(sqlite3.connect(journal, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM head").fetchall()
        book = do(scene.operations["learn"], work, bundle, scene.book)
        shutil.copytree(work.root, root)
    return replace(scene, place=Place(root), book=book)


def _sleeping(scene: Scene, bundle: ModelBundle, root: Path) -> Scene:
    """The scene in the midst of a sleep."""
    place = Place(root)
    shutil.copytree(scene.place.root, root)

    def stop(done: int, steps: int) -> None:
        if done == 2:
            raise _Stopped

    resident = Resident.open(NAME, place.home, model=bundle, create=False)
    with resident, suppress(_Stopped):
        resident.sleep(SLEEP, progress=stop)
    assert (place.home / NAME / SLEEP_FILE).is_file()
    return replace(scene, place=place)


def _file(place: Place, file: str) -> Path:
    memory = place.home / NAME
    match file:
        case "journal":
            return place.folder(NAME).journal.path
        case "log of the journal":
            return memory / LOG
        case "snapshot":
            return memory / "snapshots" / str(place.folder(NAME).journal.head().snapshot)
        case "unfinished sleep":
            return memory / SLEEP_FILE
        case "lock":
            return memory / "lock"
        case _:
            return place.file("x")


def _look(
    scene: Scene,
    older: Book,
    bundle: ModelBundle,
    file: str,
    damage: Damage,
    rng: random.Random,
) -> dict[str, Any]:
    """Damage a copy and try every call on it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder) / "copy")
        shutil.copytree(scene.place.root, place.root)
        wanted, old = scene.book, older
        known = {id(book): _state(scene.place, bundle, book) for book in (wanted, old)}
        path = _file(place, file)
        changed = damage(rng, path.read_bytes())
        if changed is None:
            path.unlink()
        else:
            path.write_bytes(changed)
        look: dict[str, Any] = {"named": False, "older": False, "wrong": []}
        if file == "archive":
            _look_at_archive(place, scene, look)
        else:
            _look_at_memory(place, bundle, wanted, old, known, look, log="log" in file)
            _mend(place, bundle, file, scene, look)
        return look


def _look_at_archive(place: Place, scene: Scene, look: dict[str, Any]) -> None:
    def imported() -> tuple[Entry, ...]:
        return tuple(import_memory(place.file("x"), "ben", place.home).journal.entries())

    entries = _called(look, "import", imported)
    if entries is not None and lines_of(entries) != scene.book.files["x"]:
        look["wrong"].append("an import gave something else")
    if entries is None and (place.home / "ben").exists():
        look["wrong"].append("an import that failed left a memory")


def _look_at_memory(
    place: Place,
    bundle: ModelBundle,
    wanted: Book,
    old: Book,
    known: dict[int, MemoryState],
    look: dict[str, Any],
    *,
    log: bool,
) -> None:
    def entries() -> list[Entry]:
        with Resident.open(NAME, place.home, model=bundle) as resident:
            return resident.entries()

    def state() -> MemoryState:
        with Resident.open(NAME, place.home, model=bundle) as resident:
            return resident.state()

    def verified() -> bool:
        with Resident.open(NAME, place.home, model=bundle, create=False) as resident:
            return resident.verify().replayed

    def exported() -> Path:
        return export_memory(place.folder(NAME), place.file("y"))

    found = _called(look, "entries", entries)
    found_state = _called(look, "state", state)
    book = wanted
    if log and found is not None and not fit(wanted.memories[NAME], lines_of(found)):
        book = old
        look["older"] = True
    if found is not None and not fit(book.memories[NAME], lines_of(found)):
        look["wrong"].append("the journal said something else")
    if found_state is not None and not found_state.equals(known[id(book)]):
        look["wrong"].append("the state was another")
    whole = _called(look, "verify", verified)
    if whole is False:
        look["named"] = True
    elif whole and found is None:
        look["wrong"].append("verify saw nothing wrong")

    def copied() -> list[Entry]:
        return import_memory(place.file("y"), "ben", place.home).journal.entries()

    if _called(look, "export", exported) is not None:
        copy = _called(look, "import", copied)
        if copy is not None and not fit(book.memories[NAME], lines_of(copy)):
            look["wrong"].append("an export said something else")


def _mend(place: Place, bundle: ModelBundle, file: str, scene: Scene, look: dict[str, Any]) -> None:
    """Whether there is a way back."""
    if file in ("snapshot", "lock", "unfinished sleep"):
        try:
            with Resident.open(NAME, place.home, model=bundle, create=False) as resident:
                resident.rebuild()
                if not resident.state().equals(_state(scene.place, bundle, scene.book)):
                    look["wrong"].append("a rebuild gave another state")
                resident.sleep(SLEEP)
                if not resident.verify().replayed:
                    look["wrong"].append("after a rebuild and a sleep, it is not what it replays")
        except Exception as error:
            look["wrong"].append(f"a rebuild failed: {error!r}")
        return
    # A copy that is put back must find the rest as it was.
    for suffix in ("", "-wal", "-shm"):
        whole = scene.place.home / NAME / f"journal.sqlite3{suffix}"
        here = place.home / NAME / whole.name
        here.unlink(missing_ok=True)
        if whole.exists():
            shutil.copy(whole, here)
    try:
        with Resident.open(NAME, place.home, model=bundle, create=False) as resident:
            if not resident.verify().replayed:
                look["wrong"].append("with a copy put back, it is not what it replays")
    except Exception as error:
        look["wrong"].append(f"a copy put back was no help: {error!r}")


def _called(look: dict[str, Any], name: str, call: Callable[[], Any]) -> Any:
    """What a call gives; None where it raised."""
    try:
        return call()
    except NAMED:
        look["named"] = True
    except Exception as error:
        look["wrong"].append(f"{name} raised {type(error).__name__}: {error}")
    return None


_STATES: dict[tuple[Path, int], MemoryState] = {}


def _state(place: Place, bundle: ModelBundle, book: Book) -> MemoryState:
    """What a memory replays to that holds what a book says, in a place that is whole."""
    lines = book.memories[NAME]
    key = (place.root, len(lines))
    if key not in _STATES:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy"
            shutil.copytree(place.root, copy)
            entries = Place(copy).folder(NAME).journal.entries()[: len(lines)]
        _STATES[key] = replay(bundle, entries)
    return _STATES[key]
