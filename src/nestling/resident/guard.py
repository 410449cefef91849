"""Writes that are refused: those that let a memory grow without bound, or answer anything."""

from __future__ import annotations

from dataclasses import dataclass

from nestling.memory.state import MemoryState
from nestling.models.bundle import ModelBundle
from nestling.models.rehearsal import margins, unknown_lessons
from nestling.models.restate import change_norms
from nestling.resident.store import StoreError

# Keys that hardly anybody tells.
CANARIES = (
    "my zither tuner",
    "my third passport number",
    "Zorblax's birthplace",
    "my neighbour's sextant",
    "my lighthouse",
    "Quillon's favourite comet",
    "my understudy",
    "my monocle colour",
)


class WriteRefused(StoreError):
    """A write would have harmed the memory; nothing was written."""


class Canaries:
    """What a guard looks at in the states of one model.

    The keys are read once: what is below the memory does not depend on it.
    """

    def __init__(self, bundle: ModelBundle) -> None:
        self.model = bundle.model
        self.lessons = unknown_lessons(bundle.model, bundle.dialogue, CANARIES)
        self.fresh = bundle.model.writer.deltas(bundle.model.new_state(1))

    def norms(self, state: MemoryState) -> dict[str, float]:
        """L2 norm of the delta of every level."""
        return change_norms(self.fresh, self.model.writer.deltas(state))

    def answered(self, state: MemoryState) -> float:
        """Share of the canaries that are not refused."""
        found = margins(self.model, self.lessons, state, len(CANARIES))
        return float((found < 0).float().mean())


@dataclass(frozen=True)
class Guard:
    """What a memory may become by a write.

    Args:
        norm: the largest L2 norm of the delta of a level.
        answered: the largest share of `CANARIES` that are answered. A memory that already answers
            more may be written as long as it does not get worse.
    """

    norm: float = 1000.0
    answered: float = 0.5

    def __post_init__(self) -> None:
        if not self.norm > 0:
            raise ValueError(f"norm is {self.norm}: it must be positive; 1000 is usual")
        if not 0 <= self.answered <= 1:
            raise ValueError(f"answered is {self.answered}: it is a share from 0 to 1")

    def check(self, canaries: Canaries, before: MemoryState, after: MemoryState) -> None:
        """Look at the state that a write would leave.

        Raises:
            WriteRefused: it is not allowed.
        """
        for level, norm in canaries.norms(after).items():
            if not norm <= self.norm:
                raise WriteRefused(
                    f"the level '{level}' would have grown to a norm of {norm:.4g}, more than the "
                    f"{self.norm:g} that are allowed; nothing was written. Let the memory sleep, "
                    "forget something, or allow more"
                )
        share = canaries.answered(after)
        if share > self.answered and share > canaries.answered(before):
            raise WriteRefused(
                f"the memory would have answered {share:.0%} of the keys that nobody told, more "
                f"than the {self.answered:.0%} that are allowed; nothing was written. Let the "
                "memory sleep, forget something, or allow more"
            )
