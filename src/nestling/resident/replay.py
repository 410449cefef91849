"""The state that a journal stands for: its entries, lived through again in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

from nestling.memory.state import MemoryState
from nestling.memory.storage import StateMismatch
from nestling.models.bundle import ModelBundle
from nestling.models.dialogue import Note
from nestling.models.restate import WriteReport, learn_notes
from nestling.resident.exact import one_thread
from nestling.resident.history import living, walk_back
from nestling.resident.records import ROLLBACK, Entry, Head, History
from nestling.resident.sleep import Plan, Sleep
from nestling.resident.store import MemoryFolder, SnapshotDamaged


@one_thread()
def write_notes(
    bundle: ModelBundle, notes: Sequence[Note], state: MemoryState
) -> tuple[MemoryState, list[WriteReport]]:
    """Write notes into a memory.

    Raises:
        ValueError: the memory would hold numbers that are not finite.
    """
    state, reports = learn_notes(bundle.model, bundle.dialogue, notes, state)
    for report in reports:
        if not math.isfinite(report.update_norm):
            raise ValueError(
                f"writing '{report.note}' would have filled the memory with numbers that are "
                "not finite; nothing was written"
            )
    return state, reports


def replay(
    bundle: ModelBundle,
    entries: Sequence[Entry],
    state: MemoryState | None = None,
    known: int = 0,
) -> MemoryState:
    """Learn what was told and sleep where was slept; a sleep that this model cannot is left out.

    Args:
        entries: those that count (see `history.living`).
        state: what the first `known` entries give; None for a fresh one.
    """
    state = bundle.model.new_state(1) if state is None else state
    waiting: list[Note] = []
    for place in range(known, len(entries)):
        entry = entries[place]
        waiting += entry.notes
        if entry.role == "sleep":
            plan = Plan.from_json(entry.text)
            if any(level.name == plan.level for level in bundle.model.settings.levels):
                state, _ = write_notes(bundle, waiting, state)
                waiting = []
                state = Sleep(bundle, state, entries[:place]).run(plan)
    return write_notes(bundle, waiting, state)[0]


def read_state(bundle: ModelBundle, folder: MemoryFolder, head: Head) -> MemoryState:
    """The state of a head that this model wrote, on the device of the model.

    Raises:
        SnapshotDamaged: the snapshot is missing or its content is not what was written.
        StateMismatch: another model wrote it.
    """
    fresh = bundle.model.new_state(1)
    if head.snapshot is None:
        return fresh
    device = bundle.model.embedding.weight.device
    return folder.read_snapshot(head, bundle.model_hash, device, like=fresh)


def state_at(
    bundle: ModelBundle,
    folder: MemoryFolder,
    history: History,
    version: int,
    *,
    before: int | None = None,
) -> MemoryState:
    """The state at a version: from the nearest snapshot on that is whole, the rest replayed.

    Args:
        history: of the folder, written with this model.
        before: use no snapshot of this version or a later one.
    """
    counted = living(history.entries, version)
    later = 0
    for entry in walk_back(history.entries, version):
        head = history.snapshots.get(entry.id)
        if head is not None and (before is None or entry.id < before):
            with suppress(SnapshotDamaged, StateMismatch):
                state = read_state(bundle, folder, head)
                return replay(bundle, counted, state, len(counted) - later)
        later += entry.role != ROLLBACK
    return replay(bundle, counted)
