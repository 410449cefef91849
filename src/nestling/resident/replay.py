"""The state that a journal stands for: its entries, lived through again in order."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nestling.memory.state import MemoryState
from nestling.models.bundle import ModelBundle
from nestling.models.dialogue import Note
from nestling.models.restate import WriteReport, learn_notes
from nestling.resident.journal import Entry
from nestling.resident.sleep import Plan, Sleep


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


def replay(bundle: ModelBundle, entries: Sequence[Entry]) -> MemoryState:
    """Learn what was told and sleep where was slept; a sleep that this model cannot is left out."""
    state = bundle.model.new_state(1)
    waiting: list[Note] = []
    for place, entry in enumerate(entries):
        if entry.role == "user":
            waiting += entry.notes
        elif entry.role == "sleep":
            plan = Plan.from_json(entry.text)
            if any(level.name == plan.level for level in bundle.model.settings.levels):
                state, _ = write_notes(bundle, waiting, state)
                waiting = []
                state = Sleep(bundle, state, entries[:place]).run(plan)
    return write_notes(bundle, waiting, state)[0]
