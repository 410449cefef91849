"""The continuum memory: a chain of MLPs, fast first and slow last, each written at its own period.

    y = level_k(... level_1(x)),   level(x) = x + (W_down + D_down) key,
    key = rms_norm(silu((W_gate + D_gate) n) * (W_up + D_up) n),   n = rms_norm(x)

W are shared weights, D are the deltas of one sequence (`x W + x D`): a zero delta is exactly the
static model. Keys are normalised, so that one inner rate fits every token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nestling.memory.level import Level
from nestling.memory.state import is_shared

Deltas = Mapping[str, Tensor]


def adapted_linear(x: Tensor, weight: Tensor, delta: Tensor | None) -> Tensor:
    """`x (W + D)^T` with shared W [V, K] and per-sequence D [B, V, K]; x is [B, T, K]."""
    y = F.linear(x, weight)
    if delta is None:
        return y
    if is_shared(delta):
        return y + F.linear(x, delta[0])
    return y + torch.matmul(x, delta.transpose(-1, -2))


class LevelMLP(nn.Module):
    """One residual gated MLP of the chain; its deltas, if any, are given at each call."""

    def __init__(self, level: Level, hidden_size: int, intermediate_size: int, eps: float) -> None:
        super().__init__()
        self.level = level
        self.norm = nn.RMSNorm(hidden_size, eps=eps)
        self.gate = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.up = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.key_norm = nn.RMSNorm(intermediate_size, eps=eps)
        self.down = nn.Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, x: Tensor, deltas: Deltas | None = None) -> Tensor:
        """x [B, T, d] -> [B, T, d]; `deltas` maps "gate", "up", "down" to [B, out, in]."""
        deltas = deltas or {}
        key = self.inputs(x, deltas)["down"]
        return x + adapted_linear(key, self.down.weight, deltas.get("down"))

    def inputs(self, x: Tensor, deltas: Deltas | None = None) -> dict[str, Tensor]:
        """What each projection is given for x [B, T, d], as rules that need inputs want it."""
        deltas = deltas or {}
        n = self.norm(x)
        gate = adapted_linear(n, self.gate.weight, deltas.get("gate"))
        up = adapted_linear(n, self.up.weight, deltas.get("up"))
        key = self.key_norm((F.silu(gate) * up).to(x.dtype))
        return {"gate": n, "up": n, "down": key}

    def delta_shapes(self) -> dict[str, tuple[int, int]]:
        """Shape of each delta of one sequence; empty for a static level."""
        if not self.level.is_written:
            return {}
        return {name: tuple(getattr(self, name).weight.shape) for name in self.level.written}


class ContinuumMemory(nn.Module):
    """The sequential chain (NL §3.2): `intermediate_size` is shared evenly among the levels."""

    def __init__(
        self, levels: Sequence[Level], hidden_size: int, intermediate_size: int, eps: float = 1e-6
    ) -> None:
        super().__init__()
        width = intermediate_size // len(levels)
        if width < 1:
            raise ValueError(
                f"an MLP of width {intermediate_size} does not split into {len(levels)} levels; "
                "make it at least as wide as there are levels"
            )
        self.levels = nn.ModuleDict(
            {level.name: LevelMLP(level, hidden_size, width, eps) for level in levels}
        )

    def forward(self, x: Tensor, deltas: Mapping[str, Deltas] | None = None) -> Tensor:
        """x [B, T, d] -> [B, T, d]; `deltas` maps a level's name to its deltas."""
        deltas = deltas or {}
        for name, mlp in self.named_levels().items():
            x = mlp(x, deltas.get(name))
        return x

    def layer_inputs(
        self, x: Tensor, deltas: Mapping[str, Deltas] | None = None
    ) -> dict[str, dict[str, Tensor]]:
        """What the projections of every level are given for x [B, T, d], by level and name."""
        deltas, found = deltas or {}, {}
        for name, mlp in self.named_levels().items():
            own = deltas.get(name) or {}
            found[name] = mlp.inputs(x, own)
            x = x + adapted_linear(found[name]["down"], mlp.down.weight, own.get("down"))
        return found

    def named_levels(self) -> dict[str, LevelMLP]:
        """The MLPs by the name of their level, fast first."""
        return {name: cast(LevelMLP, mlp) for name, mlp in self.levels.items()}
