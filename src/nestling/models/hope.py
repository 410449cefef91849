"""Hope in plain PyTorch: embedding, blocks, and a continuum memory that is written while reading.

    tokens -> embedding -> [mixer -> continuum memory] x L -> norm -> logits
                                        |
                     the last one is written: pairs (what was known, next token) -> deltas

Only what stands after the last mixer is written, so everything below runs once over the whole
sequence, and a write is a gradient through one chain of MLPs. `HopeForCausalLM` wraps this class
for Hugging Face; it needs nothing but torch.

Letters: B sequences, T tokens, N turns, L tokens of a turn, d hidden size, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nestling.memory.gradients import Deltas
from nestling.memory.state import MemoryState
from nestling.memory.writer import MemoryWriter
from nestling.models.block import Block
from nestling.models.settings import HopeSettings
from nestling.ops.packing import left_align, restore_order, row_mask, take_rows


@dataclass
class Reading:
    """What reading gave: logits [B, T, V] and, where one was asked for, the new state."""

    logits: Tensor
    state: MemoryState | None


class Hope(nn.Module):
    """The model. All memory is in the `MemoryState` given to and returned by each call.

    Args:
        settings: `HopeSettings`.
    """

    def __init__(self, settings: HopeSettings) -> None:
        super().__init__()
        self.settings = settings
        self.embedding = nn.Embedding(settings.vocab_size, settings.hidden_size)
        self.blocks = nn.ModuleList(
            Block(settings, layer) for layer in range(settings.num_hidden_layers)
        )
        self.writer = MemoryWriter(self.layers[-1].memory, settings.hidden_size, self.embed)
        self.norm = nn.RMSNorm(settings.hidden_size, eps=settings.rms_norm_eps)
        self.head = nn.Linear(settings.hidden_size, settings.vocab_size, bias=False)
        self.init_weights()

    @property
    def layers(self) -> list[Block]:
        """The blocks, bottom first."""
        return [cast(Block, block) for block in self.blocks]

    def init_weights(self) -> None:
        """embedding, head: N(0, initializer_range); MLPs: N(0, 1 / width of the input), `down`
        scaled by 1 / sqrt(2 L); norms: 1; mixers and writer: as they say themselves.
        """
        nn.init.normal_(self.embedding.weight, std=self.settings.initializer_range)
        nn.init.normal_(self.head.weight, std=self.settings.initializer_range)
        for module in self.modules():
            if isinstance(module, nn.RMSNorm | nn.LayerNorm):
                module.reset_parameters()
        depth = (2 * self.settings.num_hidden_layers) ** -0.5
        for block in self.layers:
            block.mixer.reset_parameters()
            block.memory.reset_parameters(depth)
        self.writer.reset_parameters()
        self.tie_weights()

    def tie_weights(self) -> None:
        """Share the embedding with the output layer where the settings ask for it."""
        if self.settings.tie_word_embeddings:
            self.head.weight = self.embedding.weight

    def embed(self, input_ids: Tensor) -> Tensor:
        """Embeddings of ids: [...] -> [..., d]."""
        return self.embedding(input_ids)

    # -- state ---------------------------------------------------------------------------------

    def state_shapes(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """Leaf -> (shape without the batch, dtype or None for the parameters' dtype)."""
        shapes = dict(self.writer.state_shapes())
        for layer, block in enumerate(self.layers):
            for leaf, spec in block.mixer.state_shapes().items():
                shapes[f"context.layers.{layer}.{leaf}"] = spec
        return shapes

    def new_state(self, batch_size: int = 1) -> MemoryState:
        """A fresh memory state for `batch_size` sequences."""
        weight = self.embedding.weight
        return MemoryState(
            {
                name: torch.zeros(
                    (batch_size, *shape), dtype=dtype or weight.dtype, device=weight.device
                )
                for name, (shape, dtype) in self.state_shapes().items()
            }
        )

    def check_state(self, state: MemoryState, batch_size: int) -> None:
        """Refuse a state of another model, batch size or precision with a clear ValueError."""
        known = self.state_shapes()
        shapes = {name: shape for name, (shape, _) in known.items()}
        found = {name: tuple(leaf.shape[1:]) for name, leaf in state.items()}
        if shapes != found:
            odd = sorted({n for n in shapes | found if shapes.get(n) != found.get(n)})
            raise ValueError(
                f"this memory state belongs to a model of another shape (first difference: {odd[0]}"
                "); start one with model.new_state()"
            )
        if state.batch_size != batch_size:
            raise ValueError(
                f"the state holds {state.batch_size} sequences, the input {batch_size}; "
                "use state.index(...) or MemoryState.stack(...)"
            )
        for name, (_, dtype) in known.items():
            wanted = dtype or self.embedding.weight.dtype
            if state[name].dtype != wanted:
                raise ValueError(
                    f"'{name}' of this memory state is in {state[name].dtype}, and this model "
                    f"keeps it in {wanted}; start one with model.new_state()"
                )

    # -- reading -------------------------------------------------------------------------------

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        state: MemoryState | None = None,
        learn: bool | Tensor = False,
    ) -> Reading:
        """Read tokens, and learn those that are to be learned.

        Args:
            input_ids: [B, T].
            attention_mask: [B, T] or longer (the last T columns count), 0 for padding on either
                side: it is never seen.
            state: what was read and learned before; without one the model starts fresh.
            learn: True, or [B, T] true where a token is to be learned (for example the user's own
                words). A token is learned as the continuation of what stands before it.

        Returns:
            `Reading`; the state is None only if none was given and nothing was learned.
        """
        if input_ids.dim() != 2:
            raise ValueError(
                f"input_ids is [sequences, tokens], got the shape {list(input_ids.shape)}"
            )
        batch, length = input_ids.shape
        if batch == 0 or length == 0:
            raise ValueError("input_ids is empty; a model reads at least one token of one sequence")
        if attention_mask is not None:
            _check_mask(attention_mask, batch, length)
        if state is not None:
            self.check_state(state, batch)
        index = None
        lengths = torch.full((batch,), length, device=input_ids.device)
        mask = _learn_mask(learn, input_ids)
        if attention_mask is not None and not bool(attention_mask[:, -length:].all()):
            visible = attention_mask[:, -length:].bool()
            input_ids, lengths, index = left_align(input_ids, visible)
            mask = None if mask is None else left_align(mask, visible)[0]
        if state is None and mask is not None:
            state = self.new_state(batch)
        hidden, context = self.below_memory(input_ids, state, lengths)
        if state is None:
            top = self.above_mixers(hidden, {})
        else:
            top, state = self.writer.read(
                state.replace(context),
                self.pair_loss,
                self.above_mixers,
                hidden,
                input_ids,
                lengths,
                mask,
            )
        if index is not None:
            top = restore_order(top, index)
        return Reading(self.head(top), state)

    def below_memory(
        self, input_ids: Tensor, state: MemoryState | None, lengths: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What stands below the written memory: [B, T] -> hidden [B, T, d], new context leaves."""
        x = self.embedding(input_ids)
        context: dict[str, Tensor] = {}
        for layer, block in enumerate(self.layers):
            prefix = f"context.layers.{layer}."
            x, new = block.mix(x, None if state is None else state.scope(prefix), lengths)
            if new is not None:
                context |= {prefix + leaf: value for leaf, value in new.items()}
            if block is not self.layers[-1]:
                x = block.memory(x)
        return x, context

    def read_fresh(self, input_ids: Tensor) -> Tensor:
        """What `head` is given of tokens read with a fresh memory: [B, T] -> [B, T, d]."""
        lengths = torch.full((len(input_ids),), input_ids.shape[1], device=input_ids.device)
        return self.above_mixers(self.below_memory(input_ids, None, lengths)[0], {})

    def above_mixers(self, hidden: Tensor, deltas: Deltas) -> Tensor:
        """The written memory and the last norm: [B, T, d] -> [B, T, d], what `head` is given."""
        return self.norm(self.layers[-1].memory(hidden, deltas))

    def pair_loss(self, hidden: Tensor, targets: Tensor, deltas: Deltas) -> Tensor:
        """Next-token loss of pairs: hidden [B, P, d], targets [B, P] -> [B, P]."""
        logits = self.head(self.above_mixers(hidden, deltas))
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(
            targets.shape
        )

    # -- turns ---------------------------------------------------------------------------------

    def end_turn(self, state: MemoryState, *, slow: bool = False) -> MemoryState:
        """Write what still waits and empty the context; `slow` ends a session (all levels).

        Raises:
            ValueError: the state belongs to another model.
        """
        self.check_state(state, state.batch_size)
        return self.writer.flush(state, self.pair_loss, slow=slow).clear_context()

    def turns_below_memory(self, turns: Tensor, mask: Tensor) -> Tensor:
        """Each of N turns in an emptied context, all at once: [B, N, L] -> hidden [B, N, L, d].

        Rows of like length run together, so that little is spent on padding.
        """
        lengths = mask.sum(-1).flatten()
        # What padding holds need not be a token.
        rows = turns.masked_fill(~mask.bool(), 0).flatten(0, 1)
        order = lengths.argsort()
        pieces = []
        for group in order.split(max(8, math.ceil(len(order) / 4))):
            width = min(turns.shape[-1], max(1, 4 * math.ceil(int(lengths[group].max()) / 4)))
            hidden, _ = self.below_memory(rows[group, :width], None, lengths[group])
            pieces.append(F.pad(hidden, (0, 0, 0, turns.shape[-1] - width)))
        return torch.cat(pieces)[order.argsort()].view(*turns.shape, -1)

    def read_turns(
        self,
        turns: Tensor,
        mask: Tensor,
        state: MemoryState,
        *,
        learn: Tensor | None = None,
        write: Literal["turn", "period"] = "turn",
        together: int = 1,
        hidden: Tensor | None = None,
    ) -> tuple[Tensor, MemoryState]:
        """Learn N turns, each in an emptied context: the fast form of reading them one by one.

        The part below the memory runs once over all turns; only the writes follow one another.
        Equal to `end_turn(model(turn, state=state, learn=True).state)` for each turn.

        Args:
            turns: [B, N, L] ids, right-padded.
            mask: [B, N, L], true for tokens; a turn without tokens is skipped.
            learn: [B, N, L], true where a token is learned; default: every token.
            write: "turn" flushes at the end of each turn, "period" only writes full periods (what
                waits stays in the returned state), so several short turns share one write.
            together: with "turn", so many turns in a row share one flush.
            hidden: what `turns_below_memory` gave, if it is at hand.

        Returns:
            hidden [B, N, L, d] below the memory (ask `above_mixers` with the new deltas), and the
            new state, its context empty.

        Raises:
            ValueError: no turns, a state of another model, or an unknown way to write.
        """
        if turns.dim() != 3 or not turns.shape[1] or not turns.shape[2]:
            raise ValueError(
                f"turns are [sequences, turns, tokens], one of each at least, got the shape "
                f"{list(turns.shape)}"
            )
        if write not in ("turn", "period"):
            raise ValueError(f"write is 'turn' or 'period', got {write!r}")
        if together < 1:
            raise ValueError(f"together is 1 or more turns, got {together}")
        self.check_state(state, turns.shape[0])
        hidden = self.turns_below_memory(turns, mask) if hidden is None else hidden
        before, targets = hidden[:, :, :-1], turns[:, :, 1:]
        pairs = mask[:, :, 1:].bool()
        if learn is not None:
            pairs = pairs & learn[:, :, 1:].bool()
        state = state.clear_context()
        if write == "period" and not self.writer.forgets:
            joined = (part.flatten(1, 2) for part in (before, targets, pairs))
            return hidden, self.writer.push(state, self.pair_loss, *joined)
        before, targets, pairs = _compact(before, targets, pairs)
        if together > 1:
            before, targets, pairs = (_join(part, together) for part in (before, targets, pairs))
        push = self.writer.push_turn if write == "turn" else self.writer.push
        for turn in range(before.shape[1]):
            state = push(state, self.pair_loss, before[:, turn], targets[:, turn], pairs[:, turn])
            # Without levels that are emptied with it, the context is still as empty as before.
            if self.writer.forgets:
                state = state.clear_context()
        return hidden, state


def _compact(before: Tensor, targets: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Move the pairs of every turn [B, N, P] to its front and drop the columns nobody uses."""
    packed, counts, index = left_align(before.flatten(0, 1), pairs.flatten(0, 1))
    width = int(counts.max())
    shape = (*pairs.shape[:2], width)
    return (
        packed[:, :width].reshape(*shape, before.shape[-1]),
        take_rows(targets.flatten(0, 1), index[:, :width]).view(shape),
        row_mask(counts, width).view(shape),
    )


def _join(turns: Tensor, together: int) -> Tensor:
    """[B, N, P, ...] -> [B, N / together, together * P, ...]; empty turns fill the last group."""
    missing = -turns.shape[1] % together
    filled = torch.cat([turns, turns.new_zeros(turns.shape[0], missing, *turns.shape[2:])], dim=1)
    return filled.unflatten(1, (-1, together)).flatten(2, 3)


def _check_mask(attention_mask: Tensor, batch: int, length: int) -> None:
    shape = tuple(attention_mask.shape)
    if len(shape) != 2 or shape[0] != batch or shape[1] < length:
        raise ValueError(
            f"attention_mask has the shape {shape}; {batch} sequences of {length} tokens need "
            f"({batch}, {length}) or more columns, of which the last {length} count"
        )


def _learn_mask(learn: bool | Tensor, input_ids: Tensor) -> Tensor | None:
    if not isinstance(learn, bool):
        learn = torch.as_tensor(learn, device=input_ids.device)
        if learn.shape != input_ids.shape:
            raise ValueError(
                f"learn is True, False or a mask of shape {list(input_ids.shape)}, "
                f"got shape {list(learn.shape)}"
            )
        return learn.bool()
    return torch.ones_like(input_ids, dtype=torch.bool) if learn else None
