"""kill -9: a process that works on memories is killed at any moment, and the next one looks.

A life is a home that goes through a row of kills. Before each, a process is forked off this one,
which has read the model already; it draws operations, says through a pipe what it begins and what
is done, and is killed by SIGKILL in the one it was aimed at:

- `moment`: anywhere in the time that the operation takes;
- `writing`: anywhere in the time from its first change of a file to its end;
- `call`: by itself, right before one of its calls that change files (see `calls`).
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import torch

from nestling.evaluation.durability.book import Book, Operation
from nestling.evaluation.durability.calls import watched
from nestling.evaluation.durability.checks import (
    VIOLATIONS,
    Found,
    check_content,
    check_settled,
    check_state,
    words_of,
)
from nestling.evaluation.durability.operations import (
    KINDS,
    Place,
    Texts,
    do,
    draw_any,
    draw_like,
)
from nestling.evaluation.finished import Finished
from nestling.evaluation.rows import Progress, Row
from nestling.models.bundle import ModelBundle, load_bundle

AIMS = ("moment", "writing", "call")
BETWEEN = "none"
_PATIENCE = 120.0
# Now and then the next writer starts without a look at its home, and is killed in turn while it
# mends what the last one left.
_UNSEEN = 0.25


@dataclass(frozen=True)
class Course:
    """What is measured: the kills of a life, what they were drawn from, and with which model."""

    kills: int
    seed: int
    model_hash: str


@dataclass
class _Usual:
    """What operations last took: seconds, seconds from the first change of a file, calls."""

    seconds: dict[str, float] = field(default_factory=dict)
    writing: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)


@dataclass
class _Death:
    """How a process ended: by a kill or not, and in the midst of what."""

    killed: bool = False
    stuck: bool = False
    cut_off: Operation | None = None
    book: Book = field(default_factory=Book)
    touched: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)


def measure_kills(
    *,
    kills: int = 1000,
    kills_of_a_life: int = 25,
    seed: int = 0,
    model: Path | None = None,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/kills.json`: by operation and aim, kills and violations of each kind."""
    # Before anything is computed: threads do not survive a fork.
    torch.set_num_threads(1)
    bundle = load_bundle(model)
    usual = _warm_up(bundle)
    lives = -(-kills // kills_of_a_life)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for number in range(lives):
        size = min(kills_of_a_life, kills - number * kills_of_a_life)
        finished = Finished(run_file, Course(size, seed, bundle.model_hash))
        life = finished({"life": number}, lambda n=number, k=size: _life(n, k, seed, bundle, usual))
        for sentence in life["sentences"]:
            progress(sentence)
        progress(f"life {number + 1} of {lives}: {life['seconds']:.0f} s")
        for one in life["kills"]:
            key = (one["operation"], one["aim"])
            row = rows.setdefault(key, _empty_row(*key))
            row["kills"] += 1
            row["took_place"] += bool(one["took_place"])
            row["seconds"] = round(row["seconds"] + one["seconds"], 2)
            for kind, count in one["violations"].items():
                row[kind] += count
    order = (*KINDS, BETWEEN)
    yield from (rows[key] for key in sorted(rows, key=lambda k: (order.index(k[0]), k[1])))


def _empty_row(operation: str, aim: str) -> dict[str, Any]:
    counts = dict.fromkeys(("kills", "took_place", *VIOLATIONS), 0)
    return {"operation": operation, "aim": aim, **counts, "seconds": 0.0}


def _warm_up(bundle: ModelBundle) -> _Usual:
    """Do every operation once, so that libraries load what they load late and it is known what
    each takes."""
    usual = _Usual()
    with tempfile.TemporaryDirectory() as root:
        place, book = _place(root), Book()
        rng, texts = random.Random(0), iter(Texts("warm up"))
        for kind in ("learn_all", "sleep", *KINDS):
            for operation in draw_like(rng, kind, book, texts):
                calls: list[float] = []

                def point(_: str, calls: list[float] = calls) -> int:
                    calls.append(time.monotonic())
                    return 0

                start = time.monotonic()
                with watched(point):
                    book = do(operation, place, bundle, book)
                end = time.monotonic()
                usual.seconds[operation.kind] = end - start
                usual.writing[operation.kind] = end - calls[0]
                usual.calls[operation.kind] = len(calls)
    return usual


def _place(root: str) -> Place:
    place = Place(Path(root))
    place.exports.mkdir()
    return place


def _life(number: int, kills: int, seed: int, bundle: ModelBundle, usual: _Usual) -> dict[str, Any]:
    """One home through its kills; a home in which something is wrong is left for a new one."""
    rng = random.Random(f"kills {seed} {number}")
    start, done, sentences = time.perf_counter(), [], []
    aims = [(operation, aim) for operation in KINDS for aim in AIMS]
    attempt = 0
    while len(done) < kills:
        with tempfile.TemporaryDirectory() as root:
            place, book = _place(root), Book()
            touched: set[str] = set()
            words: set[str] = set()
            sound = True
            while sound and len(done) < kills:
                if attempt % len(aims) == 0:
                    rng.shuffle(aims)
                begun, (operation, aim) = time.perf_counter(), aims[attempt % len(aims)]
                name = f"{seed} {number} {attempt}"
                death = _killed(place, bundle, book, name, operation, aim, usual, rng)
                attempt += 1
                touched |= death.touched
                words |= death.words
                # One that ended before its kill came is no kill, and the home lives on.
                last = death.killed and len(done) + 1 == kills
                whole = rng.random() >= _UNSEEN or last
                found = _looked(place, bundle, death, whole, touched, words)
                if last:
                    found.violations += _settled(place, bundle, found.book).violations
                book, sound = found.book, not found.violations
                if whole:
                    touched.clear()
                sentences += [f"{kind}: {sentence}" for kind, sentence in found.violations]
                if death.killed or not sound:
                    done.append(
                        {
                            "operation": BETWEEN if death.cut_off is None else death.cut_off.kind,
                            "aim": aim,
                            "took_place": found.took_place,
                            "seconds": round(time.perf_counter() - begun, 3),
                            "violations": found.counts(),
                        }
                    )
    seconds = round(time.perf_counter() - start, 1)
    return {"kills": done, "seconds": seconds, "sentences": sentences}


# -- processes ---------------------------------------------------------------------------------


def _forked(work: Callable[[Connection], None]) -> tuple[int, Connection]:
    """A child that does some work and says things through a pipe: its number, and our end."""
    receiver, sender = cast("tuple[Connection, Connection]", Pipe(duplex=False))
    if child := os.fork():
        sender.close()
        return child, receiver
    try:
        receiver.close()
        work(sender)
    except BaseException as error:
        sender.send(("error", repr(error)))
        os._exit(1)
    os._exit(0)


def _killed(
    place: Place,
    bundle: ModelBundle,
    book: Book,
    name: str,
    operation: str,
    aim: str,
    usual: _Usual,
    rng: random.Random,
) -> _Death:
    """Let a child work and kill it."""
    nth = rng.randint(1, usual.calls[operation]) if aim == "call" else 0
    share = rng.random()
    child, receiver = _forked(
        lambda sender: _work(place, bundle, book, name, operation, aim, nth, sender)
    )
    death, aimed = _Death(book=book), False
    began = first_change = 0.0
    kill_at, give_up = None, time.monotonic() + _PATIENCE
    while True:
        now = time.monotonic()
        if kill_at is not None and now >= kill_at:
            os.kill(child, signal.SIGKILL)
            kill_at = None
        if now > give_up:
            death.stuck = True
            os.kill(child, signal.SIGKILL)
        if not receiver.poll(max(0.0, (kill_at or give_up) - now)):
            continue
        try:
            message, *values = receiver.recv()
        except (EOFError, OSError):
            break
        now = time.monotonic()
        if message == "begin":
            begun, aimed = values
            death.cut_off = begun
            death.touched |= {begun.name, begun.other}
            death.words.update(*map(words_of, begun.texts))
            began = now
            if aimed and aim == "moment":
                kill_at = now + share * usual.seconds[operation]
        elif message == "writing":
            first_change = now
            kill_at = now + share * usual.writing[operation]
        elif message == "done":
            death.book, calls = values
            assert death.cut_off is not None
            kind, death.cut_off = death.cut_off.kind, None
            usual.seconds[kind] = now - began
            if aimed and aim == "writing" and first_change:
                usual.writing[kind] = now - first_change
            if aimed and calls:
                usual.calls[kind] = calls
        else:
            death.errors.append(values[0])
    receiver.close()
    _, status = os.waitpid(child, 0)
    death.killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return death


def _work(
    place: Place,
    bundle: ModelBundle,
    book: Book,
    name: str,
    kind: str,
    aim: str,
    nth: int,
    sender: Connection,
) -> None:
    """Work until killed, or for a few operations."""
    rng, texts = random.Random(f"work {name}"), iter(Texts(name))
    calls = 0

    def point(_: str) -> int:
        nonlocal calls
        calls += 1
        if aim == "writing" and calls == 1:
            sender.send(("writing",))
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def perform(operation: Operation, aimed: bool) -> Book:
        sender.send(("begin", operation, aimed))
        new = do(operation, place, bundle, book)
        sender.send(("done", new, calls))
        return new

    if rng.random() < 0.5:
        book = perform(draw_any(rng, book, texts), False)
    while len(operations := draw_like(rng, kind, book, texts)) > 1:
        book = perform(operations[0], False)
    if aim == "moment":
        book = perform(operations[0], True)
        book = perform(draw_any(rng, book, texts), False)
        return
    with watched(point):
        book = perform(operations[0], True)
        for _ in range(3):
            book = perform(draw_any(rng, book, texts), False)


def _looked(
    place: Place,
    bundle: ModelBundle,
    death: _Death,
    whole: bool,
    touched: set[str],
    words: set[str],
) -> Found:
    """What another child finds in the home, and what the first one said of errors."""

    def look(sender: Connection) -> None:
        found = check_content(place, bundle, death.book, death.cut_off)
        if whole and not found.violations:
            check_state(place, bundle, found, touched, words)
        sender.send(("found", found))

    found = _answer(look, death.book)
    found.violations += [("errors", error) for error in death.errors]
    if death.stuck:
        found.add("stuck", f"{death.cut_off} did not end")
    return found


def _settled(place: Place, bundle: ModelBundle, book: Book) -> Found:
    return _answer(lambda sender: sender.send(("found", check_settled(place, bundle, book))), book)


def _answer(work: Callable[[Connection], None], book: Book) -> Found:
    """What a child found."""
    child, receiver = _forked(work)
    found = Found(book)
    if not receiver.poll(_PATIENCE):
        os.kill(child, signal.SIGKILL)
        found.add("stuck", "a look at the home did not end")
    else:
        try:
            message, value = receiver.recv()
            if message == "found":
                found = value
            else:
                found.add("errors", value)
        except EOFError:
            found.add("errors", "a process that looked at the home died")
    receiver.close()
    os.waitpid(child, 0)
    return found
