"""Tokens that share the snapshots of all self-modifying memories: what they write and read.

The equations are those of `nestling.ops.self_modifying`; here stands how a memory is asked, how a
chunk's errors follow from its snapshot, and how its writes are solved for at once.

Shapes: B batch, H heads, C tokens, K head width, E width of an MLP, M memories, O rows of a matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nestling.ops.gated_delta import gated_delta_chunk
from nestling.ops.writes import Course, Memory

MEMORIES = ("k", "v", "eta", "alpha", "mem", "q")
KEY, VALUE, ETA, ALPHA, MEM, QUERY = range(len(MEMORIES))

Objective = Literal["l2", "dot_product"]
Read = Literal["running", "chunk"]
DecayTo = Literal["initial", "zero"]


class Gates(NamedTuple):
    """Static heads of rate, retention and momentum; None for a retention of 1, for no momentum.

    The gain is how much of what is written counts in what the memories make of a token; None for
    all of it. In what is read all of it counts.
    """

    eta_weight: Tensor  # [H, K]
    eta_bias: Tensor  # [H]
    alpha_weight: Tensor | None = None
    alpha_bias: Tensor | None = None
    mu_weight: Tensor | None = None
    mu_bias: Tensor | None = None
    gain: Tensor | None = None  # [H, M]

    def to(self, dtype: torch.dtype) -> "Gates":
        """The same heads in another precision."""
        weight, bias, *others = self
        return Gates(
            weight.to(dtype),
            bias.to(dtype),
            *(None if x is None else x.to(dtype) for x in others),
        )


@dataclass(frozen=True)
class Scheme:
    """How the memories modify themselves.

    Args:
        chunk_size: tokens that share a snapshot of M_mem.
        projection_chunk_size: tokens that share one of the other memories; None for the same. One
            of the two sizes is a multiple of the other.
        objective: "l2" is 1/2 |M(k) - vhat|^2, "dot_product" is -<M(k), vhat>.
        read: "running" reads M_mem as it stands after token t, "chunk" at the chunk's start.
        decay_to: what the retention and the delta decay lead to without writes.
        delta: whether a write first takes away what stands at its key (delta gradient descent).
        adaptive: the memories that are written beside M_mem; the others keep their state.
        eta_max: upper bound of the rate.
        read_initial: whether what is read of M_mem is read with its initial value.
    """

    chunk_size: int
    projection_chunk_size: int | None = None
    objective: Objective = "l2"
    read: Read = "running"
    decay_to: DecayTo = "initial"
    delta: bool = True
    adaptive: Sequence[str] = MEMORIES
    eta_max: float = 1.0
    read_initial: bool = True

    @property
    def chunk_sizes(self) -> tuple[int, int]:
        """Of M_mem and of the others."""
        return self.chunk_size, self.projection_chunk_size or self.chunk_size

    def due(self, token: int, memories: int, device: torch.device) -> Tensor | None:
        """Which of M memories take a snapshot before a token, `[M, 1, 1]`; None for all of them."""
        mem, others = (token % size == 0 for size in self.chunk_sizes)
        if mem and others:
            return None
        due = torch.full((memories, 1, 1), others, device=device)
        due[MEM] = mem
        return due

    def written(self, memories: int, device: torch.device) -> Tensor | None:
        """Which of M memories are written, `[M, 1, 1]`; None for all of them."""
        names = MEMORIES[:memories]
        if all(name == "mem" or name in self.adaptive for name in names):
            return None
        written = [name == "mem" or name in self.adaptive for name in names]
        return torch.tensor(written, device=device)[:, None, None]


class Tokens(NamedTuple):
    """What the memories make of tokens that share their snapshots."""

    k: Tensor  # [B, H, C, K]
    v: Tensor  # [B, H, C, K]
    q: Tensor  # [B, H, C, K]
    eta: Tensor  # [B, H, C]
    log_alpha: Tensor  # [B, H, C]
    log_mu: Tensor | None  # [B, H, C]
    m_mem: tuple[Tensor, ...]  # [B, H, 1, ...], the snapshot of M_mem that makes the targets


def read_tokens(
    u: Tensor,
    c: Tensor | None,
    q: Tensor,
    snapshot: Sequence[Tensor],
    gates: Gates,
    eta_max: float,
) -> Tokens:
    """Ask the memories what u, c and q `[B, H, C, K]` become; without c, u is the value's, too."""
    # One split instead of slices: its backward fills the gradient only once.
    parts = [w.split((2, 2, 1, w.shape[2] - MEM - 1), dim=2) for w in snapshot]
    m_k_v, m_eta_alpha, m_mem, m_q = zip(*parts, strict=True)
    if c is None:
        k, v = (unit_norm(x) for x in _asked(m_k_v, u).unbind(2))
    else:
        m_k, m_v = zip(*(w.split(1, dim=2) for w in m_k_v), strict=True)
        k, v = (unit_norm(_asked(m, x).squeeze(2)) for m, x in ((m_k, u), (m_v, c)))
    q = q if m_q[0].shape[2] == 0 else unit_norm(_asked(m_q, q).squeeze(2))
    return Tokens(k, v, q, *rates(*_gate_logits(m_eta_alpha, u, gates), eta_max), m_mem)


class FactoredPassage:
    """Writes and reads of one matrix per memory, without momentum.

    Errors are linear in the snapshot, M_S c_t, so a chunk does the same to all memories: it solves
    for what it keeps and what it writes, W_end = W P + M_S G, whatever the number of memories.
    """

    def __init__(
        self, tokens: Tokens, snapshot: Sequence[Tensor], now: Memory, scheme: Scheme
    ) -> None:
        self.tokens, self.snapshot, self.weight = tokens, snapshot[0], now.weights[0]
        errors = tokens.k - tokens.v if scheme.objective == "l2" else -tokens.v
        queries = tokens.q if scheme.read == "running" else None
        self.factors, self.running = gated_delta_chunk(
            tokens.k, errors, tokens.log_alpha, tokens.eta, queries
        )

    def end(self) -> Memory:
        """The state after the last token."""
        kept, written = self.factors.chunk(2, dim=-2)
        old, asked = (x.flatten(0, 1).flatten(1, 2) for x in (self.weight, self.snapshot))
        weight = torch.baddbmm(old @ kept.flatten(0, 1), asked, written.flatten(0, 1))
        return Memory((weight.view_as(self.weight),))

    def read(self, anchor: Sequence[Tensor], shown: Sequence[Tensor]) -> Tensor:
        """What M_mem answers to the queries: `[B, H, C, K]`.

        Args:
            anchor: what is read beside what is written, zeros for nothing.
            shown: the same with all that was written up to the snapshot.
        """
        if self.running is None:
            return self.tokens.q @ shown[0][:, :, MEM].mT
        (m_mem,) = self.tokens.m_mem
        kept, written = self.running.chunk(2, dim=-1)
        answer = self.tokens.q @ anchor[0][:, MEM].mT + kept @ self.weight[:, :, MEM].mT
        return answer + written @ m_mem.squeeze(2).mT


class Passage:
    """Writes and reads of any kind of memory."""

    def __init__(
        self, tokens: Tokens, snapshot: Sequence[Tensor], now: Memory, scheme: Scheme
    ) -> None:
        self.tokens, self.now, self.read_at = tokens, now, scheme.read
        log_alpha, log_mu = tokens.log_alpha, tokens.log_mu
        self.inputs, errors = _gradients(snapshot, tokens.k, tokens.v, scheme.objective)
        # The first matrices of all memories have the same input: one matrix with M times the rows.
        # The second ones have inputs of their own.
        self.weights = [now.weights[0].flatten(2, 3), *now.weights[1:]]
        self.momenta: list[Tensor | None] = [None] * len(self.weights)
        if now.momenta:
            self.momenta = [now.momenta[0].flatten(2, 3), *now.momenta[1:]]
        self.courses, rates = [Course(log_alpha, log_mu, delta=scheme.delta)], [tokens.eta]
        if len(snapshot) > 1:
            apart = log_alpha[:, :, None], None if log_mu is None else log_mu[:, :, None]
            self.courses.append(Course(*apart, delta=scheme.delta))
            sizes = self.inputs[1].square().sum(-1)
            rates.append(tokens.eta[:, :, None] / sizes.clamp(min=1.0))
        self.writes = [
            course.writes(z, e, rate, weight, momentum)
            for course, z, e, rate, weight, momentum in zip(
                self.courses, self.inputs, errors, rates, self.weights, self.momenta, strict=True
            )
        ]

    def end(self) -> Memory:
        """The state after the last token."""
        weights, momenta = [], []
        for place, now in enumerate(self.now.weights):
            weight, momentum = self.courses[place].end(
                self.inputs[place], self.writes[place], self.weights[place], self.momenta[place]
            )
            weights.append(weight.view_as(now))
            if momentum is not None:
                momenta.append(momentum.view_as(now))
        return Memory(tuple(weights), tuple(momenta))

    def read(self, anchor: Sequence[Tensor], shown: Sequence[Tensor]) -> Tensor:
        """What M_mem answers to the queries, as `FactoredPassage` does."""
        q, answer = self.tokens.q, self.tokens.q
        if self.read_at == "chunk":
            return _asked([w[:, :, MEM : MEM + 1] for w in shown], q).squeeze(2)
        rows = self.now.weights[0].shape[3]
        for place, weight in enumerate(self.now.weights):
            z, writes = self.inputs[place], self.writes[place]
            if place == 0:
                writes = tuple(x[..., MEM * rows : (MEM + 1) * rows] for x in writes)
            else:
                answer = functional.silu(answer)
                z, writes = z[:, :, MEM], tuple(x[:, :, MEM] for x in writes)
            momentum = self.now.momenta[place][:, :, MEM] if self.now.momenta else None
            moved = self.courses[0].read(answer, z, writes, weight[:, :, MEM], momentum)
            answer = answer @ anchor[place][:, MEM].mT + moved
        return answer if len(self.now.weights) == 1 else q + answer


def _gate_logits(
    weights: Sequence[Tensor], u: Tensor, gates: Gates
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Logits of rate, retention and momentum, [B, H, C] each, of the tokens u [B, H, C, K].

    The weights are M_eta and M_alpha [B, H, 2, ...]; a head is first multiplied by the last matrix.
    """
    heads = torch.stack([gates.eta_weight, torch.zeros_like(gates.eta_weight)], 1)
    if gates.alpha_weight is not None:
        heads = torch.stack([gates.eta_weight, gates.alpha_weight], 1)
    rows = (heads[:, :, None] @ weights[-1]).squeeze(-2)
    if len(weights) == 1:
        logits = u @ rows.mT
    else:
        h = (u @ weights[0].flatten(2, 3).mT).unflatten(-1, weights[0].shape[2:4])
        logits = (functional.silu(h) * rows[:, :, None]).sum(-1) + u @ heads.mT
    eta, alpha = logits.unbind(-1)
    mu = None
    if gates.mu_weight is not None and gates.mu_bias is not None:
        mu = (u @ gates.mu_weight[..., None]).squeeze(-1) + gates.mu_bias[:, None]
    alpha = None if gates.alpha_bias is None else alpha + gates.alpha_bias[:, None]
    return eta + gates.eta_bias[:, None], alpha, mu


def rates(
    eta: Tensor, alpha: Tensor | None, mu: Tensor | None, eta_max: float
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The rate, bounded for stable writes (NL §4.6), and the logarithms of the other two."""
    log_alpha = torch.zeros_like(eta) if alpha is None else -functional.softplus(alpha)
    eta = torch.minimum(eta_max * eta.sigmoid(), (1 + log_alpha.exp()) / 2)
    if mu is None:
        return eta, log_alpha, None
    # A gradient counts 1 / (1 - mu) times in the end.
    return eta * (-mu).sigmoid(), log_alpha, functional.logsigmoid(mu)


def unit_norm(x: Tensor) -> Tensor:
    """Scale the last dimension to length 1, smoothly to 0 below a length of about 1e-3."""
    # The squares of half precision would overflow from a length of 256 on.
    exact = x.to(torch.promote_types(x.dtype, torch.float32))
    return x * (exact.square().sum(-1, keepdim=True) + 1e-6).rsqrt().to(x.dtype)


def _asked(weights: Sequence[Tensor], z: Tensor) -> Tensor:
    """What memories [B, H, M, ...] answer to the tokens z [B, H, C, K]: [B, H, M, C, K]."""
    h = (z @ weights[0].flatten(2, 3).mT).unflatten(-1, weights[0].shape[2:4]).transpose(2, 3)
    if len(weights) == 1:
        return h
    return z[:, :, None] + functional.silu(h) @ weights[1].mT


def _gradients(
    snapshot: Sequence[Tensor], k: Tensor, v: Tensor, objective: Objective
) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and errors whose outer products are the gradients of each matrix.

    The first matrix has inputs [B, H, C, K] and errors of all memories [B, H, C, M O], a second one
    inputs [B, H, M, C, E] and errors [B, H, M, C, K].
    """
    first = snapshot[0].flatten(2, 3)
    if len(snapshot) == 1:
        # The error is linear in the memory: M k - M v.
        return [k], [(k - v if objective == "l2" else -v) @ first.mT]
    before = (k @ first.mT).unflatten(-1, snapshot[0].shape[2:4]).transpose(2, 3)
    share = before.sigmoid()
    active = before * share
    error = -_asked(snapshot, v)
    if objective == "l2":
        error = error + k[:, :, None] + active @ snapshot[1].mT
    slope = share * (1 + before * (1 - share))
    below = (error @ snapshot[1]) * slope
    return [k, active], [below.transpose(2, 3).flatten(3), error]
