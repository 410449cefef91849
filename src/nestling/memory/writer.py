"""When and how the continuum memory is written while a model reads.

A **pair** is (what the model knew before token t, token t). Pairs wait in the state until the
fastest period is full; then the gradient of their weighted next-token loss is taken at the deltas
they were read with, the fastest level is written, and slower levels add the gradient to what they
gather for their own period (NL eq. 71). `flush` writes what still waits, so that short turns are
learned too. Nothing here looks at a token after the one it writes.

Letters: B sequences, T tokens, P pairs, C fastest period, d hidden size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nestling.memory.continuum import ContinuumMemory
from nestling.memory.gradients import (
    Embed,
    Gradients,
    PairLoss,
    closed_form,
    differentiable,
    ordinary,
    through_network,
)
from nestling.memory.pairs import PairGrid
from nestling.memory.state import MemoryState
from nestling.ops.packing import take_rows
from nestling.rules import RULES, Rule


class MemoryWriter(nn.Module):
    """Writes the levels of one continuum memory; owns the learned rates and token strengths."""

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
        """What the level's rule learns beside its rate, and how each number is bounded."""
        learned = RULES[self.levels[name].rule].LEARNED
        return {option: kind for option, kind in learned.items() if option != "rate"}

    # -- shapes of the state -------------------------------------------------------------------

    @property
    def memory(self) -> ContinuumMemory:
        """What is written."""
        return self._memory[0]

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
                shapes[f"{self._scope(name)}.delta.{name}.{part}"] = (shape, None)
        if not self.levels:
            return shapes
        shapes["memory.pending.hidden"] = ((self.period, self.hidden_size), None)
        shapes["memory.pending.targets"] = ((self.period,), torch.int64)
        shapes["memory.pending.count"] = ((), torch.int64)
        for name in self.levels:
            scope = self._scope(name)
            for part, shape in self._shapes[name].items():
                for leaf, meta in self._rule_leaves[name][part].items():
                    dtype = None if meta.is_floating_point() else meta.dtype
                    shapes[f"{scope}.rule.{name}.{part}.{leaf}"] = (tuple(meta.shape[1:]), dtype)
                if self._gathers(name):
                    shapes[f"{scope}.gradient.{name}.{part}"] = (shape, None)
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

    # -- one write -----------------------------------------------------------------------------

    def token_strength(self, hidden: Tensor) -> Tensor:
        """How strongly each pair is written, in (0, 2): [B, P, d] -> [B, P]."""
        return 2 * torch.sigmoid(self.strength(hidden).squeeze(-1))

    def rate(self, name: str, part: str) -> Tensor:
        level = self.levels[name]
        whole = self._nested and not self._is_fastest(name)
        scale = 1.0 if whole else 1.0 / self._shapes[name][part][1]
        learned = self.log_rate[f"{name}_{part}"].exp()
        return learned * scale if level.rate > 0 else learned * 0.0

    def rule(self, name: str, part: str) -> Rule:
        """The rule of a projection, with its learned rate and options."""
        learned = {
            option: _from_raw(self.learned[f"{name}_{part}_{option}"], kind)
            for option, kind in self._learned_options(name).items()
        }
        return self.levels[name].make_rule(self.rate(name, part), **learned)

    def _gradients(
        self, state: Mapping[str, Tensor], pair_loss: PairLoss, hidden, targets, mask
    ) -> tuple[Gradients, Gradients]:
        """Gradient of what every level is written with at the present deltas, per sequence.

        With it the inputs of the written layers [B, P, in], scaled so that their products are
        weighted like the losses; empty if no rule asks for them.
        """
        create_graph = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad():
            if not create_graph:
                hidden = hidden.detach()
            hidden, targets, mask = (ordinary(part) for part in (hidden, targets, mask))
            # What padding holds need not be a token.
            targets = targets.masked_fill(~mask, 0)
            deltas = {
                name: {part: differentiable(delta) for part, delta in parts.items()}
                for name, parts in self.deltas(state).items()
            }
            weight = self.token_strength(hidden) * mask
            own = [name for name in self.levels if self._is_fastest(name) or self._gathers(name)]
            network = [name for name in own if not self.levels[name].is_local]
            gradients: Gradients = {}
            if network:
                losses = pair_loss(hidden, targets, deltas)
                gradients = through_network(
                    network, deltas, losses, weight, create_graph=create_graph
                )
            if len(network) == len(own) and not self._needs_inputs:
                return gradients, {}
            rows = self.memory.layer_inputs(hidden, deltas)
            for name in own:
                if name not in gradients:
                    gradients[name] = closed_form(
                        self.levels[name],
                        rows[name]["down"],
                        self._values(name, hidden, targets),
                        weight,
                        self.memory.changes(name, {name: deltas[name]})["down"],
                    )
                    if not create_graph:
                        gradients[name] = {n: g.detach() for n, g in gradients[name].items()}
            if not self._needs_inputs:
                return gradients, {}
            weight = weight.clamp_min(1e-30).sqrt()[..., None] * mask[..., None]
            return gradients, {
                name: {part: rows[name][part] * weight for part in deltas[name]}
                for name in network
                if not self.levels[name].rank
            }

    def _values(self, name: str, hidden: Tensor, targets: Tensor) -> Tensor:
        """What a local level binds to its keys: [B, P, d]."""
        source = hidden
        if self.levels[name].source == "next_token":
            assert self._embed is not None
            source = self._embed(targets)
        return self.values[name](F.rms_norm(source, source.shape[-1:]))

    def write(
        self, state: MemoryState, pair_loss: PairLoss, hidden: Tensor, targets: Tensor, mask: Tensor
    ) -> MemoryState:
        """One write of the fastest levels with the pairs where `mask` [B, P] is true.

        Sequences without a pair stay as they are; slower levels gather, and are written when
        their period is full.
        """
        gradients, inputs = self._gradients(state, pair_loss, hidden, targets, mask)
        pairs = mask.sum(1)
        for name in self.levels:
            if self._is_fastest(name):
                rows = inputs.get(name, {})
                leaves = self._updated(state, name, gradients[name], pairs > 0, rows)
            else:
                leaves = self._gathered(state, name, gradients.get(name, {}), pairs)
            state = state.replace(leaves)
        return state

    def _gathered(
        self,
        state: MemoryState,
        name: str,
        grads: Mapping[str, Tensor],
        pairs: Tensor,
        period: int | None = None,
    ) -> dict[str, Tensor]:
        """Count what is new for a slower level, and write it where its period is full."""
        scope = self._scope(name)
        count = state[f"{scope}.gathered.{name}"] + pairs
        due = count >= (period or self.levels[name].period)
        total = {
            part: state[f"{scope}.gradient.{name}.{part}"] + grad for part, grad in grads.items()
        }
        leaves = {f"{scope}.gradient.{name}.{part}": gradient for part, gradient in total.items()}
        leaves[f"{scope}.gathered.{name}"] = torch.where(due, 0, count)
        if not bool(due.any()):
            return leaves
        if self._nested:
            return leaves | self._taken_over(state, name, due)
        leaves |= self._updated(state, name, total, due, {})
        for part, gradient in total.items():
            empty = torch.zeros_like(gradient)
            leaves[f"{scope}.gradient.{name}.{part}"] = _where(due, empty, gradient)
        return leaves

    def _taken_over(self, state: MemoryState, name: str, due: Tensor) -> dict[str, Tensor]:
        """A nested level learns the way that the faster one has gone, which starts anew there."""
        names = list(self.levels)
        faster = names[names.index(name) - 1]
        way = {part: -delta for part, delta in self.deltas(state)[faster].items()}
        leaves = self._updated(state, name, way, due, {})
        scope = self._scope(faster)
        for kind in ("delta", "rule"):
            prefix = f"{scope}.{kind}.{faster}."
            for leaf in state:
                if leaf.startswith(prefix):
                    leaves[leaf] = _where(due, torch.zeros_like(state[leaf]), state[leaf])
        return leaves

    def _updated(
        self,
        state: MemoryState,
        name: str,
        grads: dict[str, Tensor],
        due: Tensor,
        inputs: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """The level's delta and rule state after a write of the sequences that are due [B]."""
        scope, old = self._scope(name), self.deltas(state)[name]
        leaves = {}
        for part, delta in old.items():
            prefix = f"{scope}.rule.{name}.{part}."
            kept = {leaf: state[prefix + leaf] for leaf in self._rule_leaves[name][part]}
            new, new_kept = self.rule(name, part).update_one(
                grads[part], kept, delta, inputs.get(part)
            )
            leaves[f"{scope}.delta.{name}.{part}"] = _where(due, new, delta)
            for leaf, value in new_kept.items():
                leaves[prefix + leaf] = _where(due, value, kept[leaf])
        return leaves

    # -- the stream of pairs -------------------------------------------------------------------

    def push(
        self, state: MemoryState, pair_loss: PairLoss, hidden: Tensor, targets: Tensor, mask: Tensor
    ) -> MemoryState:
        """Add pairs [B, P] (those where `mask` is true) and write whenever the period is full."""
        if not self.levels or mask.shape[1] == 0:
            return state
        grid = PairGrid(self.period, state, hidden, targets, mask)
        for write in range(grid.writes):
            state = self.write(state, pair_loss, *grid.chunk(write))
        return state.replace(grid.pending())

    def flush(self, state: MemoryState, pair_loss: PairLoss, *, slow: bool = False) -> MemoryState:
        """Write the pairs that wait (the end of a turn).

        Args:
            slow: also write the slower levels with what they have gathered (end of a session).
        """
        if not self.levels:
            return state
        count = state["memory.pending.count"]
        if bool((count > 0).any()):
            width = int(count.max())
            rows = torch.arange(width, device=count.device)
            state = self.write(
                state,
                pair_loss,
                state["memory.pending.hidden"][:, :width],
                state["memory.pending.targets"][:, :width],
                rows < count[:, None],
            )
            # What is written waits no longer; zeros keep a finished state free of its traces.
            state = state.replace(
                {
                    name: torch.zeros_like(state[name])
                    for name in state
                    if name.startswith("memory.pending.")
                }
            )
        for name in self.levels if slow else ():
            if not self._is_fastest(name):
                grads = {}
                if self._gathers(name):
                    grads = {
                        part: torch.zeros(1, 1, dtype=delta.dtype, device=delta.device)
                        for part, delta in self.deltas(state)[name].items()
                    }
                none = torch.zeros_like(state[f"{self._scope(name)}.gathered.{name}"])
                state = state.replace(self._gathered(state, name, grads, none, period=1))
        return state

    def push_turn(
        self, state: MemoryState, pair_loss: PairLoss, hidden: Tensor, targets: Tensor, mask: Tensor
    ) -> MemoryState:
        """`push`, then `flush`: one turn of pairs [B, P], learned to its end."""
        fits = mask.shape[1] <= self.period
        if self.levels and fits and not bool(state["memory.pending.count"].any()):
            return self.write(state, pair_loss, hidden, targets, mask)
        return self.flush(self.push(state, pair_loss, hidden, targets, mask), pair_loss)

    def read(
        self,
        state: MemoryState,
        pair_loss: PairLoss,
        answer: Callable[[Tensor, Mapping[str, Mapping[str, Tensor]]], Tensor],
        hidden: Tensor,
        tokens: Tensor,
        lengths: Tensor,
        learn: Tensor | None,
    ) -> tuple[Tensor, MemoryState]:
        """Read T tokens: every token is answered with the deltas of its own chunk.

        Args:
            answer: `(hidden [B, T, d], deltas) -> [B, T, d]`, the part of the network above.
            hidden: [B, T, d] below the continuum memory, left-aligned.
            tokens: [B, T] ids; lengths: [B] valid tokens.
            learn: [B, T], true where a token is to be learned; None: nothing is.

        Returns:
            what `answer` gave [B, T, d], and the new state.
        """
        last = self._last(state, hidden, lengths)
        if learn is None or not self.levels or not bool(learn.any()):
            return answer(hidden, self.deltas(state)), state.replace(last)
        batch, length = tokens.shape
        column = torch.arange(length, device=tokens.device)
        before = torch.cat([state["context.last.hidden"][:, None], hidden[:, :-1]], dim=1)
        known = torch.cat(
            [state["context.last.count"][:, None] > 0, column[1:].expand(batch, -1) > 0], dim=1
        )
        is_pair = learn & known & (column < lengths[:, None])
        grid = PairGrid(self.period, state, before, tokens, is_pair)
        # version[b, t]: how many writes come before token t. A pair made at t is written after t.
        seen = is_pair.cumsum(1) - is_pair.long() + state["memory.pending.count"][:, None]
        version = torch.minimum(seen // self.period, grid.writes_of[:, None])
        parts, where = [], torch.zeros_like(tokens)
        offset = 0
        for write in range(grid.writes + 1):
            start = (version < write).sum(1, keepdim=True)
            count = (version == write).sum(1)
            width = int(count.max())
            rows = (start + torch.arange(width, device=tokens.device)).clamp(max=length - 1)
            parts.append(answer(take_rows(hidden, rows), self.deltas(state)))
            where = torch.where(version == write, offset + column - start, where)
            offset += width
            if write < grid.writes:
                state = self.write(state, pair_loss, *grid.chunk(write))
        return take_rows(torch.cat(parts, dim=1), where), state.replace({**grid.pending(), **last})

    def _last(self, state: MemoryState, hidden: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        moved = lengths > 0
        index = (lengths - 1).clamp(min=0)[:, None]
        return {
            "context.last.hidden": _where(
                moved, take_rows(hidden, index)[:, 0], state["context.last.hidden"]
            ),
            "context.last.count": torch.where(moved, 1, state["context.last.count"]),
        }


def _to_raw(value: float, kind: str) -> float:
    """The free number that `_from_raw` maps to `value`."""
    if kind == "positive":
        return math.log(max(value, 1e-6))
    share = min(max(value, 1e-4), 1 - 1e-4)
    return math.log(share / (1 - share))


def _from_raw(raw: Tensor, kind: str) -> Tensor:
    """A positive number, or a share between 0 and 1."""
    return raw.exp() if kind == "positive" else torch.sigmoid(raw)


def _where(mask: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    if bool(mask.all()):
        return yes
    return torch.where(mask.view(-1, *[1] * (no.dim() - 1)), yes, no)
