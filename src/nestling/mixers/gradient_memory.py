"""Peers of Hope whose memory learns by gradient descent while it reads: TTT and Titans (NL §4.1).

    x -> projections q, k, v -> short convolution -> SiLU -> unit length (q, k)
      -> memory -> RMSNorm -> times SiLU(gate projection) -> output projection

Gradients are taken at the state where the chunk starts, and the memory is read after each token.
Tokens of a chunk that is not full yet wait in the state: where the input is split changes nothing.

- **TTT** (linear, mlp): `M(z) = z + layer norm of the memory`, plain gradient descent.
- **Titans** (LMM): `M(z) = z + the memory`, with momentum and forgetting, all gates from the token.

The rate is at most 1 / chunk_size, with a momentum mu (1 - mu) / chunk_size: a chunk makes all of
its steps from one state, and larger ones overshoot. The memories start from a learned value;
forgetting leads to zero, as in the papers.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nestling.mixers.heads import head_width
from nestling.mixers.short_convolution import ShortConvolution
from nestling.ops.gradient_memory import Gates, Norm, answer, gradient_memory_scan
from nestling.ops.packing import append_rows, mask_rows, slice_rows
from nestling.ops.passage import unit_norm
from nestling.ops.writes import Memory

State = dict[str, Tensor]


class GradientMemory(nn.Module):
    """What TTT and Titans share.

    Args:
        hidden_size: d, a multiple of `num_heads`.
        num_heads: H, each with a memory of its own on width K = d / H.
        chunk_size: tokens whose gradients are taken at one state. Use the one of the training.
        conv_width: taps of the convolution.
        expansion: width of an MLP memory in units of K.

    Raises:
        ValueError: a size out of range.
    """

    LAYERS: ClassVar[int] = 2
    NORMED: ClassVar[bool] = False
    # Rate alone, or rate, retention and momentum.
    GATES: ClassVar[int] = 1

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        chunk_size: int = 64,
        conv_width: int = 4,
        expansion: int = 2,
    ) -> None:
        super().__init__()
        if expansion < 1:
            raise ValueError(f"expansion is {expansion}: it must be at least 1; 2 is usual")
        self.hidden_size, self.num_heads = hidden_size, num_heads
        self.head_width = head_width(hidden_size, num_heads, chunk_size)
        self.chunk_size = chunk_size
        width, inner = self.head_width, expansion * self.head_width
        shapes = [(width, width)] if self.LAYERS == 1 else [(inner, width), (width, inner)]
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.convolution = ShortConvolution(3 * hidden_size, conv_width)
        self.gates = nn.Linear(hidden_size, self.GATES * num_heads)
        self.memory_init = nn.ParameterList(
            nn.Parameter(torch.empty(num_heads, *shape)) for shape in shapes
        )
        if self.NORMED:
            self.memory_scale = nn.Parameter(torch.empty(num_heads, width))
            self.memory_shift = nn.Parameter(torch.empty(num_heads, width))
        self.read_norm = nn.RMSNorm(width, eps=1e-6)
        self.gate = nn.Linear(hidden_size, hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise.

        | name                  | distribution                                              |
        |-----------------------|-----------------------------------------------------------|
        | qkv, gate, out        | N(0, 1 / hidden_size)                                     |
        | convolution           | its own                                                   |
        | gates                 | N(0, 0.01 / hidden_size); biases: half of the largest rate,|
        |                       | a retention of 0.999, a momentum of 0.5                   |
        | memory_init           | N(0, 1 / width of the input), the last matrix 0.1 of that |
        | memory_scale, read_norm | 1; memory_shift: 0                                      |
        """
        for linear in (self.qkv, self.gate, self.out):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
        self.convolution.reset_parameters()
        nn.init.normal_(self.gates.weight, std=0.1 * self.hidden_size**-0.5)
        starts = torch.tensor([0.0, math.log(math.expm1(-math.log(0.999))), 0.0])[: self.GATES]
        with torch.no_grad():
            self.gates.bias.copy_(starts.repeat_interleave(self.num_heads))
        for place, weight in enumerate(self.memory_init):
            last = place + 1 == len(self.memory_init)
            nn.init.normal_(weight, std=(0.1 if last else 1.0) * weight.shape[-1] ** -0.5)
        if self.NORMED:
            nn.init.ones_(self.memory_scale)
            nn.init.zeros_(self.memory_shift)
        nn.init.ones_(self.read_norm.weight)

    def state_shapes(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """Leaf -> (shape without the batch, dtype or None for the parameters' dtype)."""
        heads, width = self.num_heads, self.head_width
        memory_dtype = torch.promote_types(self.out.weight.dtype, torch.float32)
        shapes: dict[str, tuple[tuple[int, ...], torch.dtype | None]] = {
            "pending": ((self.chunk_size, 3, heads, width), None),
            "pending_gates": ((self.chunk_size, self.GATES, heads), None),
            "pending_count": ((), torch.int64),
            "convolution": ((self.convolution.width - 1, 3 * self.hidden_size), None),
        }
        for place, weight in enumerate(self.memory_init):
            shapes[f"memory.{place}"] = (tuple(weight.shape), memory_dtype)
            if self.GATES > 1:
                shapes[f"momentum.{place}"] = (tuple(weight.shape), memory_dtype)
        return shapes

    def forward(
        self, x: Tensor, state: State | None, lengths: Tensor
    ) -> tuple[Tensor, State | None]:
        """Read `x [B, T, d]` and write the memory; see `nestling.mixers` for the arguments."""
        x = mask_rows(x, lengths)
        tail = None if state is None else state["convolution"]
        rows, tail = self.convolution(self.qkv(x), tail, lengths)
        tokens = F.silu(rows).unflatten(-1, (3, self.num_heads, self.head_width))
        gates = self.gates(x).unflatten(-1, (self.GATES, self.num_heads))
        if state is None:
            return self._output(x, self._scan(tokens, gates, None, lengths)[0]), None
        count = state["pending_count"]
        grid, total = append_rows(state["pending"], count, tokens, lengths)
        gate_grid, _ = append_rows(state["pending_gates"], count, gates, lengths)
        reads, new = self._scan(grid, gate_grid, state, total)
        assert tail is not None
        written = total // self.chunk_size * self.chunk_size
        return self._output(x, slice_rows(reads, count, x.shape[1], total)), {
            **new,
            "pending": slice_rows(grid, written, self.chunk_size, total),
            "pending_gates": slice_rows(gate_grid, written, self.chunk_size, total),
            "pending_count": total - written,
            "convolution": tail,
        }

    def recall(self, queries: Tensor, state: State) -> Tensor:
        """What the memory answers to `queries [B, T, H, K]` as it stands: [B, T, H, K]."""
        weights = [w + state[f"memory.{place}"] for place, w in enumerate(self.memory_init)]
        with torch.autocast(queries.device.type, enabled=False):
            asked = queries.to(weights[0].dtype).transpose(1, 2)
            return answer(asked, weights, self._norm()).transpose(1, 2)

    def _scan(
        self, tokens: Tensor, gates: Tensor, state: State | None, lengths: Tensor
    ) -> tuple[Tensor, State]:
        """Read `tokens [B, T, 3, H, K]` from the start of a chunk on: reads, new memory leaves."""
        batch = len(tokens)
        dtype = torch.promote_types(self.out.weight.dtype, torch.float32)
        initial = [weight.to(dtype).expand(batch, *weight.shape) for weight in self.memory_init]
        weights, momenta = list(initial), [torch.zeros_like(weight) for weight in initial]
        if state is not None:
            weights = [w + state[f"memory.{place}"] for place, w in enumerate(weights)]
            if self.GATES > 1:
                momenta = [state[f"momentum.{place}"] for place in range(len(weights))]
        q, k, v = tokens.unbind(2)
        reads, memory = gradient_memory_scan(
            unit_norm(q),
            unit_norm(k),
            v,
            self._gates(gates.to(dtype)),
            Memory(tuple(weights), tuple(momenta)),
            self._norm(),
            lengths,
            chunk_size=self.chunk_size,
        )
        new = {f"memory.{i}": w - initial[i] for i, w in enumerate(memory.weights)}
        if self.GATES > 1:
            new |= {f"momentum.{i}": s for i, s in enumerate(memory.momenta)}
        return reads, new

    def _norm(self) -> Norm | None:
        return Norm(self.memory_scale, self.memory_shift) if self.NORMED else None

    def _gates(self, logits: Tensor) -> Gates:
        """Rate, and where there are any retention and momentum, of logits [B, T, G, H]."""
        theta = logits[:, :, 0].sigmoid() / self.chunk_size
        if self.GATES == 1:
            return Gates(theta)
        mu = logits[:, :, 2]
        # With momentum a gradient counts 1 / (1 - mu) times in the end.
        theta = theta * (-mu).sigmoid()
        return Gates(theta, -F.softplus(logits[:, :, 1]), F.logsigmoid(mu))

    def _output(self, x: Tensor, reads: Tensor) -> Tensor:
        return self.out(self.read_norm(reads.to(x.dtype)).flatten(2) * F.silu(self.gate(x)))


class TTTLinear(GradientMemory):
    """TTT with a matrix."""

    LAYERS, NORMED = 1, True


class TTTMLP(GradientMemory):
    """TTT with an MLP of two layers."""

    NORMED = True


class Titans(GradientMemory):
    """Titans' long-term memory (LMM): an MLP of two layers with momentum and forgetting."""

    GATES = 3
