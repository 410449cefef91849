"""The continuum memory: MLPs, fast first and slow last, each written at its own period (NL §3.2).

    level(x) = x + (W_down + D_down) key,
    key = rms_norm(silu((W_gate + D_gate) n) * (W_up + D_up) n),   n = rms_norm(x)

    sequential     y = level_k(... level_1(x))
    independent    y = x + sum_l a_l (level_l(x) - x), with learned a_l
    nested         one MLP for all levels, with D = D_1 + ... + D_k: the slower levels are where
                   the faster ones start from, and where they fall back to

W are shared weights, D are the deltas of one sequence (`x W + x D`): a zero delta is exactly the
static model. Keys are normalised, so that one inner rate fits every token. A delta of low rank is
`D = O (I_0 + I)` with learned I_0, held as "down_out" (O) and "down_in" (I).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nestling.memory.level import Level
from nestling.memory.state import is_shared

Deltas = Mapping[str, Tensor]
"""Of one level, by the names of `ContinuumMemory.delta_shapes`; [B, ...] each."""
Change = Tensor | tuple[Tensor, Tensor]
"""What is added to a weight [V, K]: [B, V, K], or its factors [B, V, R] and [B, R, K]."""
Variant = Literal["sequential", "nested", "independent"]


def adapted_linear(x: Tensor, weight: Tensor, changes: Sequence[Change] = ()) -> Tensor:
    """`x (W + D_1 + ...)^T` with a shared weight [V, K] and changes of each sequence; [B, T, K]."""
    y = F.linear(x, weight)
    for change in changes:
        if isinstance(change, tuple):
            y = y + _times(_times(x, change[1]), change[0])
        else:
            y = y + _times(x, change)
    return y


def _times(x: Tensor, matrix: Tensor) -> Tensor:
    """x [B, T, K] times matrices [B, V, K] of each sequence, in the precision of x."""
    if is_shared(matrix):
        return F.linear(x, matrix[0].to(x.dtype))
    return torch.matmul(x, matrix.to(x.dtype).transpose(-1, -2))


class LevelMLP(nn.Module):
    """One residual gated MLP; what is added to its projections is given at each call."""

    def __init__(self, hidden_size: int, intermediate_size: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(hidden_size, eps=eps)
        self.gate = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.up = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.key_norm = nn.RMSNorm(intermediate_size, eps=eps)
        self.down = nn.Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, x: Tensor, changes: Mapping[str, Sequence[Change]] | None = None) -> Tensor:
        """x [B, T, d] -> [B, T, d]; `changes` are those of "gate", "up" and "down"."""
        changes = changes or {}
        return x + adapted_linear(
            self.inputs(x, changes)["down"], self.down.weight, changes.get("down", ())
        )

    def inputs(
        self, x: Tensor, changes: Mapping[str, Sequence[Change]] | None = None
    ) -> dict[str, Tensor]:
        """What each projection is given for x [B, T, d], as rules that need inputs want it."""
        changes = changes or {}
        n = self.norm(x)
        gate = adapted_linear(n, self.gate.weight, changes.get("gate", ()))
        up = adapted_linear(n, self.up.weight, changes.get("up", ()))
        key = self.key_norm((F.silu(gate) * up).to(x.dtype))
        return {"gate": n, "up": n, "down": key}


class ContinuumMemory(nn.Module):
    """The levels of one block.

    Args:
        levels: fast first.
        hidden_size: d.
        intermediate_size: shared evenly among the levels; nested levels share all of it.
        variant: "sequential", "nested" or "independent".

    Raises:
        ValueError: too few units, or levels that do not nest.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        hidden_size: int,
        intermediate_size: int,
        eps: float = 1e-6,
        variant: Variant = "sequential",
    ) -> None:
        super().__init__()
        check_variant(variant, levels)
        self.variant: Variant = variant
        self.level_of = {level.name: level for level in levels}
        owners = levels[:1] if variant == "nested" else levels
        width = intermediate_size // len(owners)
        if width < 1:
            raise ValueError(
                f"an MLP of width {intermediate_size} does not split into {len(levels)} levels; "
                "make it at least as wide as there are levels"
            )
        self.levels = nn.ModuleDict(
            {level.name: LevelMLP(hidden_size, width, eps) for level in owners}
        )
        self.shares = nn.Parameter(torch.ones(len(owners))) if variant == "independent" else None
        self.bases = nn.ParameterDict()
        for level in levels:
            for part in level.written if level.has_delta and level.rank else ():
                size = getattr(self.mlp(level.name), part).in_features
                self.bases[f"{level.name}_{part}"] = nn.Parameter(torch.zeros(level.rank, size))

    def reset_parameters(self, down: float = 1.0) -> None:
        """MLPs: N(0, 1 / width of the input), `down` scaled; bases: the same; shares: 1."""
        for mlp in self.named_levels().values():
            for linear, scale in ((mlp.gate, 1.0), (mlp.up, 1.0), (mlp.down, down)):
                nn.init.normal_(linear.weight, std=scale * linear.in_features**-0.5)
        for basis in self.bases.values():
            nn.init.normal_(basis, std=basis.shape[-1] ** -0.5)
        if self.shares is not None:
            nn.init.ones_(self.shares)

    def forward(self, x: Tensor, deltas: Mapping[str, Deltas] | None = None) -> Tensor:
        """x [B, T, d] -> [B, T, d]; `deltas` maps a level's name to its deltas."""
        if self.shares is None:
            for name, mlp in self.named_levels().items():
                x = mlp(x, self.changes(name, deltas))
            return x
        y = x
        for share, (name, mlp) in zip(self.shares, self.named_levels().items(), strict=True):
            y = y + share * (mlp(x, self.changes(name, deltas)) - x)
        return y

    def layer_inputs(
        self, x: Tensor, deltas: Mapping[str, Deltas] | None = None
    ) -> dict[str, dict[str, Tensor]]:
        """What the projections of every level are given for x [B, T, d], by level and name."""
        found = {}
        for name, mlp in self.named_levels().items():
            changes = self.changes(name, deltas)
            found[name] = mlp.inputs(x, changes)
            if self.variant == "sequential":
                key, weight = found[name]["down"], mlp.down.weight
                x = x + adapted_linear(key, weight, changes.get("down", ()))
        first = next(iter(found.values()))
        return {name: found.get(name, first) for name in self.level_of}

    def changes(
        self, name: str, deltas: Mapping[str, Deltas] | None
    ) -> dict[str, tuple[Change, ...]]:
        """What is added to each projection of the MLP that is called `name`."""
        found: dict[str, tuple[Change, ...]] = {}
        for level in self.level_of if self.variant == "nested" else (name,):
            own = (deltas or {}).get(level)
            if not own:
                continue
            for part in self.level_of[level].written:
                if self.level_of[level].rank:
                    inner = self._from_basis(f"{level}_{part}", own[f"{part}_in"])
                    found[part] = (*found.get(part, ()), (own[f"{part}_out"], inner))
                elif part in own:
                    found[part] = (*found.get(part, ()), own[part])
        return found

    def _from_basis(self, name: str, inner: Tensor) -> Tensor:
        """An inner factor [B, R, K]; where all sequences share one they still do."""
        if is_shared(inner):
            return (inner[:1] + self.bases[name]).expand_as(inner)
        return inner + self.bases[name]

    def mlp(self, name: str) -> LevelMLP:
        """The MLP that a level writes."""
        owner = next(iter(self.levels)) if self.variant == "nested" else name
        return cast(LevelMLP, self.levels[owner])

    def named_levels(self) -> dict[str, LevelMLP]:
        """The MLPs by the name of their (fastest) level, fast first."""
        return {name: cast(LevelMLP, mlp) for name, mlp in self.levels.items()}

    def delta_shapes(self, name: str) -> dict[str, tuple[int, int]]:
        """Shape of each delta of one sequence; empty for a level without."""
        level, shapes = self.level_of[name], {}
        for part in level.written if level.has_delta else ():
            rows, columns = getattr(self.mlp(name), part).weight.shape
            if level.rank:
                shapes[f"{part}_out"] = (rows, level.rank)
                shapes[f"{part}_in"] = (level.rank, columns)
            else:
                shapes[part] = (rows, columns)
        return shapes


def check_variant(variant: str, levels: Sequence[Level]) -> None:
    """Refuse an unknown variant, and levels that do not nest, with a ValueError."""
    if variant not in get_args(Variant):
        raise ValueError(f"continuum is one of {get_args(Variant)}, got {variant!r}")
    if variant != "nested":
        return
    if len(levels) > 1 and not levels[0].is_written:
        raise ValueError(
            f"the first of several nested levels is written; '{levels[0].name}' is not"
        )
    for faster, level in pairwise(levels):
        grows = level.source == "sleep" or 0 < faster.period < level.period
        alike = (level.written, level.rank) == (levels[0].written, levels[0].rank)
        if not grows or not alike or not level.has_delta:
            raise ValueError(
                "nested levels share one MLP: each is written less often than the one before it "
                "(sleep last), and all write the same projections at the same rank; "
                f"'{faster.name}' and '{level.name}' do not"
            )
        if level.source not in ("sleep", levels[0].source):
            raise ValueError(
                "nested levels hand over what the fastest one is written with: "
                f"'{level.name}' has the source '{level.source}', and '{levels[0].name}' "
                f"'{levels[0].source}'"
            )
        if faster.source == "sleep":
            raise ValueError(f"'{faster.name}' is written in sleep and must be the last level")
        if level.rank:
            raise ValueError("nested levels hand over full deltas: set rank to 0")
