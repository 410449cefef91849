"""Peers of Hope with a matrix memory per head: RetNet, DeltaNet and Gated DeltaNet.

    x -> projections q, k, v  (-> short convolution -> SiLU -> unit length)  -> memory -> RMSNorm
      (-> times SiLU(gate projection)) -> output projection

The memory is written at every token and read after it; the state holds it, and where the input is
split changes nothing.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nestling.mixers.attention import rotate
from nestling.mixers.heads import head_width
from nestling.mixers.short_convolution import ShortConvolution
from nestling.ops.linear_memory import linear_memory_scan
from nestling.ops.packing import mask_rows
from nestling.ops.passage import unit_norm

State = dict[str, Tensor]


class LinearMemory(nn.Module):
    """What the three share: projections, heads, the memory and its state.

    Args:
        hidden_size: d, a multiple of `num_heads`.
        num_heads: H, each with a memory of K x K, K = d / H.
        chunk_size: tokens computed at once; the result does not depend on it.
        conv_width: taps of the convolution, where there is one.
        theta: base of the rotary frequencies, where positions are rotated.

    Raises:
        ValueError: a size out of range.
    """

    # What the subclasses differ in.
    CONVOLUTION: ClassVar[bool] = True
    ROTATED: ClassVar[bool] = False
    DELTA: ClassVar[bool] = True
    GATED: ClassVar[bool] = False

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        chunk_size: int = 64,
        conv_width: int = 4,
        theta: float = 10_000.0,
    ) -> None:
        super().__init__()
        self.hidden_size, self.num_heads = hidden_size, num_heads
        self.head_width = head_width(hidden_size, num_heads, chunk_size)
        self.chunk_size, self.theta = chunk_size, theta
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        if self.CONVOLUTION:
            self.convolution = ShortConvolution(3 * hidden_size, conv_width)
        if self.DELTA:
            self.beta = nn.Linear(hidden_size, num_heads, bias=False)
        if self.GATED:
            self.gate = nn.Linear(hidden_size, hidden_size, bias=False)
        self.read_norm = nn.RMSNorm(self.head_width, eps=1e-6)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """qkv, beta, gate, out: N(0, 1 / hidden_size); convolution: its own; read_norm: 1."""
        for module in self.children():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
            elif isinstance(module, ShortConvolution):
                module.reset_parameters()
        nn.init.ones_(self.read_norm.weight)

    def state_shapes(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """Leaf -> (shape without the batch, dtype or None for the parameters' dtype)."""
        memory_dtype = torch.promote_types(self.out.weight.dtype, torch.float32)
        shapes: dict[str, tuple[tuple[int, ...], torch.dtype | None]] = {
            "memory": ((self.num_heads, self.head_width, self.head_width), memory_dtype)
        }
        if self.CONVOLUTION:
            shapes["convolution"] = ((self.convolution.width - 1, 3 * self.hidden_size), None)
        if self.ROTATED:
            shapes["count"] = ((), torch.int64)
        return shapes

    def log_alpha(self, x: Tensor) -> Tensor:
        """Logarithm of the retention of x [B, T, d]: [B, T, H]; DeltaNet keeps everything."""
        return x.new_zeros(*x.shape[:2], self.num_heads)

    def forward(
        self, x: Tensor, state: State | None, lengths: Tensor
    ) -> tuple[Tensor, State | None]:
        """Read `x [B, T, d]` and write the memory; see `nestling.mixers` for the arguments."""
        batch, length, _ = x.shape
        x = mask_rows(x, lengths)
        rows, new = self.qkv(x), {}
        if self.CONVOLUTION:
            tail = None if state is None else state["convolution"]
            rows, tail = self.convolution(rows, tail, lengths)
            rows = F.silu(rows)
            if tail is not None:
                new["convolution"] = tail
        q, k, v = rows.view(batch, length, 3, self.num_heads, self.head_width).unbind(2)
        if self.ROTATED:
            position = torch.arange(length, device=x.device).expand(batch, -1)
            if state is not None:
                position = position + state["count"][:, None]
                new["count"] = state["count"] + lengths
            q, k = rotate((q, k), position, self.theta)
            k = k * self.head_width**-0.5
        else:
            q, k = unit_norm(q), unit_norm(k)
        # Padding neither writes nor fades.
        visible = (torch.arange(length, device=x.device) < lengths[:, None])[..., None]
        log_alpha = self.log_alpha(x) * visible
        beta = torch.sigmoid(self.beta(x)) * visible if self.DELTA else None
        y, memory = linear_memory_scan(
            q,
            mask_rows(k, lengths),
            mask_rows(v, lengths),
            log_alpha,
            beta,
            None if state is None else state["memory"],
            chunk_size=self.chunk_size,
        )
        y = self.read_norm(y.to(x.dtype)).flatten(2)
        if self.GATED:
            y = y * F.silu(self.gate(x))
        return self.out(y), None if state is None else {"memory": memory, **new}


class Retention(LinearMemory):
    """RetNet: every head fades at its own fixed rate, 1 - 2^-5 for the first, slower after it."""

    CONVOLUTION, ROTATED, DELTA, GATED = False, True, False, True

    def log_alpha(self, x: Tensor) -> Tensor:
        head = torch.arange(self.num_heads, device=x.device, dtype=torch.float64)
        fade = torch.log1p(-torch.exp2(-5.0 - head)).to(torch.promote_types(x.dtype, torch.float32))
        return fade.expand(*x.shape[:2], -1)


class DeltaNet(LinearMemory):
    """DeltaNet: what a key held is taken out before the new value is put in; nothing fades."""


class GatedDeltaNet(LinearMemory):
    """Gated DeltaNet: DeltaNet that fades as the token says, with a gated output."""

    GATED = True

    def __init__(self, hidden_size: int, num_heads: int, **options: float) -> None:
        super().__init__(hidden_size, num_heads, **options)  # type: ignore[arg-type]
        self.fade = nn.Linear(hidden_size, num_heads, bias=False)
        self.fade_bias = nn.Parameter(torch.empty(num_heads))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As `LinearMemory`; fade_bias: a retention from 0.999 (first head) to 0.9 (last)."""
        super().reset_parameters()
        if not hasattr(self, "fade_bias"):
            return
        with torch.no_grad():
            fades = torch.logspace(-3, -1, self.num_heads, dtype=torch.float64)
            # The inverse of retention = exp(-softplus(bias)).
            self.fade_bias.copy_((-torch.log1p(-fades)).expm1().log())
        nn.init.normal_(self.fade.weight, std=0.1 / math.sqrt(self.hidden_size))

    def log_alpha(self, x: Tensor) -> Tensor:
        return -F.softplus(self.fade(x) + self.fade_bias)
