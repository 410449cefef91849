"""Titans beside attention (Titans §4): the memory as a context, as a gate and as a layer.

- **MAC**: in every segment, attention over [persistent | what the memory knows of each token |
  the segment]; what attention says is written into the memory, and gated by what it answers.
- **MAG**: sliding-window attention and the memory side by side, one gates the other.
- **MAL**: the memory, then sliding-window attention over what it gave.

All attention sees the same few learned, persistent tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nestling.mixers.attention import Attention, rotate
from nestling.mixers.gradient_memory import State, Titans
from nestling.mixers.heads import head_width
from nestling.ops.packing import append_rows, mask_rows, slice_rows
from nestling.ops.passage import unit_norm

PERSISTENT = 4


class _Beside(nn.Module):
    """Attention and memory as two mixers whose states lie side by side.

    Args:
        hidden_size, num_heads, chunk_size, conv_width: of the memory, and the first two of both.
        window, theta: of the attention.
        persistent: learned tokens that attention always sees.
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        window: int,
        theta: float = 10_000.0,
        chunk_size: int = 64,
        conv_width: int = 4,
        persistent: int = PERSISTENT,
    ) -> None:
        super().__init__()
        self.attention = Attention(
            hidden_size, num_heads, window=window, theta=theta, persistent=persistent
        )
        self.memory = Titans(hidden_size, num_heads, chunk_size=chunk_size, conv_width=conv_width)
        self.attention_norm = nn.RMSNorm(hidden_size, eps=1e-6)
        self.memory_norm = nn.RMSNorm(hidden_size, eps=1e-6)

    def reset_parameters(self) -> None:
        """attention, memory: their own; norms: 1."""
        self.attention.reset_parameters()
        self.memory.reset_parameters()
        nn.init.ones_(self.attention_norm.weight)
        nn.init.ones_(self.memory_norm.weight)

    def state_shapes(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """Leaf -> (shape without the batch, dtype or None for the parameters' dtype)."""
        return {
            f"{name}.{leaf}": spec
            for name, mixer in (("attention", self.attention), ("memory", self.memory))
            for leaf, spec in mixer.state_shapes().items()
        }

    def _part(
        self, name: str, x: Tensor, state: State | None, lengths: Tensor
    ) -> tuple[Tensor, State]:
        """What one of the two says to x, and its new leaves under their own names."""
        mixer = self.attention if name == "attention" else self.memory
        prefix = name + "."
        own = None
        if state is not None:
            own = {
                leaf.removeprefix(prefix): value
                for leaf, value in state.items()
                if leaf.startswith(prefix)
            }
        y, new = mixer(x, own, lengths)
        return y, {prefix + leaf: value for leaf, value in (new or {}).items()}


class TitansMAG(_Beside):
    """Memory as a gate: `norm(attention(x)) * silu(norm(memory(x)))`."""

    def forward(
        self, x: Tensor, state: State | None, lengths: Tensor
    ) -> tuple[Tensor, State | None]:
        """See `nestling.mixers` for the arguments."""
        attended, new = self._part("attention", x, state, lengths)
        remembered, more = self._part("memory", x, state, lengths)
        y = self.attention_norm(attended) * F.silu(self.memory_norm(remembered))
        return y, None if state is None else {**new, **more}


class TitansMAL(_Beside):
    """Memory as a layer: `attention(norm(x + memory(x)))`."""

    def forward(
        self, x: Tensor, state: State | None, lengths: Tensor
    ) -> tuple[Tensor, State | None]:
        """See `nestling.mixers` for the arguments."""
        remembered, new = self._part("memory", x, state, lengths)
        below = self.memory_norm(x + remembered)
        attended, more = self._part("attention", below, state, lengths)
        return self.attention_norm(attended), None if state is None else {**new, **more}


class TitansMAC(nn.Module):
    """Memory as a context: segments of `chunk_size` tokens, read one after the other.

    Attention stays inside a segment; what lies before it is known from the memory alone. The
    tokens of a segment that is not full yet wait in the state.

    Args:
        hidden_size, num_heads: d and H; chunk_size: tokens of a segment; conv_width: of the memory.
        theta: base of the rotary frequencies, from the start of each segment.
        persistent: learned tokens that attention always sees.
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        theta: float = 10_000.0,
        chunk_size: int = 64,
        conv_width: int = 4,
        persistent: int = PERSISTENT,
    ) -> None:
        super().__init__()
        self.hidden_size, self.num_heads, self.theta = hidden_size, num_heads, theta
        self.head_width = head_width(hidden_size, num_heads, chunk_size)
        self.chunk_size = chunk_size
        self.memory = Titans(hidden_size, num_heads, chunk_size=chunk_size, conv_width=conv_width)
        self.ask = nn.Linear(hidden_size, hidden_size, bias=False)
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.persistent = nn.Parameter(
            torch.empty(2, persistent, num_heads, hidden_size // num_heads)
        )
        self.attention_norm = nn.RMSNorm(hidden_size, eps=1e-6)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """ask, qkv: N(0, 1 / hidden_size); persistent: N(0, 1); memory: its own."""
        for linear in (self.ask, self.qkv):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
        nn.init.normal_(self.persistent)
        nn.init.ones_(self.attention_norm.weight)
        self.memory.reset_parameters()

    def state_shapes(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """Leaf -> (shape without the batch, dtype or None for the parameters' dtype)."""
        shapes: dict[str, tuple[tuple[int, ...], torch.dtype | None]] = {
            "pending": ((self.chunk_size, self.hidden_size), None),
            "pending_count": ((), torch.int64),
        }
        return shapes | {f"memory.{n}": spec for n, spec in self.memory.state_shapes().items()}

    def forward(
        self, x: Tensor, state: State | None, lengths: Tensor
    ) -> tuple[Tensor, State | None]:
        """See `nestling.mixers` for the arguments."""
        x = mask_rows(x, lengths)
        if state is None:
            fresh = {
                leaf: x.new_zeros(len(x), *shape, dtype=dtype or x.dtype)
                for leaf, (shape, dtype) in self.memory.state_shapes().items()
            }
            return self._segments(x, fresh, lengths)[0], None
        count = state["pending_count"]
        grid, total = append_rows(state["pending"], count, x, lengths)
        memory = {n.removeprefix("memory."): v for n, v in state.items() if n.startswith("memory.")}
        y, memory = self._segments(grid, memory, total)
        written = total // self.chunk_size * self.chunk_size
        return slice_rows(y, count, x.shape[1], total), {
            "pending": slice_rows(grid, written, self.chunk_size, total),
            "pending_count": total - written,
            **{f"memory.{name}": value for name, value in memory.items()},
        }

    def _segments(self, x: Tensor, memory: State, lengths: Tensor) -> tuple[Tensor, State]:
        """Read x [B, T, d] from the start of a segment on; the memory after the last whole one."""
        reads = []
        for start in range(0, x.shape[1], self.chunk_size):
            segment = x[:, start : start + self.chunk_size]
            seen = (lengths - start).clamp(0, segment.shape[1])
            attended = self.attention_norm(self._attend(segment, memory))
            answer, new = self.memory(attended, memory, seen)
            assert new is not None
            reads.append(attended * F.silu(answer))
            whole = lengths >= start + self.chunk_size
            memory = {
                name: torch.where(whole.view(-1, *[1] * (old.dim() - 1)), new[name], old)
                for name, old in memory.items()
            }
        return torch.cat(reads, 1) if reads else x, memory

    def _attend(self, x: Tensor, memory: State) -> Tensor:
        """Attention of a segment [B, C, d] over persistent tokens, the memory's, and itself."""
        batch, size, _ = x.shape
        heads = (self.num_heads, self.head_width)
        q, k, v = self.qkv(x).view(batch, size, 3, *heads).unbind(2)
        asked = unit_norm(self.ask(x).view(batch, size, *heads))
        recalled = self.memory.recall(asked, memory).flatten(2).to(x.dtype)
        # What the memory knows stands in the context like any token, with the same projections.
        _, known_k, known_v = self.qkv(recalled).view(batch, size, 3, *heads).unbind(2)
        position = torch.arange(size, device=x.device).expand(batch, -1)
        q, k, known_k = rotate((q, k, known_k), position, self.theta)
        fixed_k, fixed_v = self.persistent.to(x.dtype)[:, None].expand(-1, batch, -1, -1, -1)
        past = torch.ones(size, size, dtype=torch.bool, device=x.device).tril()
        mask = F.pad(torch.cat([past, past], dim=1), (self.persistent.shape[1], 0), value=True)
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2),
            torch.cat([fixed_k, known_k, k], 1).transpose(1, 2),
            torch.cat([fixed_v, known_v, v], 1).transpose(1, 2),
            attn_mask=mask,
        )
        return y.transpose(1, 2).flatten(2)
