"""A resident: one user's memory, told and asked.

    text     -> restate -> notes -> written into the state -> snapshot -> journal and head
    question -> restate -> key   -> recalled from the state in an emptied context

Nothing of what was told is ever put into the context of a question: an answer comes from the
memory state or not at all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import torch

from nestling.memory.state import MemoryState
from nestling.models.bundle import ModelBundle, load_bundle
from nestling.models.dialogue import Note
from nestling.models.rehearsal import margins, note_lessons
from nestling.models.restate import Recall, WriteReport, recall, restate, sentences
from nestling.resident.journal import Entry, Head, JournalError, Noted, latest_notes
from nestling.resident.replay import replay, write_notes
from nestling.resident.sleep import (
    Plan,
    Sleep,
    SleepOptions,
    SleepReport,
    Strength,
    sleeping_level,
    strengths,
)
from nestling.resident.store import MemoryFolder, SnapshotDamaged, StoreError

UNKNOWN_ANSWER = "I don't know."
# Room that the window must leave for a restatement.
_RESTATEMENT_TOKENS = 64


class OtherModel(StoreError):
    """The memory was written with another model."""


@dataclass(frozen=True)
class Learned:
    """What became of a text: the notes made of it (none of small talk) and what each write did."""

    text: str
    notes: tuple[Note, ...]
    reports: tuple[WriteReport, ...]
    milliseconds: float


@dataclass(frozen=True)
class Answer:
    """`key` is what was taken to be asked; `text` is "I don't know." where `known` is False."""

    text: str
    logprob: float
    known: bool
    key: str
    milliseconds: float


@dataclass(frozen=True)
class Forgotten:
    """What was forgotten. `scrubbed` says that no file of the memory holds it any more."""

    entries: int
    notes: int
    scrubbed: bool
    milliseconds: float


@dataclass(frozen=True)
class Verified:
    """`replayed`: the snapshot is, bit for bit, what replaying the journal gives."""

    entries: int
    replayed: bool
    milliseconds: float


@dataclass(frozen=True)
class Rebuilt:
    """What a replay of the journal went through."""

    entries: int
    notes: int
    milliseconds: float


class Resident:
    """One user's memory; `Resident.open` gives it, any number of times and in any process.

    A call sees what every other has committed before. A call that fails changes nothing.
    """

    def __init__(self, folder: MemoryFolder, bundle: ModelBundle) -> None:
        self.bundle = bundle
        self._folder = folder
        self._lock = threading.RLock()
        self._state: tuple[str | None, MemoryState] | None = None
        self._closed = False

    @classmethod
    def open(
        cls,
        name: str,
        home: str | Path | None = None,
        *,
        model: ModelBundle | None = None,
        create: bool = True,
    ) -> Resident:
        """Open a memory by name.

        Whether the snapshot is whole and of this model is checked when it is first needed, so that
        `rebuild` and `notes` work on any memory.

        Args:
            name: 1 to 64 letters, digits, `_`, `-`, `.`; no dot in front.
            home: directory of all memories; None for `$NESTLING_HOME` or `~/.nestling`.
            model: from `load_bundle`; None for the model that comes with nestling.
            create: make the memory if there is none of this name.

        Raises:
            ValueError: the name is not allowed, the home cannot be used, or no such memory.
        """
        folder = MemoryFolder(name, home)
        if not create:
            folder.require()
        bundle = model or load_bundle()
        if not folder.exists():
            folder.create(bundle.model_hash)
        return cls(folder, bundle)

    def close(self) -> None:
        """Let go of the state; everything learned is on disk already."""
        self._state, self._closed = None, True

    def __enter__(self) -> Resident:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        return self._folder.name

    @property
    def path(self) -> Path:
        """The directory of this memory."""
        return self._folder.path

    @property
    def version(self) -> int:
        """The id of the last entry, 0 before the first."""
        self._folder.require()
        return self._folder.journal.head().entry

    def notes(self) -> list[Noted]:
        """What the journal says was noted: the latest value of every key."""
        self._folder.require()
        return self._folder.journal.notes()

    # -- learning ------------------------------------------------------------------------------

    def learn(self, text: str) -> Learned:
        """Note what a text tells and write it into the memory; small talk is only kept on record.

        Raises:
            ValueError: the text is empty or too long, or the memory cannot be written.
        """
        return self.learn_all([text])[0]

    def learn_all(self, texts: Sequence[str]) -> list[Learned]:
        """`learn` for several texts: one entry each, one snapshot in the end, all or nothing."""
        start = time.perf_counter()
        for text in texts:
            self._check_text(text)
        if not texts:
            return []
        model, dialogue = self.bundle.model, self.bundle.dialogue
        restated = restate(model, dialogue, texts, asking=False)
        share = 1000 * (time.perf_counter() - start) / len(texts)
        notes = [restatement.notes for restatement in restated]
        return self._commit(list(zip(texts, notes, strict=True)), share)

    def hear(self, text: str) -> Learned | Answer:
        """Answer a turn that asks and learn any other; the model decides which it is.

        Raises:
            ValueError: as `learn` does.
        """
        start = time.perf_counter()
        self._check_text(text)
        model, dialogue = self.bundle.model, self.bundle.dialogue
        last = restate(model, dialogue, sentences(text)[-1:])[0]
        restated = last if last.asked else restate(model, dialogue, [text], asking=False)[0]
        if restated.asked is not None:
            return self._answer([restated.asked], start, memory=True)[0]
        spent = 1000 * (time.perf_counter() - start)
        return self._commit([(text, restated.notes)], spent)[0]

    def _commit(self, told: list[tuple[str, tuple[Note, ...]]], spent: float) -> list[Learned]:
        """Write the notes, then the snapshot, then entries and head in one transaction."""
        with self._lock, self._folder.lease():
            head, state = self._load()
            learned = []
            for text, notes in told:
                start = time.perf_counter()
                state, reports = write_notes(self.bundle, notes, state)
                milliseconds = spent + 1000 * (time.perf_counter() - start)
                learned.append(Learned(text, notes, tuple(reports), milliseconds))
            snapshot, sha256 = head.snapshot, head.sha256
            if any(notes for _, notes in told):
                snapshot, sha256 = self._folder.write_snapshot(state, self.bundle.model_hash)
            self._folder.journal.append(told, snapshot=snapshot, sha256=sha256)
            self._state = (sha256, state)
            if snapshot != head.snapshot:
                self._folder.keep_snapshots(head, Head(snapshot=snapshot))
        return learned

    # -- asking --------------------------------------------------------------------------------

    def ask(self, question: str, memory: bool = True) -> Answer:
        """Answer a question from the memory alone; the context holds nothing but the question.

        Args:
            memory: False asks the model as it was before anything was told.

        Raises:
            ValueError: the question is empty or too long, or the memory cannot be read.
        """
        return self.ask_all([question], memory)[0]

    def ask_all(self, questions: Sequence[str], memory: bool = True) -> list[Answer]:
        """`ask` for several questions at once; each is answered as if it were the only one."""
        start = time.perf_counter()
        for question in questions:
            self._check_text(question, whole=True)
        restated = restate(self.bundle.model, self.bundle.dialogue, questions, asking=True)
        return self._answer([item.asked or "" for item in restated], start, memory)

    def _answer(self, keys: Sequence[str], start: float, memory: bool) -> list[Answer]:
        head, state = Head(), None
        if memory:
            with self._lock:
                head, state = self._load()
        found = recall(self.bundle.model, self.bundle.dialogue, keys, state)
        if state is not None:
            self._bring_to_front(keys, found, head, state)
        share = 1000 * (time.perf_counter() - start) / max(1, len(keys))
        return [
            Answer(
                text=item.text or UNKNOWN_ANSWER,
                logprob=item.logprob,
                known=item.known,
                key=key,
                milliseconds=share,
            )
            for key, item in zip(keys, found, strict=True)
        ]

    def _bring_to_front(
        self, keys: Sequence[str], found: Sequence[Recall], head: Head, state: MemoryState
    ) -> None:
        """Keep that something was recalled. Who may only read asks all the same."""
        known = {k: item.text for k, item in zip(keys, found, strict=True) if item.text}
        if not known:
            return
        notes = [Note(key, text) for key, text in known.items()]
        lessons = note_lessons(self.bundle.model, self.bundle.dialogue, notes)
        found_margins = margins(self.bundle.model, lessons, state, len(notes)).tolist()
        with suppress(JournalError):
            recalled = dict(zip(known, found_margins, strict=True))
            self._folder.journal.recalled("asked", recalled, head.sha256)

    def rebuild(self) -> Rebuilt:
        """Replay the journal into a new snapshot, whatever became of the old one.

        With the model that wrote the memory, the notes on record are learned again, in order, with
        every sleep between them, and give the same state. Another model first restates every text
        itself, and its notes take the place of the old ones; the texts stay.
        """
        self._check_open()
        start = time.perf_counter()
        model, dialogue, model_hash = (
            self.bundle.model,
            self.bundle.dialogue,
            self.bundle.model_hash,
        )
        with self._lock, self._folder.lease():
            journal = self._folder.journal
            head, written_with = journal.standing()
            entries = journal.entries()
            changed = []
            if written_with != model_hash:
                told = [entry for entry in entries if entry.role == "user" and entry.text]
                restated = restate(model, dialogue, [entry.text for entry in told], asking=False)
                changed = [
                    (entry.id, some.notes) for entry, some in zip(told, restated, strict=True)
                ]
                new_notes = dict(changed)
                entries = [
                    replace(entry, notes=new_notes.get(entry.id, entry.notes)) for entry in entries
                ]
            state = replay(self.bundle, entries)
            notes = sum(len(entry.notes) for entry in entries)
            snapshot, sha256 = None, None
            if notes:
                snapshot, sha256 = self._folder.write_snapshot(state, model_hash)
            new = journal.replace_snapshot(
                snapshot=snapshot, sha256=sha256, model_hash=model_hash, notes=changed
            )
            self._state = (sha256, state)
            self._folder.keep_snapshots(head, new)
        return Rebuilt(len(entries), notes, 1000 * (time.perf_counter() - start))

    # -- forgetting ----------------------------------------------------------------------------

    def forget(self, item: int | str) -> Forgotten:
        """Forget a turn, or all that was ever noted under a key, as if it had never been told.

        The journal is replayed without it: the state is then, bit for bit, that of a memory which
        was told everything else alone; where it slept, it sleeps again without it. The texts of the
        turns go from all files, and so do their snapshots; an entry without words says that
        something was forgotten. Other notes of the same turns stay.

        Args:
            item: the id of an entry (see `entries`), or a key (see `notes`).

        Raises:
            ValueError: there is no such entry or key, or the memory cannot be written.
        """
        with self._lock, self._folder.lease():
            return self._forget(item)

    def undo(self) -> Forgotten:
        """Forget the last turn.

        Raises:
            ValueError: nothing was told yet.
        """
        with self._lock, self._folder.lease():
            told = [entry.id for entry in self.entries() if entry.role == "user"]
            if not told:
                raise ValueError(f"the memory '{self.name}' was told nothing that could be undone")
            return self._forget(told[-1])

    def _forget(self, item: int | str) -> Forgotten:
        start = time.perf_counter()
        self._check_open()
        journal = self._folder.journal
        self._check_model(journal.standing()[1])
        entries = journal.entries()
        gone = _places_of(entries, item)
        if gone is None:
            what = f"turn {item}" if isinstance(item, int) else f"note under '{item}'"
            raise ValueError(
                f"the memory '{self.name}' has no {what}; `nestling memory log {self.name}` "
                "shows what there is"
            )
        left = _without(entries, gone)
        state = replay(self.bundle, left)
        snapshot, sha256 = None, None
        if any(entry.notes for entry in left):
            snapshot, sha256 = self._folder.write_snapshot(state, self.bundle.model_hash)
        changed = [new for new, old in zip(left, entries, strict=True) if new != old]
        known = {note.key for entry in left for note in entry.notes}
        journal.forget(changed, known, snapshot=snapshot, sha256=sha256)
        self._state = (sha256, state)
        # It is forgotten now. What is left in files may have to wait for the next writer.
        scrubbed = False
        with suppress(JournalError, OSError):
            scrubbed = self._folder.scrub()
        notes = sum(map(len, gone.values()))
        return Forgotten(len(gone), notes, scrubbed, 1000 * (time.perf_counter() - start))

    def verify(self) -> Verified:
        """Look whether the journal and the snapshot are whole, and the one is what the other gives.

        Raises:
            ValueError: the journal or the snapshot is damaged, or another model wrote the memory.
        """
        start = time.perf_counter()
        self._folder.require()
        with self._lock, self._folder.lease():
            self._folder.journal.check()
            self._state = None
            _, state = self._load()
            entries = self.entries()
            again = replay(self.bundle, entries)
        same = list(again) == list(state) and all(torch.equal(again[n], state[n]) for n in state)
        return Verified(len(entries), same, 1000 * (time.perf_counter() - start))

    def entries(self) -> list[Entry]:
        """The journal: every turn, sleep and forgotten turn, in order."""
        self._folder.require()
        return self._folder.journal.entries()

    # -- sleep ---------------------------------------------------------------------------------

    def sleep(
        self,
        options: SleepOptions | None = None,
        progress: Callable[[int, int], None] = lambda done, steps: None,
    ) -> SleepReport:
        """Rehearse what was told into the slow level, and empty the faster ones.

        A sleep that is interrupted changes nothing, and the next one goes on where it was. One
        that would lose what is known, or harm what the model can do, is taken back: the report
        says so.

        Args:
            progress: called with the steps done and the most there can be.

        Raises:
            ValueError: the model has no level that is written in sleep, or the memory cannot be
                written.
        """
        options = options or SleepOptions()
        sleeping_level(self.bundle)
        with self._lock, self._folder.lease():
            head, state = self._load()
            journal = self._folder.journal
            entries = journal.entries()
            last = max((entry.id for entry in entries if entry.role == "sleep"), default=0)
            key = f"{head.sha256} {self.bundle.model_hash} {options}"
            begun = self._folder.read_sleep(key)
            plan, new, report, known = Sleep(self.bundle, state, entries).decide(
                latest_notes(entries),
                journal.recalls(),
                last,
                options,
                plan=None if begun is None else Plan.from_json(begun[0]),
                resume=None if begun is None else begun[1],
                checkpoint=lambda p, v: self._folder.write_sleep(key, p.to_json(), v),
                progress=progress,
            )
            if report.kept and report.rehearsed:
                snapshot, sha256 = self._folder.write_snapshot(new, self.bundle.model_hash)
                moved = journal.append(
                    [(plan.to_json(), ())], snapshot=snapshot, sha256=sha256, role="sleep"
                )
                journal.recalled("sleep", known, sha256)
                self._state = (sha256, new)
                self._folder.keep_snapshots(head, moved)
            self._folder.end_sleep()
        return report

    def strengths(self) -> list[Strength]:
        """How well everything that was told is known now."""
        with self._lock:
            _, state = self._load()
            journal = self._folder.journal
            return strengths(self.bundle, state, journal.notes(), journal.recalls())

    # -- the state -----------------------------------------------------------------------------

    def state(self) -> MemoryState:
        """The present memory state, one sequence, its context empty."""
        with self._lock:
            return self._load()[1]

    def _load(self) -> tuple[Head, MemoryState]:
        """The head and its state; read anew if another has moved the head."""
        self._check_open()
        while True:
            self._folder.require()
            head, written_with = self._folder.journal.standing()
            self._check_model(written_with)
            if self._state is not None and self._state[0] == head.sha256:
                return head, self._state[1]
            state = self.bundle.model.new_state(1)
            if head.snapshot is not None:
                device = self.bundle.model.embedding.weight.device
                try:
                    state = self._folder.read_snapshot(
                        head, self.bundle.model_hash, device, like=state
                    )
                except SnapshotDamaged:
                    # Another process may have moved on and removed this snapshot meanwhile.
                    if self._folder.exists() and self._folder.journal.head() != head:
                        continue
                    raise
            self._state = (head.sha256, state)
            return head, state

    def _check_model(self, written_with: str) -> None:
        if written_with != self.bundle.model_hash:
            raise OtherModel(
                f"the memory '{self.name}' was written with model {written_with[:12]}, and this is "
                f"model {self.bundle.model_hash[:12]}; use that model, or let this one learn the "
                f"journal anew with `nestling memory rebuild {self.name}`"
            )

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"the memory '{self.name}' is closed; open it anew with Resident.open")

    def _check_text(self, text: str, *, whole: bool = False) -> None:
        self._check_open()
        if not text.strip():
            raise ValueError("the text is empty; say something to be learned or answered")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("the text holds characters that are not valid Unicode") from None
        allowed = max(1, self.bundle.model.settings.sliding_window - _RESTATEMENT_TOKENS)
        pieces = [text] if whole else sentences(text)
        tokens = max(len(self.bundle.dialogue.turn(piece)) for piece in pieces)
        if tokens > allowed:
            raise ValueError(
                f"a sentence is too long: it has {tokens} tokens, and this model reads at most "
                f"{allowed} at once (about {max(1, allowed * 2 // 3)} words); say it in shorter "
                "pieces"
            )


def _places_of(entries: Sequence[Entry], item: int | str) -> dict[int, set[int]] | None:
    """By entry, the places of the notes that are to be forgotten; None if there is no such item."""
    told = [entry for entry in entries if entry.role == "user"]
    if isinstance(item, int):
        found = {entry.id: set(range(len(entry.notes))) for entry in told if entry.id == item}
        return found or None
    found = {
        entry.id: {place for place, note in enumerate(entry.notes) if note.key == item}
        for entry in told
    }
    return {entry: places for entry, places in found.items() if places} or None


def _without(entries: Sequence[Entry], gone: Mapping[int, Collection[int]]) -> list[Entry]:
    """The journal as it stands where notes were never told.

    A sleep keeps its plan but for them. Where one of them had taken the place of an earlier value,
    that one is rehearsed instead.
    """
    lost = {(entry, place) for entry, places in gone.items() for place in places}
    keys = {(e.id, place): e.notes[place].key for e in entries for place in gone.get(e.id, ())}
    left: list[Entry] = []
    for entry in entries:
        if entry.role == "sleep":
            plan = Plan.from_json(entry.text)
            back = {keys[place] for place in plan.notes if place in lost}
            plan = plan.without(lost)
            again = {(n.entry, n.place) for n in latest_notes(left) if n.key in back}
            plan = replace(plan, notes=tuple(sorted(again.union(plan.notes))))
            left.append(replace(entry, text=plan.to_json()))
        elif entry.id in gone:
            notes = tuple(n for place, n in enumerate(entry.notes) if place not in gone[entry.id])
            role = "user" if notes else "forgotten"
            left.append(replace(entry, role=role, text="", notes=notes))
        else:
            left.append(entry)
    return left
