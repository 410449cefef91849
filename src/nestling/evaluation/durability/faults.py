"""Disks that fail: every operation of a resident, with every one of its calls failing in turn.

After each fault the call either succeeded or raised one of nestling's named errors, what was
acknowledged is there, the memory is as before or as after, and the next try works.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nestling.evaluation.durability.book import Book, Operation
from nestling.evaluation.durability.calls import CALLS, watched
from nestling.evaluation.durability.checks import NAMED, Found, check_content, check_state, words_of
from nestling.evaluation.durability.damage import measure_damage
from nestling.evaluation.durability.operations import KINDS, Place, Texts, do
from nestling.evaluation.finished import Finished
from nestling.evaluation.rows import Progress, Row
from nestling.models.bundle import ModelBundle, load_bundle

OPERATIONS = ("first learn", *KINDS)
_PAGE = 4096


@dataclass(frozen=True)
class Fault:
    """An errno with which some calls fail: one of them, or, where it lasts, all from there on."""

    name: str
    code: int
    calls: tuple[str, ...]
    lasts: bool = False


FAULTS = (
    Fault(
        "disk full",
        errno.ENOSPC,
        ("create", "write", "mkdir", "journal create", "journal write"),
        lasts=True,
    ),
    Fault("read-only", errno.EROFS, CALLS, lasts=True),
    Fault(
        "no permission",
        errno.EACCES,
        tuple(name for name in CALLS if name.split()[-1] not in ("write", "truncate", "sync")),
    ),
    Fault("failed write", errno.EIO, ("write", "journal write", "journal truncate")),
    Fault("failed sync", errno.EIO, ("sync",)),
    Fault("failed rename", errno.EIO, ("rename",)),
)
SMALL_DISK, READ_ONLY_DISK, SHORT_FILES = "small disk", "read-only disk", "short files"
# Bytes that are left on a disk, or that a file may have: around what a journal and a snapshot take.
_ROOM = tuple(_PAGE * pages for pages in (0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 32, 256, 512, 520))


@dataclass(frozen=True)
class Course:
    """What is measured: every so-manieth call, with which model."""

    every: int
    seed: int
    model_hash: str


@dataclass(frozen=True)
class Scene:
    """A home with one memory and one exported file, and what can be done to them."""

    place: Place
    book: Book
    operations: dict[str, Operation]
    words: frozenset[str]


def measure_faults(
    *,
    every: int = 1,
    seed: int = 0,
    tries: int = 40,
    model: Path | None = None,
    operations: Sequence[str] = OPERATIONS,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/faults.json`: by fault and operation, then by damage and file.

    Args:
        every: of the calls of an operation, every so-manieth fails in turn.
        tries: places at which a file is damaged, for each kind of damage.
        operations: some of them alone.
    """
    torch.set_num_threads(1)
    bundle = load_bundle(model)
    finished = Finished(run_file, Course(every, seed, bundle.model_hash))
    with tempfile.TemporaryDirectory() as folder:
        scene = make_scene(Path(folder), bundle, seed)
        kinds: list[tuple[str, Callable[[str], Iterator[_Try]]]] = [
            (fault.name, lambda kind, f=fault: _injected(scene, bundle, f, kind, every))
            for fault in FAULTS
        ]
        kinds += [
            (SMALL_DISK, lambda kind: _on_a_disk(scene, bundle, kind, every, read_only=False)),
            (READ_ONLY_DISK, lambda kind: _on_a_disk(scene, bundle, kind, every, read_only=True)),
            (SHORT_FILES, lambda kind: _short_files(scene, bundle, kind, every)),
        ]
        for name, tried in kinds:
            for kind in operations:
                row = finished(
                    {"fault": name, "place": kind}, lambda t=tried, k=kind: _counted(t(k))
                )
                for sentence in row.pop("sentences", "").splitlines():
                    progress(f"{name}, {kind}: {sentence}")
                progress(f"{name}, {kind}: {row['tries']} tries, {row['violations']} violations")
                if row["tries"]:
                    yield row
        yield from measure_damage(scene, bundle, tries, seed, finished, progress)


@dataclass(frozen=True)
class _Try:
    """How one try came out: success, a named error or neither, and what was found wrong."""

    success: bool
    named: bool
    found: Found


def _counted(tries: Iterator[_Try]) -> dict[str, Any]:
    count = named = successes = violations = 0
    sentences: list[str] = []
    for one in tries:
        count += 1
        named += one.named
        successes += one.success
        violations += bool(one.found.violations)
        sentences += [f"{kind}: {sentence}" for kind, sentence in one.found.violations]
    return {
        "tries": count,
        "named_errors": named,
        "successes": successes,
        "violations": violations,
        # Enough to know what is wrong; thousands would say no more.
        "sentences": "\n".join(dict.fromkeys(line[:300] for line in sentences[:20])),
    }


def make_scene(folder: Path, bundle: ModelBundle, seed: int) -> Scene:
    """A memory that was told, slept, was told and exported more."""
    place, book = Place(folder / "scene"), Book()
    place.exports.mkdir(parents=True)
    drawn = iter(Texts(f"scene {seed}"))
    texts = [next(drawn)[0] for _ in range(7)]
    name = "ada"
    for operation in (
        Operation("learn_all", name, texts=tuple(texts[:2])),
        Operation("export", name, other="x"),
        Operation("sleep", name),
        Operation("learn", name, texts=(texts[2],)),
    ):
        book = do(operation, place, bundle, book)
    operations = {
        "learn": Operation("learn", name, texts=(texts[3],)),
        "first learn": Operation("learn", "ben", texts=(texts[3],)),
        "learn_all": Operation("learn_all", name, texts=tuple(texts[4:6])),
        "sleep": Operation("sleep", name),
        "forget": Operation("forget", name, item=1),
        "undo": Operation("undo", name, item=len(book.memories[name])),
        "rollback": Operation("rollback", name, item=2),
        "gc": Operation("gc", name),
        "rebuild": Operation("rebuild", name),
        "export": Operation("export", name, other="x"),
        "import": Operation("import", "ben", other="x"),
        "branch": Operation("branch", name, other="ben"),
        "rm": Operation("rm", name),
    }
    words = frozenset().union(*map(words_of, texts))
    return Scene(place, book, operations, words)


# -- one try -----------------------------------------------------------------------------------


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _tried(
    scene: Scene,
    bundle: ModelBundle,
    kind: str,
    place: Place,
    trouble: AbstractContextManager[None],
    mend: Callable[[], None] = lambda: None,
) -> _Try:
    """Do an operation in a copy of the scene while there is trouble, then look."""
    operation, book = scene.operations[kind], scene.book
    named, unnamed, done = False, "", None
    try:
        with trouble:
            done = do(operation, place, bundle, book)
    except NAMED:
        named = True
    except Exception as error:
        unnamed = f"{type(error).__name__}: {error}"
    mend()
    success = done is not None
    found = check_content(place, bundle, done or book, None if done else operation)
    if unnamed:
        found.add("errors", f"an error without a name: {unnamed}")
    names = {operation.name, operation.other}
    check_state(place, bundle, found, names, scene.words)
    if not done and not found.took_place:
        try:
            done = do(operation, place, bundle, found.book)
        except Exception as error:
            found.add("errors", f"the next try failed: {error!r}")
        else:
            again = check_content(place, bundle, done, None)
            check_state(place, bundle, again, names, scene.words)
            found.violations += again.violations
    return _Try(success, named, found)


@contextmanager
def _copied(scene: Scene, root: Path | None = None) -> Iterator[Place]:
    """A copy of the scene; in `root`, if that is given."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place((root or Path(folder)) / "copy")
        shutil.copytree(scene.place.root, place.root)
        yield place


# -- faults that are injected ------------------------------------------------------------------


def _injected(
    scene: Scene, bundle: ModelBundle, fault: Fault, kind: str, every: int
) -> Iterator[_Try]:
    with _copied(scene) as place:
        count = 0

        def counted(name: str) -> int:
            nonlocal count
            count += name in fault.calls
            return 0

        with watched(counted):
            do(scene.operations[kind], place, bundle, scene.book)
    for nth in range(1, count + 1, every):
        with _copied(scene) as place:
            yield _tried(scene, bundle, kind, place, _failing(fault, nth))


def _failing(fault: Fault, nth: int) -> AbstractContextManager[None]:
    seen = 0

    def point(name: str) -> int:
        nonlocal seen
        if name not in fault.calls:
            return 0
        seen += 1
        return fault.code if seen == nth or (fault.lasts and seen > nth) else 0

    return watched(point)


# -- disks that are really so ------------------------------------------------------------------


def _on_a_disk(
    scene: Scene, bundle: ModelBundle, kind: str, every: int, *, read_only: bool
) -> Iterator[_Try]:
    """On a file system in memory that is full or read-only; none where it cannot be mounted."""
    for room in _ROOM[:1] if read_only else _ROOM[::every]:
        with tempfile.TemporaryDirectory() as folder, _mounted(Path(folder)) as mounted:
            if not mounted:
                return
            disk = Path(folder)
            with _copied(scene, disk) as place:
                filler = disk / "filler"
                if not read_only:
                    _fill(filler, room)
                else:
                    _mount("-o", "remount,ro", str(disk))

                def mend(disk: Path = disk, filler: Path = filler) -> None:
                    if read_only:
                        _mount("-o", "remount,rw", str(disk))
                    filler.unlink(missing_ok=True)

                yield _tried(scene, bundle, kind, place, _nothing(), mend)


@contextmanager
def _mounted(folder: Path, size: int = 64 * 2**20) -> Iterator[bool]:
    mounted = os.geteuid() == 0 and _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def _mount(*arguments: str | Path) -> bool:
    try:
        done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _fill(path: Path, room: int) -> None:
    """Fill a disk up to so many bytes."""
    free = os.statvfs(path.parent)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - room)


def _short_files(scene: Scene, bundle: ModelBundle, kind: str, every: int) -> Iterator[_Try]:
    """Where no file may grow beyond a size."""
    for size in _ROOM[::every]:
        with _copied(scene) as place:
            yield _tried(scene, bundle, kind, place, _limited(size))


@contextmanager
def _limited(size: int) -> Iterator[None]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        with suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
