"""What writing has learned (rates, options of rules, token strengths, values), and where all that a
write changes lies in a memory state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from nestling.memory.continuum import ContinuumMemory
from nestling.memory.gradients import Embed
from nestling.memory.state import is_shared
from nestling.rules import Rule

KINDS = ("delta", "rule", "gradient", "gathered")


class WrittenLevels(nn.Module):
    """The levels of one continuum memory that have deltas: learned numbers and leaves of a state.

    Letters: d hidden size, P pairs.
    """

    def __init__(
        self, memory: ContinuumMemory, hidden_size: int, embed: Embed | None = None
    ) -> None:
        """Write `memory`, of width `hidden_size`; local levels need the `embed` of the tokens."""
        super().__init__()
        # In a tuple, so that the block alone owns it.
        self._memory = (memory,)
        self._embed = embed
        levels = memory.level_of
        self.levels = {name: level for name, level in levels.items() if level.is_written}
        self._shapes = {
            name: memory.delta_shapes(name) for name, level in levels.items() if level.has_delta
        }
        self._nested = memory.variant == "nested"
        self.hidden_size = hidden_size
        self.period = min((level.period for level in self.levels.values()), default=0)
        self.strength = nn.Linear(hidden_size, 1)
        self.log_rate = nn.ParameterDict(
            {
                f"{name}_{part}": nn.Parameter(torch.zeros(()))
                for name in self.levels
                for part in self._shapes[name]
            }
        )
        self.values = nn.ModuleDict(
            {
                name: nn.Linear(hidden_size, hidden_size, bias=False)
                for name, level in self.levels.items()
                if level.is_local
            }
        )
        self.learned = nn.ParameterDict(
            {
                f"{name}_{part}_{option}": nn.Parameter(torch.zeros(()))
                for name in self.levels
                for part in self._shapes[name]
                for option in self._learned_options(name)
            }
        )
        self._rule_leaves = {
            name: {
                part: self.levels[name]
                .make_rule(1.0)
                .init_one(torch.empty(1, *shape, device="meta"))
                for part, shape in self._shapes[name].items()
            }
            for name in self.levels
        }
        self._needs_inputs = any(
            level.make_rule(1.0).needs_inputs for level in self.levels.values()
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """strength: zero (every token counts 1 at first); rates and options: those of the levels;
        values: the identity for "next_token", else N(0, 1 / hidden_size).

        A rate is relative to the width of its input, since keys are normalised per unit. The rate
        of a nested level is the share that it takes over of what the faster one has learned.
        """
        nn.init.zeros_(self.strength.weight)
        nn.init.zeros_(self.strength.bias)
        for name, values in self.values.items():
            weight = cast(nn.Linear, values).weight
            if self.levels[name].source == "next_token":
                nn.init.eye_(weight)
            else:
                nn.init.normal_(weight, std=self.hidden_size**-0.5)
        for name, level in self.levels.items():
            for part in self._shapes[name]:
                nn.init.constant_(self.log_rate[f"{name}_{part}"], math.log(max(level.rate, 1e-30)))
                for option, kind in self._learned_options(name).items():
                    start = float(getattr(level.make_rule(1.0), option))
                    raw = self.learned[f"{name}_{part}_{option}"]
                    nn.init.constant_(raw, _to_raw(start, kind))

    def _learned_options(self, name: str) -> dict[str, str]:
        """What the level's rule learns beside its rate, and how each number is bounded.

        What starts at a bound or beyond it, as a share of 0, stays as it is.
        """
        rule = self.levels[name].make_rule(1.0)
        return {
            option: kind
            for option, kind in rule.LEARNED.items()
            if option != "rate" and 0 < getattr(rule, option) < (1 if kind == "share" else math.inf)
        }

    # -- shapes of the state -------------------------------------------------------------------

    @property
    def memory(self) -> ContinuumMemory:
        """What is written."""
        return self._memory[0]

    @property
    def dtype(self) -> torch.dtype:
        """Of deltas and of all that writes them: half precision would lose small writes."""
        return torch.promote_types(self.strength.weight.dtype, torch.float32)

    def _scope(self, name: str) -> str:
        return "context" if self.memory.level_of[name].reset == "context" else "memory"

    def _gathers(self, name: str) -> bool:
        """Whether a level adds up gradients; a slower nested one takes over deltas instead."""
        return not self._is_fastest(name) and not self._nested

    @property
    def forgets(self) -> bool:
        """Whether a level is emptied together with the context."""
        return any(level.reset == "context" for level in self.levels.values())

    def _is_fastest(self, name: str) -> bool:
        return self.levels[name].period == self.period

    def state_shapes(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """Leaf -> (shape without the batch, dtype or None for the parameters' dtype)."""
        shapes: dict[str, tuple[tuple[int, ...], torch.dtype | None]] = {
            "context.last.hidden": ((self.hidden_size,), None),
            "context.last.count": ((), torch.int64),
        }
        for name, parts in self._shapes.items():
            for part, shape in parts.items():
                shapes[f"{self._scope(name)}.delta.{name}.{part}"] = (shape, self.dtype)
        if not self.levels:
            return shapes
        shapes["memory.pending.hidden"] = ((self.period, self.hidden_size), None)
        shapes["memory.pending.targets"] = ((self.period,), torch.int64)
        shapes["memory.pending.count"] = ((), torch.int64)
        for name in self.levels:
            scope = self._scope(name)
            for part, shape in self._shapes[name].items():
                for leaf, meta in self._rule_leaves[name][part].items():
                    dtype = self.dtype if meta.is_floating_point() else meta.dtype
                    shapes[f"{scope}.rule.{name}.{part}.{leaf}"] = (tuple(meta.shape[1:]), dtype)
                if self._gathers(name):
                    shapes[f"{scope}.gradient.{name}.{part}"] = (shape, self.dtype)
            if not self._is_fastest(name):
                shapes[f"{scope}.gathered.{name}"] = ((), torch.int64)
        return shapes

    def deltas(self, state: Mapping[str, Tensor] | None) -> dict[str, dict[str, Tensor]]:
        """The deltas by level and projection; empty without a state."""
        if state is None:
            return {}
        return {
            name: {part: state[f"{self._scope(name)}.delta.{name}.{part}"] for part in parts}
            for name, parts in self._shapes.items()
        }

    def leaves(
        self, name: str, state: Mapping[str, Tensor], kinds: Sequence[str] = KINDS
    ) -> list[str]:
        """Names of what a state holds of a level: deltas, its rule's memory, what it gathers."""
        prefixes = tuple(f"{self._scope(name)}.{kind}.{name}." for kind in kinds)
        return [leaf for leaf in state if f"{leaf}.".startswith(prefixes)]

    def reading(self, state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """The deltas as a pass over tokens is given them: nested levels as one sum.

        What is added is a delta of the fastest level, and has its gradient.
        """
        deltas = self.deltas(state)
        if not self._nested or len(deltas) < 2:
            return deltas
        first = next(iter(deltas))
        return {first: {part: _plus(d[part] for d in deltas.values()) for part in deltas[first]}}

    # -- learned numbers -----------------------------------------------------------------------

    def token_strength(self, hidden: Tensor) -> Tensor:
        """How strongly each pair is written, in (0, 2): [B, P, d] -> [B, P]."""
        return 2 * torch.sigmoid(self.strength(hidden).squeeze(-1))

    def rate(self, name: str, part: str) -> Tensor:
        level = self.levels[name]
        whole = self._nested and not self._is_fastest(name)
        scale = 1.0 if whole else 1.0 / self._shapes[name][part][1]
        learned = self.log_rate[f"{name}_{part}"].to(self.dtype).exp()
        return learned * scale if level.rate > 0 else learned * 0.0

    def rule(self, name: str, part: str) -> Rule:
        """The rule of a projection, with its learned rate and options."""
        learned = {
            option: _from_raw(self.learned[f"{name}_{part}_{option}"].to(self.dtype), kind)
            for option, kind in self._learned_options(name).items()
        }
        return self.levels[name].make_rule(self.rate(name, part), **learned)


def _plus(deltas: Iterable[Tensor]) -> Tensor:
    """Their sum; one and the same storage for all sequences where all of them are."""
    deltas = list(deltas)
    if all(is_shared(delta) for delta in deltas):
        return _plus(delta[:1] for delta in deltas).expand_as(deltas[0])
    total, *others = deltas
    for other in others:
        total = total + other
    return total


def _to_raw(value: float, kind: str) -> float:
    """The free number that `_from_raw` maps to `value`."""
    if kind == "positive":
        return math.log(value)
    return math.log(value / (1 - value))


def _from_raw(raw: Tensor, kind: str) -> Tensor:
    """A positive number, or a share between 0 and 1."""
    return raw.exp() if kind == "positive" else torch.sigmoid(raw)
