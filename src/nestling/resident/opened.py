"""An open memory: its state, read when it is needed, and how it moves on by a write."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from nestling.memory.state import MemoryState
from nestling.models.asking import Asked, asked_of
from nestling.models.bundle import ModelBundle, load_bundle
from nestling.models.dialogue import Note, typed
from nestling.models.sentences import sentences
from nestling.resident.guard import Canaries, Guard
from nestling.resident.history import living
from nestling.resident.records import SPOKEN, Entry, Head, Noted, latest_notes
from nestling.resident.replay import read_state, write_notes
from nestling.resident.reports import Learned
from nestling.resident.store import MemoryFolder, SnapshotDamaged, StoreError

# Room that the window must leave for a restatement.
_RESTATEMENT_TOKENS = 64


class OtherModel(StoreError):
    """The memory was written with another model."""


class OpenMemory:
    """A memory that is open, any number of times and in any process.

    A call sees what every other has committed before. A call that fails changes nothing.
    """

    def __init__(
        self,
        folder: MemoryFolder,
        bundle: ModelBundle,
        *,
        learns_from: Collection[str] = ("user",),
        guard: Guard | None = None,
    ) -> None:
        if unknown := sorted(set(learns_from) - set(SPOKEN)):
            raise ValueError(f"learns_from names some of {SPOKEN}, got {unknown}")
        self.bundle = bundle
        self.learns_from, self.guard = frozenset(learns_from), guard or Guard()
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
        learns_from: Collection[str] = ("user",),
        guard: Guard | None = None,
    ) -> Self:
        """Open a memory by name.

        Whether the snapshot is whole and of this model is checked when it is first needed, so that
        `rebuild` and `notes` work on any memory.

        Args:
            name: 1 to 64 letters, digits, `_`, `-`, `.`; no dot in front.
            home: directory of all memories; None for `$NESTLING_HOME` or `~/.nestling`.
            model: from `load_bundle`; None for the model that comes with nestling.
            create: make the memory if there is none of this name.
            learns_from: whose words are learned, some of "user", "assistant", "system" and "tool";
                those of the others are only kept on record.
            guard: which writes are refused; None for the usual ones.

        Raises:
            ValueError: the name is not allowed, the home cannot be used, or no such memory.
        """
        folder = MemoryFolder(name, home)
        if not create:
            folder.require()
        bundle = model or load_bundle()
        memory = cls(folder, bundle, learns_from=learns_from, guard=guard)
        if not folder.exists():
            folder.create(bundle.model_hash)
        return memory

    def close(self) -> None:
        """Let go of the state; everything learned is on disk already."""
        self._state, self._closed = None, True

    def __enter__(self) -> Self:
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
        return self.standing.entry

    @property
    def standing(self) -> Head:
        """The last entry and the snapshot of it: another one wherever anything was changed."""
        self._folder.require()
        return self._folder.journal.head()

    def notes(self) -> list[Noted]:
        """What the journal says was noted: the latest value of every key."""
        return latest_notes(living(self.entries()))

    def entries(self) -> list[Entry]:
        """The journal: all that was said, every sleep and every rollback, in order."""
        self._folder.require()
        return self._folder.journal.entries()

    def state(self) -> MemoryState:
        """The present memory state, one sequence, its context empty."""
        with self._lock:
            return self._load()[1]

    def check_text(self, text: str, *, whole: bool = False) -> None:
        """Raise ValueError for a text that cannot be learned or (`whole`) asked."""
        self._check_open()
        if not isinstance(text, str):
            raise ValueError(f"a text is a string, got {type(text).__name__}")
        if not text.strip():
            raise ValueError("the text is empty; say something to be learned or answered")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("the text holds characters that are not valid Unicode") from None
        text = typed(text)
        allowed = max(1, self.bundle.model.settings.sliding_window - _RESTATEMENT_TOKENS)
        pieces = [text] if whole else sentences(text)
        tokens = max(len(self.bundle.dialogue.turn(piece)) for piece in pieces)
        if tokens > allowed:
            raise ValueError(
                f"a sentence is too long: it has {tokens} tokens, and this model reads at most "
                f"{allowed} at once (about {max(1, allowed * 2 // 3)} words); say it in shorter "
                "pieces"
            )

    @cached_property
    def canaries(self) -> Canaries:
        """What the guard of this memory looks at."""
        return Canaries(self.bundle)

    # -- for the layers above ------------------------------------------------------------------

    def _asked(self, questions: Sequence[str]) -> list[Asked]:
        """What is asked, with its canonical form; ValueError for a text that cannot be asked."""
        for question in questions:
            self.check_text(question, whole=True)
        return asked_of(self.bundle.model, self.bundle.dialogue, questions)

    def _commit(
        self, told: Sequence[tuple[str, str, tuple[Note, ...]]], spent: float
    ) -> list[Learned]:
        """Write notes, then the snapshot, then entries and head in one transaction.

        Args:
            told: (role, text, notes).
            spent: milliseconds that each of them has taken already.
        """
        with self._lock, self._folder.journal.held(), self._folder.lease():
            head, before = self._load()
            state, learned = before, []
            for _, text, notes in told:
                start = time.perf_counter()
                state, reports = write_notes(self.bundle, notes, state)
                milliseconds = spent + 1000 * (time.perf_counter() - start)
                learned.append(Learned(text, notes, tuple(reports), milliseconds))
            snapshot, sha256 = head.snapshot, head.sha256
            if any(notes for _, _, notes in told):
                self.guard.check(self.canaries, before, state)
                snapshot, sha256 = self._folder.write_snapshot(state, self.bundle.model_hash)
            self._folder.journal.append(told, snapshot=snapshot, sha256=sha256)
            self._state = (sha256, state)
            if snapshot != head.snapshot:
                self._folder.clear_snapshots()
        return learned

    def _load(self) -> tuple[Head, MemoryState]:
        """The head and its state; read anew if another has moved the head."""
        self._check_open()
        while True:
            self._folder.require()
            head, written_with = self._folder.journal.standing()
            self._check_model(written_with)
            if self._state is not None and self._state[0] == head.sha256:
                return head, self._state[1]
            try:
                state = read_state(self.bundle, self._folder, head)
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
