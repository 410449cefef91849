"""Telling a resident what a user has written before: sources, turn by turn, in batches.

A run that is cut off goes on where it stopped and tells nothing twice. What was told is in the
journal; how far each source has come is in `teaching.json` beside it: a key of the source, never
a word of it or the hash of a turn. Before a batch is told, the file says which turns it holds and
after which entry they will stand. So whoever comes after a crash looks there, and knows.

A turn that was forgotten stays forgotten: it counts as told. A source that is not known (a new
one, or one that changed) is told but for the turns whose exact text the journal had before.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import Any

from nestling.memory.storage import write_file
from nestling.models.sentences import sentences
from nestling.resident.journal import JournalError
from nestling.resident.records import SPOKEN, Entry
from nestling.resident.session import Learned, Resident
from nestling.resident.store import MemoryBusy, MemoryFolder, StoreError
from nestling.resident.teaching.chats import Skip
from nestling.resident.teaching.passages import Turn
from nestling.resident.teaching.sources import Source

FILE = "teaching.json"
BATCH = 32
_FORMAT = 1
# Turns that are gone through at most before what was told of them is kept.
_MOST_HELD = 4096
_CLAUSE = re.compile(r"(?<=[,;:–—)])\s+")

Progress = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Taught:
    """What became of sources.

    `turns` were told now and gave so many `notes`; in `silent` of them there was nothing to note,
    and `lost` of the notes the memory could not learn. `before` counts turns that had been told
    before, `skipped` those that could not be told, by the reason.
    """

    turns: int
    silent: int
    notes: int
    lost: int
    before: int
    skipped: Mapping[str, int]
    seconds: float


@dataclass
class _Record:
    """How far a source has come: for every role the number of its turns that were told.

    `told` texts of the turns up to `next` were about to be told after the entry `after`.
    """

    nbytes: int
    done: dict[str, int] = field(default_factory=dict)
    again: bool = False
    next: dict[str, int] | None = None
    told: int = 0
    after: int = 0


def _quiet(reason: str) -> None:
    """Skips that were counted before, or will be."""


@dataclass(frozen=True)
class _Item:
    """A turn on its way: its place among those of its role, and the texts that are told of it."""

    record: _Record
    role: str
    place: int
    texts: tuple[str, ...]


def teach(
    resident: Resident,
    sources: Sequence[Source],
    *,
    roles: Collection[str] | None = None,
    again: bool = False,
    batch: int = BATCH,
    progress: Progress | None = None,
    told: Callable[[Learned], None] = lambda learned: None,
) -> Taught:
    """Tell a resident what sources hold, as far as it was not told before.

    Args:
        roles: whose turns are told; None for those that the resident learns from.
        again: tell everything anew, what was forgotten too.
        batch: texts that are committed together.
        progress: called with the turns gone through, all turns, and the notes made so far.
        told: called with each text once it is committed.

    Raises:
        ValueError: a source is not of its kind, the memory cannot be written, or another process is
            teaching it. What was told until then stays told.
    """
    # Says at once if the memory is closed, damaged or of another model.
    resident.state()
    folder = MemoryFolder(resident.name, resident.path.parent)
    with _alone(folder):
        roles = resident.learns_from if roles is None else frozenset(roles)
        run = _Run(resident, folder, roles, batch, progress, told)
        return run.teach({source.key or id(source): source for source in sources}.values(), again)


class _Run:
    def __init__(
        self,
        resident: Resident,
        folder: MemoryFolder,
        roles: Collection[str],
        batch: int,
        progress: Progress | None,
        told: Callable[[Learned], None],
    ) -> None:
        self.resident, self.folder, self.roles = resident, folder, roles
        self.batch, self.progress, self.told = batch, progress, told
        self.records = _read(folder)
        self.kept = b""
        self.skipped: Counter[str] = Counter()
        self.turns = self.silent = self.notes = self.lost = 0
        self.before = self.gone_through = self.all = 0

    def teach(self, sources: Collection[Source], again: bool) -> Taught:
        start = time.perf_counter()
        entries = self.resident.entries()
        there = Counter(_digest(entry.text) for entry in entries if entry.role in SPOKEN)
        records = [self._record(source, entries, again) for source in sources]
        if self.progress:
            self.all = sum(1 for source in sources for _ in self._wanted(source))
            self.progress(0, self.all, 0)
        items: list[_Item] = []
        waiting = 0
        for source, record in zip(sources, records, strict=True):
            for turn, place in self._wanted(source, self._skip):
                known = place < record.done.get(turn.role, 0)
                texts = self._texts(turn, _quiet if known else self._skip)
                left = texts if record.again else tuple(t for t in texts if not _take(there, t))
                if known:
                    self.before += 1
                    self.gone_through += 1
                    continue
                self.before += bool(texts) and not left
                items.append(_Item(record, turn.role, place, left))
                waiting += len(left)
                if waiting >= self.batch or len(items) >= _MOST_HELD:
                    self._tell(items)
                    items, waiting = [], 0
        self._tell(items)
        self._write()
        return Taught(
            self.turns,
            self.silent,
            self.notes,
            self.lost,
            self.before,
            dict(self.skipped),
            time.perf_counter() - start,
        )

    def _skip(self, reason: str) -> None:
        self.skipped[reason] += 1

    def _wanted(self, source: Source, skip: Skip = _quiet) -> Iterator[tuple[Turn, int]]:
        """The turns of the roles that are told, each with its place among those of its role."""
        places: Counter[str] = Counter()
        for turn in source.turns(skip):
            if turn.role in self.roles:
                yield turn, places[turn.role]
                places[turn.role] += 1

    # -- telling -------------------------------------------------------------------------------

    def _tell(self, items: Sequence[_Item]) -> None:
        """Commit the texts of turns; those that cannot be learned are skipped.

        A guard that refuses a write ends the run: the memory needs its user.
        """
        texts = [text for item in items for text in item.texts]
        if texts:
            for item in items:
                item.record.next = {**(item.record.next or item.record.done)}
                item.record.next[item.role] = item.place + 1
                item.record.told += len(item.texts)
            self._write([item.record for item in items])
        try:
            roles = [item.role for item in items for _ in item.texts]
            learned = self.resident.learn_all(texts, roles)
        except (StoreError, JournalError):
            raise
        except ValueError:
            for item in items:
                item.record.next, item.record.told = None, 0
            if len(items) > 1:
                for item in items:
                    self._tell([item])
                return
            learned = []
            self._skip("turns that this memory refuses")
        for item in items:
            item.record.done[item.role] = item.place + 1
            item.record.next, item.record.told = None, 0
        self._count(items, learned)
        self.gone_through += len(items)
        for some in learned:
            self.told(some)
        if self.progress:
            self.progress(self.gone_through, self.all, self.notes)

    def _count(self, items: Sequence[_Item], learned: Sequence[Learned]) -> None:
        """What became of turns whose texts were learned, one after the other."""
        rest = iter(learned)
        for item in items if learned else ():
            if of_turn := [next(rest) for _ in item.texts]:
                self.turns += 1
                self.silent += not any(some.notes for some in of_turn)
        self.notes += sum(len(some.notes) for some in learned)
        self.lost += sum(not report.held for some in learned for report in some.reports)

    def _texts(self, turn: Turn, skip: Skip) -> tuple[str, ...]:
        """A turn as texts that this model can read; the sentences that are too long are cut."""
        if self._fits(turn.text):
            return (turn.text,)
        texts: list[str] = []
        for sentence in sentences(turn.text):
            texts += [sentence] if self._fits(sentence) else self._pieces(sentence, skip)
        return tuple(texts)

    def _pieces(self, sentence: str, skip: Skip) -> Iterator[str]:
        """A sentence cut where a clause ends, or else between words."""
        held = ""
        for clause in _CLAUSE.split(sentence):
            for part in [clause] if self._fits(clause) else clause.split():
                if held and not self._fits(f"{held} {part}"):
                    yield held
                    held = ""
                held = f"{held} {part}".strip()
                if not self._fits(held):
                    skip("words that are too long")
                    held = ""
        if held:
            yield held

    def _fits(self, text: str) -> bool:
        try:
            self.resident.check_text(text)
        except ValueError:
            return False
        return True

    # -- what is kept --------------------------------------------------------------------------

    def _record(self, source: Source, entries: Sequence[Entry], again: bool) -> _Record:
        key = source.key
        known = self.records.get(key) if key else None
        if again or key is None:
            record = _Record(source.nbytes, again=again)
        elif known is None:
            record = _Record(source.nbytes, done=self._grown(source, entries))
        else:
            self._settle(known, source, entries)
            record = known
        if key is not None:
            self.records[key] = record
        return record

    def _grown(self, source: Source, entries: Sequence[Entry]) -> dict[str, int]:
        """How far a known source had come that is the beginning of this one."""
        sizes = {
            record.nbytes
            for key, record in self.records.items()
            if key.startswith(f"{source.kind} ") and record.nbytes < source.nbytes
        }
        for size, sha256 in sorted(source.beginnings(sizes).items(), reverse=True):
            record = self.records.get(f"{source.kind} {sha256}")
            if record is None or record.nbytes != size:
                continue
            self._settle(record, source, entries, first=size)
            both = zip(source.turns(first=size), source.turns(), strict=False)
            # The last turns may go on in what was added.
            same = Counter(a.role for a, _ in takewhile(lambda pair: pair[0] == pair[1], both))
            return {role: min(count, same[role]) for role, count in record.done.items()}
        return {}

    def _settle(
        self, record: _Record, source: Source, entries: Sequence[Entry], **how: Any
    ) -> None:
        """Find out whether the batch was told that was about to be when a run was cut off."""
        goal, record.next = record.next, None
        if goal is None:
            return
        texts = []
        places: Counter[str] = Counter()
        for turn in source.turns(**how):
            place = places[turn.role]
            places[turn.role] += 1
            if record.done.get(turn.role, 0) <= place < goal.get(turn.role, 0):
                texts += self._texts(turn, _quiet)
        later = [e for e in entries if e.id > record.after]
        for start in range(len(later) - record.told + 1):
            if _are_told(later[start : start + record.told], texts):
                record.done = goal
                break
        record.told = 0

    def _write(self, about_to_be_told: Sequence[_Record] = ()) -> None:
        """Keep how far every source has come. Nothing is kept of a memory that was removed."""
        with self.folder.lease():
            after = self.folder.journal.head().entry
            for record in about_to_be_told:
                record.after = after
            rows = {
                key: {name: value for name, value in asdict(record).items() if value}
                for key, record in self.records.items()
            }
            content = json.dumps({"format": _FORMAT, "sources": rows}).encode()
            if content != self.kept:
                try:
                    write_file(self.folder.path / FILE, content, private=True)
                except OSError as error:
                    raise StoreError(
                        f"{self.folder.path / FILE} cannot be written: {error.strerror}; what was "
                        "told until now stays told, and the same call goes on from there"
                    ) from error
            self.kept = content


def _are_told(entries: Sequence[Entry], texts: Sequence[str]) -> bool:
    """Whether entries tell these texts in order, some left out; a forgotten one may be any."""
    rest = iter(texts)
    return all(
        entry.role in (*SPOKEN, "forgotten") and (not entry.text or entry.text in rest)
        for entry in entries
    )


def _take(there: Counter[bytes], text: str) -> bool:
    """Whether a text is there once more; it is then taken away."""
    digest = _digest(text)
    if there[digest] <= 0:
        return False
    there[digest] -= 1
    return True


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


def _read(folder: MemoryFolder) -> dict[str, _Record]:
    path = folder.path / FILE
    try:
        found = json.loads(path.read_bytes())
        if found["format"] != _FORMAT:
            raise StoreError(f"{path} was written by another version of nestling; use that one")
        return {key: _Record(**{"nbytes": 0, **row}) for key, row in found["sources"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    except StoreError:
        raise
    except (KeyError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise StoreError(
            f"{path} is damaged, so it is not known how far the sources have come; remove it, and "
            "all but what is in the journal is told again"
        ) from error


@contextmanager
def _alone(folder: MemoryFolder) -> Iterator[None]:
    """Be the only one who teaches this memory from sources; others may write it meanwhile."""
    try:
        handle = os.open(folder.path / "teaching.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"{folder.path} cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MemoryBusy(
                f"the memory '{folder.name}' is being taught from files by another process; "
                "try again when it is done"
            ) from None
        yield
    finally:
        os.close(handle)
