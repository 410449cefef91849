"""Causal softmax attention with rotary positions and a sliding window that rides in the state.

Letters: B sequences, T tokens, H heads, K head width, W window, R remembered rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from nestling.ops.packing import append_in_room, append_rows, mask_rows, slice_rows, take_rows

State = dict[str, Tensor]

SHORT = 128
# Positions from here on are multiplied in double precision; below, single is as good.
FAR = 4096
FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def rotate(rows: Sequence[Tensor], position: Tensor, theta: float) -> list[Tensor]:
    """Rotary embeddings of rows of one kind, [B, T, H, K] each, at positions [B, T]."""
    dtype, half = rows[0].dtype, rows[0].shape[-1] // 2
    steps = torch.arange(half, device=position.device, dtype=torch.float64) / half
    exact = theta**-steps
    frequency = exact.to(dtype if dtype == torch.float64 else torch.float32)
    angle = position[..., None].to(frequency.dtype) * frequency
    far = position >= FAR
    # Where it costs nothing to look, what is not needed is not computed.
    looks = far.device.type == "cpu" and not torch.compiler.is_compiling()
    if frequency.dtype != torch.float64 and not (looks and not bool(far.any())):
        # Whole turns are taken away before single precision would round them.
        turned = (position[..., None].double() * exact).remainder(2 * math.pi)
        angle = torch.where(far[..., None], turned.to(angle.dtype), angle)
    angle = angle[:, :, None]
    cos, sin = angle.cos().to(dtype), angle.sin().to(dtype)
    halves = (x.chunk(2, dim=-1) for x in rows)
    return [torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1) for a, b in halves]


class Attention(nn.Module):
    """Multi-head attention over the last `window` tokens (itself included).

    Args:
        hidden_size: d.
        num_heads: H, divides d into an even head width.
        window: W >= 1; the state holds W keys and values per sequence, whatever was read.
        theta: base of the rotary frequencies.
        persistent: learned keys and values that every token sees, without a position.
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        window: int,
        theta: float = 10_000.0,
        persistent: int = 0,
    ):
        super().__init__()
        self.num_heads, self.head_width = num_heads, hidden_size // num_heads
        self.window, self.theta = window, theta
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)
        self.persistent = None
        if persistent:
            shape = (2, persistent, self.num_heads, self.head_width)
            self.persistent = nn.Parameter(torch.empty(shape))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """qkv, out: N(0, 1 / hidden_size); persistent: N(0, 1)."""
        for linear in (self.qkv, self.out):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
        if self.persistent is not None:
            nn.init.normal_(self.persistent)

    def state_shapes(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        rows = (self.window, self.num_heads, self.head_width)
        return {"keys": (rows, None), "values": (rows, None), "count": ((), torch.int64)}

    def forward(
        self, x: Tensor, state: State | None, lengths: Tensor
    ) -> tuple[Tensor, State | None]:
        """x [B, T, d] left-aligned, `lengths` [B] valid tokens -> (y [B, T, d], new state).

        Without a state the context is empty, and no state is returned.
        """
        batch, length, width = x.shape
        x = mask_rows(x, lengths)
        q, k, v = self.qkv(x).view(batch, length, 3, self.num_heads, self.head_width).unbind(2)
        column = torch.arange(length, device=x.device)
        if state is None:
            q, k = rotate((q, k), column.expand(batch, -1), self.theta)
            if length > 2 * self.window:
                held, nothing = torch.zeros_like(lengths), k[:, :0]
                y = self._attend_in_blocks(q, k, v, nothing, nothing, held)
                return self.out(y.reshape(batch, length, width)), None
            mask = None
            if length > self.window or self.persistent is not None:
                distance = column[:, None] - column
                mask = (distance >= 0) & (distance < self.window)
            y = self._attend(q, k, v, mask)
            return self.out(y.reshape(batch, length, width)), None
        count = state["count"]
        q, k = rotate((q, k), count[:, None] + column, self.theta)
        held = count.clamp(max=self.window)
        (keys, new_keys), (values, new_values) = (
            self._remember(state[leaf], held, new, lengths)
            for leaf, new in (("keys", k), ("values", v))
        )
        total = held + lengths
        if length > 2 * self.window:
            remembered = int(held.max())
            old_keys, old_values = (state[leaf][:, :remembered] for leaf in ("keys", "values"))
            y = self._attend_in_blocks(q, k, v, old_keys, old_values, held)
        else:
            # Padding asks from the last valid row, so that no query is left without a key.
            place = torch.minimum(held[:, None] + column, (total - 1).clamp(min=0)[:, None])
            distance = place[..., None] - torch.arange(keys.shape[1], device=x.device)
            mask = (distance >= 0) & (distance < self.window)
            y = self._attend(q, keys, values, mask[:, None])
        new = {"keys": new_keys, "values": new_values, "count": count + lengths}
        return self.out(y.reshape(batch, length, width)), new

    def _remember(
        self, old: Tensor, held: Tensor, new: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Rows [B, W, H, K], of which `held` [B] count, and new ones [B, T, H, K] behind them.

        Returns all of them [B, R, H, K], and the last W of each sequence: the new state.
        """
        fits = append_in_room(old, held, new, lengths)
        if fits is not None:
            return fits
        rows, total = append_rows(old[:, : int(held.max())], held, new, lengths)
        first = (total - self.window).clamp(min=0)
        return rows, slice_rows(rows, first, self.window, total)

    def _attend_in_blocks(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        keys_before: Tensor,
        values_before: Tensor,
        held: Tensor,
    ) -> Tensor:
        """Blocks of W queries, each with the keys of its own and the previous block: O(T W).

        Before the first block stand remembered rows [B, R, H, K], of which `held` [B] count.
        """
        batch, length = q.shape[:2]
        size = self.window
        blocks = -(-length // size)
        q, k, v = (
            F.pad(z, (0, 0, 0, 0, 0, blocks * size - length)).unflatten(1, (blocks, size))
            for z in (q, k, v)
        )
        column = torch.arange(2 * size, device=q.device)
        # The last remembered row stands right before the first token.
        k, v = (
            torch.cat([torch.cat([_right_aligned(old, held, size)[:, None], z[:, :-1]], 1), z], 2)
            for z, old in ((k, keys_before), (v, values_before))
        )
        distance = column[size:, None] - column
        mask = (distance >= 0) & (distance < size)
        there = column >= size - held[:, None]
        first = self._attend(q[:, 0], k[:, 0], v[:, 0], (mask & there[:, None])[:, None])
        q, k, v = (z[:, 1:].flatten(0, 1) for z in (q, k, v))
        rest = self._attend(q, k, v, mask)
        y = torch.cat([first[:, None], rest.unflatten(0, (batch, blocks - 1))], 1)
        return y.flatten(1, 2)[:, :length]

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        if self.persistent is not None and mask is not None:
            count = self.persistent.shape[1]
            keys, values = self.persistent.to(k.dtype)[:, None].expand(-1, len(k), -1, -1, -1)
            k, v = torch.cat([keys, k], dim=1), torch.cat([values, v], dim=1)
            mask = F.pad(mask, (count, 0), value=True)
        q, k, v = (z.transpose(1, 2) for z in (q, k, v))
        # For short rows plain products are several times faster backward than the fused kernel.
        backend = SDPBackend.MATH if k.shape[2] <= SHORT else FUSED
        with sdpa_kernel(backend):
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return y.transpose(1, 2)


def _right_aligned(rows: Tensor, held: Tensor, size: int) -> Tensor:
    """The first `held` [B] of rows [B, R, ...] at the end of `size` ones [B, size, ...]."""
    column = torch.arange(size, device=rows.device) - (size - held[:, None])
    rows = F.pad(rows, (0, 0) * (rows.dim() - 2) + (0, size - rows.shape[1]))
    return take_rows(rows, column.clamp(min=0))
