"""Self-modifying Titans: the mixer of Hope (NL §4.2-4.7, [L 83-93]).

    x -> input projection -> short convolution -> SiLU -> u, q   (static, of unit length per head)
    u -> five memories per head -> key, value, rate, retention -> they write all five
    q -> M_mem -> RMSNorm -> times SiLU(gate projection of x) -> output projection

The memories start from a learned value and the state holds their deviation from it, so a state of
zeros is a fresh one. Tokens of a chunk that is not full yet wait in the state: where the input is
split changes nothing. `SelfModifyingOptions` says what the memories are and how they are written.

Two departures keep the memories alive, because a self-modifying memory makes its own targets:

- Retention and delta decay act on the deviation. To the letter of eq. 88 (`decay_to="zero"`) they
  act on the memory itself, in which every target is linear: what fades never comes back. After
  4,096 random tokens (initial parameters, width 64, 2 heads) |M| is 0.91 of what it was, and 0.006
  to the letter.
- The value v = M_v u has unit length, like k and q. A free one feeds back quadratically: M_v makes
  v, M_v v is the target, and the target is written into M_v.

What a token is bound to is often the token before it, and with one input for key and value a head
has to find room for both in its few dimensions. With `own_value_input` the value is made of an
input c of its own, as NL §4.7 puts a static map before each memory.

u and q leave a SiLU, which is hardly ever negative: their components share a sign, and those of a
key that M_k has turned away do not, so that a query, which no memory turns, finds it late in
training. Matrices may begin as the identity instead (`initial="identity"`), as an MLP nearly does
by its residual: associative recall is then learned in far fewer steps.

All memories are written with one key and rate, so that a token which M_mem has to keep turns M_k
as far: later keys are no longer those of a query, which is made of q alone; and what is to be kept,
M_mem v, comes with what M_mem already holds at v. With `self_gain` a learned share, per head and
memory, of what is written counts in what the memories make of a token, and all of it in what is
read. A query is answered by the initial value of M_mem besides, as loudly as by what was written,
and with the identity that is the query itself; with `read_initial=False` what was written answers
alone. Both decide whether a memory can be filled (`mqar`).

What the heads of rate and retention read is of unit length, and so what they say of a token begins
and stays near what they say of all, for as long as their weights have to grow. `gate_scale`
multiplies it: with the square root of the hidden size they begin as selective as those of DeltaNet.

The paper leaves the heads of rate and retention and the range of the rate open (NL §4.7): the heads
are static, and the rate is bounded so that no decay overshoots. That bound leaves out the error of
"l2", which is as old as the chunk: on random tokens, rates from 0.9 on (in chunks of 64, from 0.5
on) let the memories grow, so that by default no rate exceeds 3 / chunk_size, and all start at
0.5 / chunk_size. With "dot_product" a matrix is written by the plain delta rule: its rate may be 1
in any chunk, and starts at 0.5; what it holds at a key that is its own value grows by each write,
until retention stops it. An MLP is less patient: at most 0.1 and 3 / chunk_size, without the
delta decay 1 / chunk_size, and 0.1 / chunk_size with "dot_product", where nothing but retention
holds its first matrix. Momentum makes a gradient count 1 / (1 - mu) times, so the rate is 1 - mu
times as large.

Momentum is the paper's, token by token: the write of a token enters the memory at once and goes on
entering it, weaker by mu each time. Its mu comes from a static head on u.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from nestling.mixers.heads import head_width
from nestling.mixers.short_convolution import ShortConvolution
from nestling.ops.packing import append_rows, mask_rows, slice_rows
from nestling.ops.passage import (
    MEMORIES,
    DecayTo,
    Gates,
    Objective,
    Read,
    Scheme,
    unit_norm,
)
from nestling.ops.self_modifying import self_modifying_scan
from nestling.ops.writes import Memory

State = dict[str, Tensor]
# Where SiLU is 1.
OPEN = 1.2785
Initial = Literal["rotation", "identity"]
ADAPTIVE = tuple(name for name in MEMORIES if name != "mem")


@dataclass(frozen=True)
class SelfModifyingOptions:
    """What the memories are and how they are written.

    Args:
        memory: "linear", a matrix, or "mlp", two of them around a SiLU with a residual.
        expansion: width of an MLP in units of a head's.
        adaptive: which of "k", "v", "eta", "alpha" and "q" are memories that are written; the
            others stay what training made them. "q" brings a sixth memory.
        momentum: whether writes go on entering the memory (NL §4.7).
        delta: whether a write first takes away what stands at its key (delta gradient descent).
        retention: whether the memories fade to what `decay_to` says.
        decay_to: "initial" (their learned value) or "zero" (NL eq. 88 to the letter).
        objective: what a write minimises, "l2" or "dot_product".
        read: "running" reads the memory after each token, "chunk" at the start of its chunk.
        projection_chunk_size: tokens that share a snapshot of the memories other than M_mem; None
            for the chunk size of M_mem. One of the two is a multiple of the other.
        eta_max: upper bound of the rate; None for the largest that is stable.
        own_value_input: whether the value is made of an input of its own.
        open_gates: whether the gates of the output begin open instead of at random.
        initial: what matrices begin as: "rotation", a random one each, or "identity", with which
            the plain delta rule, whose rate may be 1, makes much of rounding after thousands of
            tokens; with `eta_max=0.5` it does not.
        self_gain: between 0 and 1, how much of what is written counts in what the memories make of
            a token, before training, which learns it; None for all of it, always.
        read_initial: whether the initial value of M_mem answers queries beside what is written; for
            matrices alone.
        gate_scale: by how much what the heads of rate and retention read is multiplied.
        eta_spread: how many times the rate of the last head the rate of the first one begins at.

    Raises:
        ValueError: for a name or number outside of these.
    """

    memory: Literal["linear", "mlp"] = "linear"
    expansion: int = 2
    adaptive: tuple[str, ...] = ("k", "v", "eta", "alpha")
    momentum: bool = False
    delta: bool = True
    retention: bool = True
    decay_to: DecayTo = "initial"
    objective: Objective = "l2"
    read: Read = "running"
    projection_chunk_size: int | None = None
    eta_max: float | None = None
    own_value_input: bool = False
    open_gates: bool = False
    initial: Initial = "rotation"
    self_gain: float | None = None
    read_initial: bool = True
    gate_scale: float = 1.0
    eta_spread: float = 50.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "adaptive", tuple(self.adaptive))
        for name, allowed in (
            ("memory", ("linear", "mlp")),
            ("decay_to", get_args(DecayTo)),
            ("objective", get_args(Objective)),
            ("read", get_args(Read)),
            ("initial", get_args(Initial)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is one of {allowed}, got {getattr(self, name)!r}")
        if self.memory == "mlp" and self.initial != "rotation":
            raise ValueError(
                "an MLP begins near the identity as it is; leave initial at 'rotation'"
            )
        if set(self.adaptive) - set(ADAPTIVE):
            raise ValueError(f"adaptive names some of {ADAPTIVE}, got {self.adaptive}")
        if self.expansion < 1:
            raise ValueError(f"expansion is {self.expansion}: it must be at least 1; 2 is usual")
        if self.eta_max is not None and not self.eta_max > 0:
            raise ValueError(f"eta_max is {self.eta_max}: it must be positive; 1 is usual")
        if self.memory == "mlp" and not self.read_initial:
            raise ValueError("an MLP is read as a whole; leave read_initial at True")
        if self.decay_to != "initial" and (self.self_gain is not None or not self.read_initial):
            raise ValueError(
                "self_gain and read_initial are about what memories differ by from their initial "
                f"value; leave decay_to at 'initial' with them, got {self.decay_to!r}"
            )
        if not 0 < self.gate_scale < math.inf:
            raise ValueError(
                f"gate_scale is {self.gate_scale}: it must be positive and finite; 1 is usual"
            )
        if not 1 <= self.eta_spread < math.inf:
            raise ValueError(
                f"eta_spread is {self.eta_spread}: it must be finite and at least 1, with which "
                "all heads begin alike; 50 is usual"
            )
        if self.self_gain is not None and not 0 < self.self_gain < 1:
            raise ValueError(
                f"self_gain is {self.self_gain}: it must be between 0 and 1; "
                "0.1 is usual, None for all"
            )

    def scheme(self, chunk_size: int) -> Scheme:
        """How memories of this kind modify themselves in chunks of a size.

        Raises:
            ValueError: for chunk sizes of which none is a multiple of the other.
        """
        own = self.projection_chunk_size
        other = chunk_size if own is None else own
        if other < 1 or max(chunk_size, other) % min(chunk_size, other):
            raise ValueError(
                f"projection_chunk_size is {other} and chunk_size {chunk_size}: "
                "one of them must be a multiple of the other"
            )
        return Scheme(
            chunk_size,
            other,
            objective=self.objective,
            read=self.read,
            decay_to=self.decay_to,
            delta=self.delta,
            adaptive=self.adaptive,
            read_initial=self.read_initial,
            eta_max=self.eta_max or self._stable_rate(max(chunk_size, other)),
        )

    @property
    def is_delta_rule(self) -> bool:
        """Whether only targets, and no error, are as old as a chunk: no rate up to 1 overshoots."""
        return (
            self.memory == "linear"
            and self.objective == "dot_product"
            and self.delta
            and not self.momentum
        )

    def _stable_rate(self, chunk_size: int) -> float:
        if self.is_delta_rule:
            return 1.0
        if self.memory == "linear":
            return min(1.0, 3.0 / chunk_size)
        if self.objective == "dot_product":
            return 0.1 / chunk_size
        return min(0.1, (3.0 if self.delta else 1.0) / chunk_size)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "adaptive": list(self.adaptive)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SelfModifyingOptions":
        """Options from their fields; raises ValueError for any other."""
        known = [item.name for item in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise ValueError(f"self_modifying has no {unknown}; it has {known}")
        return cls(**values)


class SelfModifyingTitans(nn.Module):
    """Five or six memories per head that generate their own keys, values, rates and targets."""

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        chunk_size: int = 64,
        conv_width: int = 4,
        options: SelfModifyingOptions | None = None,
    ):
        """Build the mixer.

        Args:
            hidden_size: width d of the input and output; a multiple of `num_heads`.
            num_heads: heads, each with its own memories of width K = d / heads.
            chunk_size: tokens that share a snapshot of M_mem. Use the one of the training.
            conv_width: tokens that the convolution sees, itself included.
            options: what the memories are and how they are written; None for the defaults.

        Raises:
            ValueError: for a size out of range.
        """
        super().__init__()
        self.head_width = head_width(hidden_size, num_heads, chunk_size)
        self.options = options or SelfModifyingOptions()
        self.scheme = self.options.scheme(chunk_size)
        self.hidden_size = hidden_size
        self.num_heads = num_heads
        # Tokens wait until both kinds of memories have a whole chunk.
        self.chunk_size = max(self.scheme.chunk_sizes)

        heads, width = num_heads, self.head_width
        memories = len(MEMORIES) if "q" in self.options.adaptive else len(MEMORIES) - 1
        shapes = [(width, width)]
        if self.options.memory == "mlp":
            inner = self.options.expansion * width
            shapes = [(inner, width), (width, inner)]
        # u and q, and c between them.
        self.parts = 3 if self.options.own_value_input else 2
        self.input_projection = nn.Linear(hidden_size, self.parts * hidden_size, bias=False)
        self.convolution = ShortConvolution(self.parts * hidden_size, conv_width)
        self.memory_init = nn.ParameterList(
            nn.Parameter(torch.empty(heads, memories, *shape)) for shape in shapes
        )
        self.eta_weight = nn.Parameter(torch.empty(heads, width))
        self.eta_bias = nn.Parameter(torch.empty(heads))
        if self.options.retention:
            self.alpha_weight = nn.Parameter(torch.empty(heads, width))
            self.alpha_bias = nn.Parameter(torch.empty(heads))
        if self.options.momentum:
            self.mu_weight = nn.Parameter(torch.empty(heads, width))
            self.mu_bias = nn.Parameter(torch.empty(heads))
        if self.options.self_gain is not None:
            self.gain_bias = nn.Parameter(torch.empty(heads, memories))
        self.read_norm = nn.RMSNorm(width, eps=1e-6)
        self.gate_projection = nn.Linear(hidden_size, hidden_size, bias=self.options.open_gates)
        self.output_projection = nn.Linear(hidden_size, hidden_size, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise.

        | name                              | distribution                                        |
        |-----------------------------------|-----------------------------------------------------|
        | input, output, gate projection    | N(0, 1 / hidden_size)                               |
        | gate projection, open             | N(0, 0.01 / hidden_size), and 1 is the first gate   |
        | convolution                       | U(-1, 1) / sqrt(conv_width)                         |
        | memory_init, a matrix             | a random rotation per head and memory, or the       |
        |                                   | identity, as the options say                        |
        | memory_init, an MLP               | N(0, 1), then such that it adds a vector of length 1|
        | eta, alpha, mu_weight             | N(0, 0.1^2)                                         |
        | eta_bias                          | a rate of 0.5 / chunk_size, at most eta_max / 2, of |
        |                                   | 0.5 for the plain delta rule (first head), to that  |
        |                                   | over `eta_spread` (last)                            |
        | alpha_bias                        | a retention from 0.999 (first head) to 0.99999, for |
        |                                   | MLPs to 0.995                                       |
        | mu_bias                           | a momentum of 0.5                                   |
        | gain_bias                         | a gain of `self_gain`                               |
        | read_norm                         | 1                                                   |

        Rates and retentions of the heads in between are evenly spaced in the logarithm: some heads
        know what was written last, others count.
        """
        std, gates = self.hidden_size**-0.5, self.gate_projection
        for projection in (self.input_projection, gates, self.output_projection):
            if projection is not gates or not self.options.open_gates:
                nn.init.normal_(projection.weight, std=std)
        if self.options.open_gates:
            nn.init.normal_(gates.weight, std=0.1 * std)
            nn.init.constant_(gates.bias, OPEN)
        self.convolution.reset_parameters()
        if self.options.initial == "identity":
            with torch.no_grad():
                self.memory_init[0].copy_(torch.eye(self.head_width))
        elif len(self.memory_init) == 1:
            for matrix in self.memory_init[0].detach().flatten(0, 1):
                # There is no QR in half precision.
                precise = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
                matrix.copy_(nn.init.orthogonal_(precise))
        else:
            first, second = self.memory_init
            nn.init.normal_(first)
            # The mean square of silu(N(0, 1)) is 0.356.
            nn.init.normal_(second, std=(0.356 * second.shape[-2] * second.shape[-1]) ** -0.5)
        eta_max = self.scheme.eta_max
        # Of eta_max; tokens that share a stale error write together.
        stale = 1 if self.options.is_delta_rule else self.chunk_size
        rate = min(0.5, 0.5 / (stale * eta_max))
        slower = torch.linspace(0, 1, self.num_heads, dtype=torch.float64)
        nn.init.normal_(self.eta_weight, std=0.1)
        with torch.no_grad():
            self.eta_bias.copy_((rate * self.options.eta_spread**-slower).logit())
        if self.options.retention:
            nn.init.normal_(self.alpha_weight, std=0.1)
            with torch.no_grad():
                # 1 - alpha = sigmoid(bias). Only forgetting bounds what MLPs write.
                factor = 0.01 if self.options.memory == "linear" else 5.0
                self.alpha_bias.copy_((1e-3 * factor**slower).logit())
        if self.options.momentum:
            nn.init.normal_(self.mu_weight, std=0.1)
            nn.init.zeros_(self.mu_bias)
        if self.options.self_gain is not None:
            share = self.options.self_gain
            nn.init.constant_(self.gain_bias, math.log(share / (1 - share)))
        nn.init.ones_(self.read_norm.weight)

    def state_shapes(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """Return the shape (without batch) and dtype of every leaf of the state.

        A dtype of None is that of the parameters.
        """
        heads, width = self.num_heads, self.head_width
        memory_dtype = torch.promote_types(self.memory_init[0].dtype, torch.float32)
        shapes: dict[str, tuple[tuple[int, ...], torch.dtype | None]] = {
            "pending": ((self.chunk_size, self.parts, heads, width), None),
            "pending_count": ((), torch.int64),
            "convolution": ((self.convolution.width - 1, self.parts * self.hidden_size), None),
        }
        for place, weight in enumerate(self.memory_init):
            shapes[f"memory.{place}"] = (tuple(weight.shape), memory_dtype)
            if self.options.momentum:
                shapes[f"momentum.{place}"] = (tuple(weight.shape), memory_dtype)
        return shapes

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
            functional.silu(mixed).unflatten(-1, (self.parts, self.num_heads, self.head_width))
        )
        if state is None:
            return self._output(x, self._scan(tokens, None, lengths)[0]), None

        count = state["pending_count"]
        grid, total = append_rows(state["pending"], count, tokens, lengths)
        reads, memory = self._scan(grid, self._memory(state), total)
        assert memory is not None and convolution is not None
        written = total // self.chunk_size * self.chunk_size
        return self._output(x, slice_rows(reads, count, x.shape[1], total)), {
            **{f"memory.{place}": weight for place, weight in enumerate(memory.weights)},
            **{f"momentum.{place}": momentum for place, momentum in enumerate(memory.momenta)},
            "pending": slice_rows(grid, written, self.chunk_size, total),
            "pending_count": total - written,
            "convolution": convolution,
        }

    def _memory(self, state: State) -> Memory:
        places = range(len(self.memory_init))
        momenta = tuple(state[f"momentum.{i}"] for i in places) if self.options.momentum else ()
        return Memory(tuple(state[f"memory.{i}"] for i in places), momenta)

    def _scan(
        self, tokens: Tensor, memory: Memory | None, lengths: Tensor
    ) -> tuple[Tensor, Memory | None]:
        """Read `tokens [B, T, parts, H, K]`, u, maybe c, and q, from the start of a chunk on."""
        u, *c, q = tokens.unbind(2)
        scale = self.options.gate_scale
        gates = Gates(scale * self.eta_weight, self.eta_bias)
        if self.options.retention:
            gates = gates._replace(
                alpha_weight=scale * self.alpha_weight, alpha_bias=self.alpha_bias
            )
        if self.options.momentum:
            gates = gates._replace(mu_weight=self.mu_weight, mu_bias=self.mu_bias)
        if self.options.self_gain is not None:
            gates = gates._replace(gain=self.gain_bias.sigmoid())
        initial = tuple(self.memory_init)
        return self_modifying_scan(
            u, c[0] if c else None, q, initial, memory, gates, lengths, self.scheme
        )

    def _output(self, x: Tensor, reads: Tensor) -> Tensor:
        gate = functional.silu(self.gate_projection(x))
        return self.output_projection(self.read_norm(reads.to(x.dtype)).flatten(2) * gate)
