"""What a journal says, read as a history: which entries count at a version, and what they hold.

The id of an entry is the version of the memory that it made. A journal only grows: a rollback is an
entry, too, and names the version that the memory goes on from. Of what was forgotten an entry
without words is left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from nestling.models.dialogue import Note, owner_of
from nestling.resident.records import ROLLBACK, SPOKEN, Entry, latest_notes
from nestling.resident.sleep import Plan


def walk_back(entries: Sequence[Entry], version: int | None = None) -> Iterator[Entry]:
    """The entries that made a version, the last first, rollbacks among them.

    Args:
        entries: the whole journal.
        version: None for the last one; 0 is the memory before anything was told.
    """
    version = len(entries) if version is None else version
    while version:
        entry = entries[version - 1]
        yield entry
        version = int(entry.text) if entry.role == ROLLBACK else version - 1


def living(entries: Sequence[Entry], version: int | None = None) -> list[Entry]:
    """The entries that count at a version, in order: none that was rolled back, and no rollback."""
    counted = [entry for entry in walk_back(entries, version) if entry.role != ROLLBACK]
    return counted[::-1]


def places_of(entries: Sequence[Entry], item: int | str) -> dict[int, set[int]] | None:
    """By entry, the places of the notes of a turn or of a key; None if there is no such item."""
    spoken = [entry for entry in entries if entry.role in SPOKEN]
    if isinstance(item, int):
        found = {entry.id: set(range(len(entry.notes))) for entry in spoken if entry.id == item}
        return found or None
    found = {}
    for entry in spoken:
        said = {(_whose(note.key), note.value) for note in entry.notes if note.key == item}
        if said:
            # What was noted twice, under a narrow and a wide word, was told once.
            both = enumerate((_whose(note.key), note.value) for note in entry.notes)
            found[entry.id] = {place for place, of in both if of in said}
    return found or None


def _whose(key: str) -> str:
    """Whose fact a key names: "Ana" of "Ana's like", "my" of "my like"."""
    owner, relation = owner_of(key)
    return owner if relation else key.partition(" ")[0]


def without(entries: Sequence[Entry], gone: Mapping[int, Collection[int]]) -> list[Entry]:
    """The journal as it stands where notes were never told; no words of their turns are left.

    A sleep keeps its plan but for them. Where one of them had taken the place of an earlier value,
    that one is rehearsed instead.

    Args:
        gone: by entry, the places of its notes (see `places_of`).
    """
    lost = {(entry, place) for entry, places in gone.items() for place in places}
    keys = {(e.id, place): e.notes[place].key for e in entries for place in gone.get(e.id, ())}
    left: list[Entry] = []
    for entry in entries:
        if entry.role == "sleep":
            plan = Plan.from_json(entry.text)
            if any(rehearsed in gone for rehearsed, _ in plan.notes):
                back = {keys[place] for place in plan.notes if place in lost}
                plan = plan.without(lost)
                again = {(n.entry, n.place) for n in latest_notes(living(left)) if n.key in back}
                plan = replace(plan, notes=tuple(sorted(again.union(plan.notes))))
                entry = replace(entry, text=plan.to_json())
            left.append(entry)
        elif entry.id in gone:
            notes = tuple(n for place, n in enumerate(entry.notes) if place not in gone[entry.id])
            role = entry.role if notes else "forgotten"
            left.append(replace(entry, role=role, text="", notes=notes))
        else:
            left.append(entry)
    return left


def with_notes(entries: Sequence[Entry], notes: Mapping[int, tuple[Note, ...]]) -> list[Entry]:
    """The journal with other notes of some entries; sleeps rehearse those that are still there."""
    new = [replace(entry, notes=notes.get(entry.id, entry.notes)) for entry in entries]
    there = {(entry.id, place) for entry in new for place in range(len(entry.notes))}
    for at, entry in enumerate(new):
        if entry.role == "sleep":
            plan = Plan.from_json(entry.text)
            kept = tuple(place for place in plan.notes if place in there)
            if kept != plan.notes:
                new[at] = replace(entry, text=replace(plan, notes=kept).to_json())
    return new
