"""Self-modifying Titans with linear memories: the mixer of Hope (NL §4.2-4.7, [L 83-93]).

    x -> input projection -> short convolution -> SiLU -> u, q   (static, of unit length per head)
    u -> five memories per head -> key, value, rate, retention -> they write all five
    q -> M_mem -> RMSNorm -> times SiLU(gate projection of x) -> output projection

The memories start from a learned value and the state holds their deviation from it, so a state of
zeros is a fresh one. Tokens of a chunk that is not full yet wait in the state: where the input is
split changes nothing.

Two departures keep the memories alive, because a self-modifying memory makes its own targets:

- Retention and delta decay act on the deviation. To the letter of eq. 88 (`decay_to="zero"`) they
  act on the memory itself, in which every target is linear: what fades never comes back. After
  4,096 random tokens (initial parameters, width 64, 2 heads) |M| is 0.91 of what it was, and 0.006
  to the letter.
- The value v = M_v u has unit length, like k and q. A free one feeds back quadratically: M_v makes
  v, M_v v is the target, and the target is written into M_v.

The paper leaves the heads of rate and retention and the range of the rate open (NL §4.7): the heads
are static, and the rate is bounded so that no decay overshoots. That bound leaves out the error of
"l2", which is as old as the chunk: on random tokens, rates from 0.9 on (in chunks of 64, from 0.5
on) let the memories grow, so that by default no rate exceeds 3 / chunk_size, and all start at
0.5 / chunk_size. "dot_product" has no such limit.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from nestling.mixers.heads import head_width
from nestling.mixers.short_convolution import ShortConvolution
from nestling.ops.packing import append_rows, mask_rows, slice_rows
from nestling.ops.self_modifying import (
    MEMORIES,
    DecayTo,
    Gates,
    Objective,
    Read,
    self_modifying_scan,
    unit_norm,
)

State = dict[str, Tensor]


class SelfModifyingTitans(nn.Module):
    """Five linear memories per head that generate their own keys, values, rates and targets."""

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        chunk_size: int = 64,
        conv_width: int = 4,
        objective: Objective = "l2",
        read: Read = "running",
        decay_to: DecayTo = "initial",
        eta_max: float | None = None,
    ):
        """Build the mixer.

        Args:
            hidden_size: width d of the input and output; a multiple of `num_heads`.
            num_heads: heads, each with its own five memories of K x K, K = d / heads.
            chunk_size: tokens that share a snapshot of the memories. Use the one of the training.
            conv_width: tokens that the convolution sees, itself included.
            objective: what a write minimises, "l2" or "dot_product".
            read: "running" reads the memory after each token, "chunk" at the start of its chunk.
            decay_to: what the memories fade to without writes, "initial" (their learned value) or
                "zero" (NL eq. 88 to the letter; an ablation).
            eta_max: upper bound of the rate; None for min(1, 3 / chunk_size), within which "l2" is
                stable.

        Raises:
            ValueError: for a size or name outside of these.
        """
        super().__init__()
        self.head_width = head_width(hidden_size, num_heads, chunk_size)
        if objective not in ("l2", "dot_product"):
            raise ValueError(f"objective is {objective!r}: use 'l2' or 'dot_product'")
        if read not in ("running", "chunk"):
            raise ValueError(f"read is {read!r}: use 'running' or 'chunk'")
        if decay_to not in ("initial", "zero"):
            raise ValueError(f"decay_to is {decay_to!r}: use 'initial' or 'zero'")
        if eta_max is None:
            eta_max = min(1.0, 3.0 / chunk_size)
        if not eta_max > 0:
            raise ValueError(f"eta_max is {eta_max}: it must be positive; 1 is usual")
        self.hidden_size = hidden_size
        self.num_heads = num_heads
        self.chunk_size = chunk_size
        self.objective: Objective = objective
        self.read: Read = read
        self.decay_to: DecayTo = decay_to
        self.eta_max = eta_max

        heads, width = num_heads, self.head_width
        self.input_projection = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.convolution = ShortConvolution(2 * hidden_size, conv_width)
        self.memory_init = nn.Parameter(torch.empty(heads, len(MEMORIES), width, width))
        self.eta_weight = nn.Parameter(torch.empty(heads, width))
        self.eta_bias = nn.Parameter(torch.empty(heads))
        self.alpha_weight = nn.Parameter(torch.empty(heads, width))
        self.alpha_bias = nn.Parameter(torch.empty(heads))
        self.read_norm = nn.RMSNorm(width, eps=1e-6)
        self.gate_projection = nn.Linear(hidden_size, hidden_size, bias=False)
        self.output_projection = nn.Linear(hidden_size, hidden_size, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise.

        | name                              | distribution                                        |
        |-----------------------------------|-----------------------------------------------------|
        | input, gate, output projection    | N(0, 1 / hidden_size)                               |
        | convolution                       | U(-1, 1) / sqrt(conv_width)                         |
        | memory_init                       | a random rotation per head and memory               |
        | eta_weight, alpha_weight          | N(0, 0.1^2)                                         |
        | eta_bias                          | a rate of 0.5 / chunk_size, at most eta_max / 2     |
        | alpha_bias                        | a retention from 0.999 (first head) to 0.995 (last) |
        | read_norm                         | 1                                                   |
        """
        for projection in (self.input_projection, self.gate_projection, self.output_projection):
            nn.init.normal_(projection.weight, std=self.hidden_size**-0.5)
        self.convolution.reset_parameters()
        for matrix in self.memory_init.detach().flatten(0, 1):
            nn.init.orthogonal_(matrix)
        nn.init.normal_(self.eta_weight, std=0.1)
        nn.init.normal_(self.alpha_weight, std=0.1)
        rate = min(0.5, 0.5 / (self.chunk_size * self.eta_max))
        nn.init.constant_(self.eta_bias, math.log(rate / (1 - rate)))
        with torch.no_grad():
            retention = torch.linspace(0.999, 0.995, self.num_heads, dtype=torch.float64)
            # The inverse of alpha = exp(-softplus(bias)).
            self.alpha_bias.copy_((1 / retention - 1).log())
        nn.init.ones_(self.read_norm.weight)

    def state_shapes(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """Return the shape (without batch) and dtype of every leaf of the state.

        A dtype of None is that of the parameters.
        """
        heads, width = self.num_heads, self.head_width
        memory_dtype = torch.promote_types(self.memory_init.dtype, torch.float32)
        return {
            "memory": ((heads, len(MEMORIES), width, width), memory_dtype),
            "pending": ((self.chunk_size, 2, heads, width), None),
            "pending_count": ((), torch.int64),
            "convolution": ((self.convolution.width - 1, 2 * self.hidden_size), None),
        }

    def forward(
        self, x: Tensor, state: State | None, lengths: Tensor
    ) -> tuple[Tensor, State | None]:
        """Read `x [B, T, d]` and write the memories; return `[B, T, d]` and the new state.

        Args:
            x: left-aligned; rows at or after a sequence's length are padding and invisible.
            state: leaves `[B, ...]` as `state_shapes` says, all zeros for a fresh context. None is
                fresh too, and returns None for the new state.
            lengths: `[B]`, int64.
        """
        x = mask_rows(x, lengths)
        tail = None if state is None else state["convolution"]
        mixed, convolution = self.convolution(self.input_projection(x), tail, lengths)
        # Unit length: the gates read u as it is, and no token may drive them far by its scale.
        tokens = unit_norm(
            functional.silu(mixed).unflatten(-1, (2, self.num_heads, self.head_width))
        )
        if state is None:
            return self._output(x, self._scan(tokens, None, lengths)[0]), None

        count = state["pending_count"]
        grid, total = append_rows(state["pending"], count, tokens, lengths)
        reads, memory = self._scan(grid, state["memory"], total)
        assert memory is not None and convolution is not None
        written = total // self.chunk_size * self.chunk_size
        return self._output(x, slice_rows(reads, count, x.shape[1], total)), {
            "memory": memory,
            "pending": slice_rows(grid, written, self.chunk_size, total),
            "pending_count": total - written,
            "convolution": convolution,
        }

    def _scan(
        self, tokens: Tensor, memory: Tensor | None, lengths: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Read `tokens [B, T, 2, H, K]`, pairs of u and q, from the start of a chunk on."""
        u, q = tokens.unbind(2)
        return self_modifying_scan(
            u,
            q,
            self.memory_init,
            memory,
            Gates(self.eta_weight, self.eta_bias, self.alpha_weight, self.alpha_bias),
            lengths,
            chunk_size=self.chunk_size,
            objective=self.objective,
            read=self.read,
            decay_to=self.decay_to,
            eta_max=self.eta_max,
        )

    def _output(self, x: Tensor, reads: Tensor) -> Tensor:
        gate = functional.silu(self.gate_projection(x))
        return self.output_projection(self.read_norm(reads.to(x.dtype)).flatten(2) * gate)
