"""When and how the continuum memory is written while a model reads.

A **pair** is (what the model knew before token t, token t). Pairs wait in the state until the
fastest period is full; then the gradient of their weighted next-token loss is taken at the deltas
they were read with, the fastest level is written, and slower levels add the gradient to what they
gather for their own period (NL eq. 71). `flush` writes what still waits, so that short turns are
learned too. Nothing here looks at a token after the one it writes.

Letters: B sequences, T tokens, P pairs, C fastest period, d hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from nestling.memory.gradients import (
    Gradients,
    PairLoss,
    closed_form,
    differentiable,
    ordinary,
    through_network,
)
from nestling.memory.pairs import PairGrid
from nestling.memory.state import MemoryState
from nestling.memory.written_levels import WrittenLevels
from nestling.ops.packing import take_rows


class MemoryWriter(WrittenLevels):
    """Writes the levels of one continuum memory; owns the learned rates and token strengths."""

    def _gradients(
        self,
        reading: Mapping[str, Mapping[str, Tensor]],
        pair_loss: PairLoss,
        hidden: Tensor,
        targets: Tensor,
        mask: Tensor,
    ) -> tuple[Gradients, Gradients]:
        """Gradient of what every level is written with at the deltas given, per sequence.

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
                for name, parts in reading.items()
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
        self,
        state: MemoryState,
        pair_loss: PairLoss,
        hidden: Tensor,
        targets: Tensor,
        mask: Tensor,
        reading: Mapping[str, Mapping[str, Tensor]] | None = None,
    ) -> MemoryState:
        """One write of the fastest levels with the pairs where `mask` [B, P] is true.

        Sequences without a pair stay as they are; slower levels gather, and are written when
        their period is full. `reading` is `self.reading(state)`, if it is at hand.
        """
        reading = self.reading(state) if reading is None else reading
        gradients, inputs = self._gradients(reading, pair_loss, hidden, targets, mask)
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
        for leaf in self.leaves(faster, state, ("delta", "rule")):
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
            rows = inputs[part].to(delta.dtype) if part in inputs else None
            new, new_kept = self.rule(name, part).update_one(grads[part], kept, delta, rows)
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
            return answer(hidden, self.reading(state)), state.replace(last)
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
            reading = self.reading(state)
            parts.append(answer(take_rows(hidden, rows), reading))
            where = torch.where(version == write, offset + column - start, where)
            offset += width
            if write < grid.writes:
                state = self.write(state, pair_loss, *grid.chunk(write), reading=reading)
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


def _where(mask: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    if bool(mask.all()):
        return yes
    return torch.where(mask.view(-1, *[1] * (no.dim() - 1)), yes, no)
