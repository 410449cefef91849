"""Pairs that wait for their write: what was known before a token, and the token.

Letters: B sequences, P pairs, C fastest period, d hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nestling.memory.state import MemoryState
from nestling.ops.packing import append_rows, left_align, slice_rows, take_rows


class PairGrid:
    """Waiting pairs followed by new ones, so that every sequence starts at chunk phase 0."""

    def __init__(self, period: int, state: MemoryState, hidden, targets, mask) -> None:
        packed, lengths, index = left_align(hidden, mask)
        count = state["memory.pending.count"]
        self.period = period
        self.hidden, self.total = append_rows(
            state["memory.pending.hidden"], count, packed, lengths
        )
        self.targets, _ = append_rows(
            state["memory.pending.targets"], count, take_rows(targets, index), lengths
        )
        self.writes_of = self.total // period
        self.writes = int(self.writes_of.max())

    def chunk(self, write: int) -> tuple[Tensor, Tensor, Tensor]:
        """hidden [B, C, d], targets [B, C], mask [B, C] of the write with this number."""
        start = torch.full_like(self.total, write * self.period)
        mask = (self.writes_of > write)[:, None].expand(-1, self.period)
        return self._slice(self.hidden, start), self._slice(self.targets, start), mask

    def pending(self) -> dict[str, Tensor]:
        """What is left after the last whole chunk, zero beyond its count."""
        start = self.writes_of * self.period
        return {
            "memory.pending.hidden": self._slice(self.hidden, start),
            "memory.pending.targets": self._slice(self.targets, start),
            "memory.pending.count": self.total - start,
        }

    def _slice(self, rows: Tensor, start: Tensor) -> Tensor:
        return slice_rows(rows, start, self.period, self.total)
