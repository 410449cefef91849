"""Which turns an answer comes from: each is left out, and what the answer is then worth measured.

No text is compared with the answer: a turn matters if the memory knows the answer less surely where
it was never told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from nestling.memory.state import MemoryState
from nestling.models.bundle import ModelBundle
from nestling.models.dialogue import Note
from nestling.models.rehearsal import margins, note_lessons
from nestling.resident.history import living, without
from nestling.resident.records import Entry, History
from nestling.resident.replay import state_at
from nestling.resident.reports import Answer, Source, Why
from nestling.resident.store import MemoryFolder


def sources_of(
    bundle: ModelBundle,
    folder: MemoryFolder,
    history: History,
    state: MemoryState,
    answer: Answer,
    *,
    among: int,
    progress: Callable[[int, int], None],
) -> Why:
    """See `Resident.why`.

    Args:
        history: all of the journal.
        state: the present one, which gave the answer.
    """
    told = [entry for entry in living(history.entries) if entry.notes]
    if not answer.known:
        lost = tuple(
            Source(entry.id, entry.time, entry.text, 0.0, 0.0)
            for entry in told
            if any(note.key == answer.key for note in entry.notes)
        )
        return Why(answer, 0.0, lost, 0, len(told))
    note = Note(answer.key, answer.text)

    def margin(of: MemoryState) -> float:
        lessons = note_lessons(bundle.model, bundle.dialogue, [note])
        return float(margins(bundle.model, lessons, of, 1)[0])

    whole, sources = margin(state), []
    tried = _likely(told, answer.key)[:among]
    for done, entry in enumerate(tried):
        progress(done, len(tried))
        left = without(history.entries, {entry.id: set(range(len(entry.notes)))})
        rest = margin(
            state_at(bundle, folder, replace(history, entries=left), len(left), before=entry.id)
        )
        sources.append(Source(entry.id, entry.time, entry.text, rest, whole - rest))
    progress(len(tried), len(tried))
    sources.sort(key=lambda source: -source.weight)
    return Why(answer, whole, tuple(sources), len(tried), len(told))


def _likely(told: Sequence[Entry], key: str) -> list[Entry]:
    """Turns in the order in which it is worth to leave them out."""
    words = set(re.findall(r"\w+", key))

    def order(entry: Entry) -> tuple[bool, int, int]:
        keys = [note.key for note in entry.notes]
        shared = max(len(words.intersection(re.findall(r"\w+", other))) for other in keys)
        return key not in keys, -shared, -entry.id

    return sorted(told, key=order)
