"""A temporary session: it knows what the memory knows, and leaves nothing unless it is kept."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from nestling.models.dialogue import Note
from nestling.resident.records import Head
from nestling.resident.replay import write_notes
from nestling.resident.reports import Answer, Learned

if TYPE_CHECKING:
    from nestling.resident.session import Resident


class Temporary:
    """A copy of a memory, in this process alone; no file and no record knows of it.

    Args:
        resident: the memory; it stays as it is until `keep` is called.
    """

    def __init__(self, resident: Resident) -> None:
        self.resident = resident
        self.state = resident.state()
        self.told: list[tuple[str, str, tuple[Note, ...]]] = []

    def hear(self, text: str) -> Learned | Answer:
        """Answer a turn that asks and learn any other, in the copy.

        Raises:
            ValueError: the text is empty or too long.
        """
        start = time.perf_counter()
        heard = self.resident.heard(text)
        spent = 1000 * (time.perf_counter() - start)
        state, reports = write_notes(self.resident.bundle, heard.notes, self.state)
        if heard.notes:
            self.resident.guard.check(self.resident.canaries, self.state, state)
        if heard.notes or not heard.asked:
            self.told.append(("user", heard.told, heard.notes))
        self.state = state
        if not heard.asked:
            return Learned(heard.told, heard.notes, tuple(reports), spent)
        *others, answer = self.resident.recalled(heard.asked, start, (Head(), state), keep=False)
        return replace(answer, others=tuple(others), noted=heard.notes)

    def notes(self) -> list[Note]:
        """What was noted here and would be kept."""
        return [note for _, _, notes in self.told for note in notes]

    def undo(self) -> None:
        """Forget the last turn that was told here.

        Raises:
            ValueError: there is none.
        """
        if not self.told:
            raise ValueError("nothing was told in this temporary session that could be undone")
        self.told.pop()
        self.follow()

    def follow(self) -> None:
        """Go on from where the memory is now, with what was told here."""
        notes = [note for _, _, notes in self.told for note in notes]
        self.state, _ = write_notes(self.resident.bundle, notes, self.resident.state())

    def keep(self) -> list[Learned]:
        """Tell the memory what was told here.

        Raises:
            ValueError: the memory cannot be written, or the write is refused; nothing is lost here.
        """
        version = self.resident.version
        try:
            learned = self.resident.learn_restated(self.told)
        finally:
            # Whatever stopped it: what stands in the journal must not be told again.
            if self._is_told_since(version):
                self.told = []
        self.follow()
        return learned

    def _is_told_since(self, version: int) -> bool:
        """Whether the journal holds all of it behind a version; others may have written, too."""
        since = [(entry.role, entry.text) for entry in self.resident.entries()[version:]]
        told = [(role, text) for role, text, _ in self.told]
        starts = range(len(since) - len(told) + 1)
        return bool(told) and any(since[at : at + len(told)] == told for at in starts)
