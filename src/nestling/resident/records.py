"""What a journal is made of: entries by role, the head, what was noted and what was recalled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nestling.models.dialogue import Note

# Who may have said an entry; the others are what the memory did itself.
SPOKEN = ("user", "assistant", "system", "tool")
ROLLBACK = "rollback"
ROLES = (*SPOKEN, "sleep", ROLLBACK, "forgotten")


@dataclass(frozen=True)
class Entry:
    """A turn and the notes that were made of it, a sleep or a rollback; `time` is in ISO 8601.

    `text` is what was said, the plan of a sleep, or the version that a rollback goes on from. What
    was forgotten leaves an entry without text: of the role "forgotten", or, where other notes of
    the same turn stay, of the role of who said it.
    """

    id: int
    time: str
    role: str
    text: str
    notes: tuple[Note, ...]

    @property
    def restated(self) -> bool:
        """Whether it was read for notes: turns of the user, and of others what was learned."""
        return self.role == "user" or bool(self.notes)


@dataclass(frozen=True)
class Head:
    """Where the memory stands: the last entry (0: none) and its snapshot (None: a fresh state)."""

    entry: int = 0
    snapshot: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class History:
    """All of a journal, read at one moment.

    Args:
        model_hash: of the model that wrote the snapshots.
        entries: in order; the place of an entry, from 1, is its id.
        snapshots: those that are kept, by the version they are of.
    """

    head: Head
    model_hash: str
    entries: Sequence[Entry]
    snapshots: Mapping[int, Head]


@dataclass(frozen=True)
class Noted:
    """What the journal holds under a key: the latest value, and the entry that told it.

    `place` is that of the note among those of its entry.
    """

    key: str
    value: str
    entry: int
    time: str
    place: int = 0


@dataclass(frozen=True)
class Recalled:
    """How often something was recalled, when last, after how many entries, and with what margin.

    `kind` is "asked" or "sleep"; the margin is in nats, above 0 for what is known.
    """

    key: str
    kind: str
    times: int
    time: str
    entry: int
    margin: float


@dataclass(frozen=True)
class RecallRow:
    """One recall, as the journal keeps it."""

    time: str
    entry: int
    kind: str
    key: str
    margin: float


def goes_back(rollback: Entry) -> bool:
    """Whether the version that a rollback names was there before it."""
    to = rollback.text
    return to.isascii() and to.isdigit() and len(to) < 20 and int(to) < rollback.id


def latest_notes(entries: Sequence[Entry]) -> list[Noted]:
    """The latest value under every key of entries, in the order in which they were told."""
    latest: dict[str, Noted] = {}
    for entry in entries:
        for place, note in enumerate(entry.notes):
            latest.pop(note.key, None)
            latest[note.key] = Noted(note.key, note.value, entry.id, entry.time, place)
    return list(latest.values())
