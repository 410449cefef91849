"""The versions of a memory: go back, forget, compare, replay, verify, clear up."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches

from nestling.memory.state import MemoryState
from nestling.models.asking import recall_asked, same_person
from nestling.models.reading import readable
from nestling.models.restate import change_norms, recall, restate
from nestling.resident.history import living, places_of, with_notes, without
from nestling.resident.journal import JournalError
from nestling.resident.opened import OpenMemory
from nestling.resident.records import ROLLBACK, SPOKEN, Entry, History
from nestling.resident.replay import replay, state_at
from nestling.resident.reports import (
    Changed,
    Collected,
    Difference,
    Forgotten,
    Rebuilt,
    RolledBack,
    Verified,
)
from nestling.resident.store import SnapshotDamaged, sweep

_OTHERS = {"sleep": "is a sleep", ROLLBACK: "is a rollback", "forgotten": "was forgotten already"}


class VersionedMemory(OpenMemory):
    """A memory and its earlier versions. The id of an entry is the version that it made."""

    # -- forgetting ----------------------------------------------------------------------------

    def forget(self, *items: int | str) -> Forgotten:
        """Forget turns, or all that was ever noted under keys, as if they had never been told.

        The journal is replayed without it: the state is then, bit for bit, that of a memory which
        was told everything else alone; where it slept, it sleeps again without it. The texts of the
        turns go from all files, and so do the snapshots since; an entry without words says that
        something was forgotten. Other notes of the same turns stay, but for those that hold the
        same value for the same person: "my liked music: jazz" takes "my like: jazz" with it. Of
        several items all are forgotten, in one replay, or none.

        Args:
            items: each the id of an entry (see `entries`), or a key (see `notes`).

        Raises:
            ValueError: there is no such entry or key, or the memory cannot be written.
        """
        if not items:
            raise ValueError("nothing was named to be forgotten: a turn's number, or a note's key")
        with self._lock, self._folder.lease():
            return self._forget(items, self._history())

    def undo(self) -> Forgotten:
        """Forget the last turn that counts.

        Raises:
            ValueError: nothing was told yet.
        """
        with self._lock, self._folder.lease():
            history = self._history()
            return self._forget([self._last_told(history.entries).id], history)

    def last_told(self) -> Entry:
        """The turn that `undo` forgets, for who shows it to somebody first.

        Raises:
            ValueError: nothing was told yet, or the memory was rolled back last: who undoes then
                means that, and not what was told long before.
        """
        entries = self._history().entries
        last = self._last_told(entries)
        if entries[-1].role == ROLLBACK:
            raise ValueError(
                f"the memory '{self.name}' was rolled back last, which `nestling memory rollback "
                f"{self.name} {entries[-1].id - 1}` takes back; to forget a turn, name it: "
                f"`nestling memory forget {self.name} {last.id}`"
            )
        return last

    def _last_told(self, entries: Sequence[Entry]) -> Entry:
        told = [entry for entry in living(entries) if entry.role in SPOKEN]
        if not told:
            raise ValueError(f"the memory '{self.name}' was told nothing that could be undone")
        return told[-1]

    def would_forget(self, *items: int | str) -> list[Entry]:
        """The turns that `forget` would take, each with those of its notes that would go.

        Raises:
            ValueError: one of the items is no turn or key that could be forgotten.
        """
        entries = self._history().entries
        gone = self._places_of_all(entries, items)
        return [
            replace(entry, notes=tuple(entry.notes[place] for place in sorted(gone[entry.id])))
            for entry in entries
            if entry.id in gone
        ]

    def _places_of_all(
        self, entries: Sequence[Entry], items: Sequence[int | str]
    ) -> dict[int, set[int]]:
        gone: dict[int, set[int]] = {}
        for item in items:
            for entry, places in self._places_of(entries, item).items():
                gone.setdefault(entry, set()).update(places)
        return gone

    def _places_of(self, entries: Sequence[Entry], item: int | str) -> dict[int, set[int]]:
        if isinstance(item, bool):
            raise ValueError(f"a turn is named by its number, a note by its key; got {item}")
        gone = places_of(entries, item)
        if gone is not None:
            return gone
        if isinstance(item, int):
            what, hint = f"turn {item}", _what_else(entries, item)
        else:
            keys = {note.key for entry in entries for note in entry.notes}
            what, hint = f"note under '{item}'", _key_meant(item, keys)
        raise ValueError(
            f"the memory '{self.name}' has no {what}{hint}; `nestling memory log {self.name}` "
            "shows what there is"
        )

    def _forget(self, items: Sequence[int | str], history: History) -> Forgotten:
        start = time.perf_counter()
        entries = history.entries
        gone = self._places_of_all(entries, items)
        left = without(entries, gone)
        changed_history = replace(history, entries=left)
        state = state_at(self.bundle, self._folder, changed_history, len(left), before=min(gone))
        snapshot, sha256 = self._snapshot_of(state, living(left))
        changed = [new for new, old in zip(left, entries, strict=True) if new != old]
        known = {note.key for entry in left for note in entry.notes}
        self._folder.journal.forget(changed, known, snapshot=snapshot, sha256=sha256)
        self._state = (sha256, state)
        # It is forgotten now. What is left in files may have to wait for the next writer.
        scrubbed = False
        with suppress(JournalError, OSError):
            scrubbed = self._folder.scrub()
        notes = sum(map(len, gone.values()))
        return Forgotten(len(gone), notes, scrubbed, 1000 * (time.perf_counter() - start))

    # -- going back ----------------------------------------------------------------------------

    def rollback(self, version: int) -> RolledBack:
        """Go on from an earlier version; what was told since counts no more, and stays on record.

        A rollback is a version itself: rolling back to the one before takes it back.

        Raises:
            ValueError: there is no such version, or it is the present one.
        """
        start = time.perf_counter()
        with self._lock, self._folder.lease():
            history = self._history(version)
            head = history.head
            if version == head.entry:
                raise ValueError(f"the memory '{self.name}' is at version {version} already")
            state = state_at(self.bundle, self._folder, history, version)
            snapshot, sha256 = self._snapshot_of(state, living(history.entries, version))
            new = self._folder.journal.append(
                [(ROLLBACK, str(version), ())], snapshot=snapshot, sha256=sha256
            )
            self._state = (sha256, state)
            self._folder.clear_snapshots()
        spent = 1000 * (time.perf_counter() - start)
        return RolledBack(head.entry, version, new.entry, spent)

    def state_at(self, version: int) -> MemoryState:
        """The state at a version: one sequence, its context empty.

        Raises:
            ValueError: there is no such version.
        """
        return state_at(self.bundle, self._folder, self._history(version), version)

    def difference(
        self, before: int, after: int | None = None, questions: Sequence[str] = ()
    ) -> Difference:
        """What a memory knows and is at one version, beside another.

        Args:
            before, after: versions; None for the present one.
            questions: asked beside the keys that were told by either version.

        Raises:
            ValueError: there is no such version.
        """
        history = self._history(*(version for version in (before, after) if version is not None))
        after = history.head.entry if after is None else after
        states = [state_at(self.bundle, self._folder, history, v) for v in (before, after)]
        model, dialogue = self.bundle.model, self.bundle.dialogue
        keys = list(
            dict.fromkeys(
                note.key
                for version in (before, after)
                for entry in living(history.entries, version)
                for note in entry.notes
            )
        )
        asked = self._asked(questions)
        answers = [
            [
                *recall(model, dialogue, keys, state),
                *(found for _, found in recall_asked(model, dialogue, asked, state)),
            ]
            for state in states
        ]
        changed = tuple(
            Changed(question, old.text, new.text)
            for question, old, new in zip([*keys, *questions], *answers, strict=True)
            if old.text != new.text
        )
        norms = change_norms(*(model.writer.deltas(state) for state in states))
        return Difference(before, after, norms, changed, len(keys) + len(asked))

    def _history(self, *versions: int) -> History:
        """All of the journal, if this model and these versions belong to it."""
        self._check_open()
        self._folder.require()
        history = self._folder.journal.history()
        self._check_model(history.model_hash)
        for version in versions:
            # True would be found, and written down as a version that never was.
            if isinstance(version, bool) or not isinstance(version, int):
                raise ValueError(f"a version is a whole number, got {version!r}")
            if not 0 <= version <= history.head.entry:
                raise ValueError(
                    f"the memory '{self.name}' has no version {version}: it has 0 to "
                    f"{history.head.entry}; `nestling memory log {self.name}` shows them"
                )
        return history

    # -- upkeep --------------------------------------------------------------------------------

    def rebuild(self) -> Rebuilt:
        """Replay the journal into a new snapshot, whatever became of the old one.

        With the model that wrote the memory, the notes on record are learned again, in order, with
        every sleep between them, and give the same state. Another model first restates every text
        that is learned from, and its notes take the place of the old ones; the texts stay, and a
        sleep rehearses what is left of its notes.
        """
        self._check_open()
        start = time.perf_counter()
        model, dialogue, model_hash = (
            self.bundle.model,
            self.bundle.dialogue,
            self.bundle.model_hash,
        )
        with self._lock, self._folder.lease():
            history = self._folder.journal.history()
            entries = before = history.entries
            if history.model_hash != model_hash:
                told = [e for e in entries if e.text and (e.role in self.learns_from or e.notes)]
                restated = restate(model, dialogue, [entry.text for entry in told], asking=False)
                notes = {e.id: some.notes for e, some in zip(told, restated, strict=True)}
                entries = with_notes(entries, notes)
            counted = living(entries)
            state = replay(self.bundle, counted)
            snapshot, sha256 = self._snapshot_of(state, counted)
            self._folder.journal.replace_snapshot(
                snapshot=snapshot,
                sha256=sha256,
                model_hash=model_hash,
                changed=[new for new, old in zip(entries, before, strict=True) if new != old],
            )
            self._state = (sha256, state)
            self._folder.clear_snapshots()
        made = sum(len(entry.notes) for entry in counted)
        return Rebuilt(len(entries), made, 1000 * (time.perf_counter() - start))

    def verify(self) -> Verified:
        """Look whether the journal and the snapshots are whole, and the state what they give.

        Raises:
            ValueError: the journal or the snapshot is damaged, or another model wrote the memory.
        """
        start = time.perf_counter()
        self._folder.require()
        with self._lock, self._folder.lease(writes=False):
            self._folder.journal.check()
            self._state = None
            _, state = self._load()
            history = self._history()
            again = replay(self.bundle, living(history.entries))
            whole = 0
            for head in history.snapshots.values():
                with suppress(SnapshotDamaged):
                    self._folder.snapshot_bytes(head)
                    whole += 1
        spent = 1000 * (time.perf_counter() - start)
        kept = len(history.snapshots)
        return Verified(len(history.entries), again.equals(state), whole, kept, spent)

    def collect(self, *, only_now: bool = False) -> Collected:
        """Clear up: remove what nothing needs any more, and what a killed process left.

        Snapshots of earlier versions are kept as `journal.py` says; without them, going back and
        forgetting take longer and give the same.

        Args:
            only_now: keep the snapshot of the present version alone.
        """
        self._folder.require()
        with self._lock, self._folder.lease():
            before = self._folder.nbytes()
            if only_now:
                self._folder.journal.keep_only(self._folder.journal.head().snapshot)
            left = self._folder.clear_snapshots()
            self._folder.clear_parts()
            self._folder.journal.scrub()
            kept = len(self._folder.journal.versions())
            after = self._folder.nbytes()
        sweep(self._folder.home)
        return Collected(max(0, before - after), kept, len(left))

    def _snapshot_of(
        self, state: MemoryState, counted: Sequence[Entry]
    ) -> tuple[str, str] | tuple[None, None]:
        """Write the state that entries gave; a fresh one needs no file."""
        if not any(entry.notes for entry in counted):
            return None, None
        return self._folder.write_snapshot(state, self.bundle.model_hash)


def _what_else(entries: Sequence[Entry], number: int) -> str:
    """What has a number that is no turn's."""
    role = next((entry.role for entry in entries if entry.id == number), None)
    return "" if role is None else f", {number} {_OTHERS.get(role, 'is something else')}"


def _key_meant(said: str, keys: Collection[str]) -> str:
    """The key that somebody may have meant who named one that is not there."""
    folded = {key.casefold(): key for key in sorted(keys, reverse=True)}
    wanted = said.casefold()
    others = (readable(wanted), *same_person(readable(wanted)), f"my {wanted}")
    near = get_close_matches(wanted, folded, 1, 0.8)
    found = next((folded[word] for word in (wanted, *others, *near) if word in folded), None)
    return f"; did you mean '{found}'?" if found else ""
