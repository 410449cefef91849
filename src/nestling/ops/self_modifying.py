"""Self-modifying linear memories as one scan over chunks (NL §4.2-4.4, [L 88, 93]).

Five matrices per head, M_k, M_v, M_eta, M_alpha and M_mem, turn a token's input u_t into its key,
value, rate and retention and answer its query, and are all written with that key, rate and
retention. A memory is M = A + D: only D decays, and the anchor A is M's initial value
(`decay_to="initial"`) or zero, the letter of eq. 88. With S the state at the start of the chunk:

    k_t = M_k,S u_t / |M_k,S u_t|                      v_t = M_v,S u_t / |M_v,S u_t|
    alpha_t = exp(-softplus(w_alpha . M_alpha,S u_t + b_alpha))
    eta_t = min(eta_max sigmoid(w_eta . M_eta,S u_t + b_eta), (1 + alpha_t) / 2)
    vhat_t = M_S v_t          e_t = M_S k_t - vhat_t   ("l2") or -vhat_t ("dot_product")
    D <- D (alpha_t I - eta_t k_t k_t^T) - eta_t e_t k_t^T              for every M of the five

Each memory makes its own target, so its errors are linear in its state, M_S (k_t - v_t), and a
chunk does the same to all five: D_end = D_S P + M_S G, with the K x K matrices P of what it keeps
and G of what it writes. `self_modifying_scan` solves for both at once; `self_modifying_loop` is the
specification, token by token.

That v has unit length is ours: a free v grows with M_v, which is written with M_v v, so the memory
feeds back on itself quadratically and can diverge. So is the anchor: with A = 0 every target is
linear in M, and whatever shrinks all five memories is never undone.

Shapes: B batch, T tokens, H heads, K head width, M memories (in the order of `MEMORIES`), C chunk.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nestling.ops.gated_delta import gated_delta_chunk
from nestling.ops.packing import mask_rows

MEMORIES = ("k", "v", "eta", "alpha", "mem")
KEY, VALUE, ETA, ALPHA, MEM = range(len(MEMORIES))

Objective = Literal["l2", "dot_product"]
Read = Literal["running", "chunk"]
DecayTo = Literal["initial", "zero"]


class Gates(NamedTuple):
    """Static heads that read a rate and a retention from what M_eta and M_alpha answer."""

    eta_weight: Tensor  # [H, K]
    eta_bias: Tensor  # [H]
    alpha_weight: Tensor  # [H, K]
    alpha_bias: Tensor  # [H]


def self_modifying_scan(
    inputs: Tensor,
    queries: Tensor,
    initial: Tensor,
    state: Tensor | None,
    gates: Gates,
    lengths: Tensor,
    *,
    chunk_size: int,
    objective: Objective = "l2",
    read: Read = "running",
    decay_to: DecayTo = "initial",
    eta_max: float = 1.0,
) -> tuple[Tensor, Tensor | None]:
    """Read T tokens with five self-modifying memories per head, one chunk at a time (NL §4.3).

    Args:
        inputs: `u [B, T, H, K]`, left-aligned; row 0 stands at the start of a chunk.
        queries: `q [B, T, H, K]`.
        initial: `[H, M, K, K]`, the memories of a fresh sequence; the computation runs in float64
            if they are float64, else in float32.
        state: `[B, H, M, K, K]`, what the memories differ by from `initial`; None is fresh.
        gates: the static heads of rate and retention.
        lengths: `[B]`; rows at or after a sequence's length are invisible.
        chunk_size: tokens that share a snapshot.
        objective: "l2" is 1/2 |M k - vhat|^2, "dot_product" is -<M k, vhat>.
        read: "running" reads M_mem as it stands after token t, "chunk" at the chunk's start.
        decay_to: what the retention and the delta decay lead to without writes.
        eta_max: upper bound of the rate.

    Returns:
        The reads `[B, T, H, K]`, zero at invisible rows, and the state after each sequence's last
        whole chunk (the tokens of an unfinished chunk are read but leave no trace); None for None.
    """
    batch, tokens, _, width = inputs.shape
    chunks = max(1, -(-tokens // chunk_size))
    dtype = torch.promote_types(initial.dtype, torch.float32)

    def split(x: Tensor) -> tuple[Tensor, ...]:
        x = functional.pad(x, (0, 0, 0, 0, 0, chunks * chunk_size - tokens))
        x = x.unflatten(1, (chunks, chunk_size)).permute(1, 0, 3, 2, 4)
        return x.contiguous().unbind()

    # Autocast would round the state to half precision at every chunk.
    with torch.autocast(inputs.device.type, enabled=False):
        inputs, queries = (mask_rows(x, lengths).to(dtype) for x in (inputs, queries))
        # Padding stands behind a sequence's last token, so only an unfinished chunk holds any, and
        # such a chunk is not kept: invisible tokens need no masks of their own.
        ends = chunk_size * torch.arange(1, chunks + 1, device=lengths.device)
        whole = (ends <= lengths[:, None]).view(batch, chunks, 1, 1, 1)
        gate_weight = torch.stack([gates.eta_weight, gates.alpha_weight], 1).to(dtype)
        gate_bias = torch.stack([gates.eta_bias, gates.alpha_bias], -1).to(dtype)
        initial = initial.to(dtype)
        anchor, decaying = _anchor_and_decaying(initial, state, batch, decay_to)
        # What a chunk that is not kept does: keep all, write nothing.
        untouched = torch.eye(2 * width, width, dtype=dtype, device=initial.device)

        reads = []
        for chunk, (u, q) in enumerate(zip(split(inputs), split(queries), strict=True)):
            memory = anchor + decaying
            # One split instead of slices: its backward fills the gradient only once.
            m_k_v, m_eta_alpha, m_mem = memory.split((2, 2, 1), dim=2)
            k, v = (unit_norm(x) for x in (u @ m_k_v.flatten(2, 3).mT).chunk(2, dim=-1))
            gate_rows = (gate_weight[:, :, None] @ m_eta_alpha).squeeze(-2)
            gate_logits = u @ gate_rows.mT + gate_bias[:, None]
            eta, log_alpha = _rates(*gate_logits.unbind(-1), eta_max)
            factors, running = gated_delta_chunk(
                k, _error(k, v, objective), log_alpha, eta, q if read == "running" else None
            )
            if running is None:
                reads.append(q @ m_mem.squeeze(2).mT)
            else:
                kept, written = running.chunk(2, dim=-1)
                kept = q @ anchor[:, MEM].mT + kept @ decaying[:, :, MEM].mT
                reads.append(kept + written @ m_mem.squeeze(2).mT)

            if state is not None:
                factors = torch.where(whole[:, chunk], factors, untouched)
            elif chunk == chunks - 1:
                break
            kept, written = factors.chunk(2, dim=-2)
            decaying = decaying.flatten(2, 3) @ kept + memory.flatten(2, 3) @ written
            decaying = decaying.unflatten(2, (len(MEMORIES), width))
        y = torch.cat(reads, 2)[:, :, :tokens].transpose(1, 2)
        return y, None if state is None else decaying + (anchor - initial)


def self_modifying_loop(
    inputs: Tensor,
    queries: Tensor,
    initial: Tensor,
    state: Tensor | None,
    gates: Gates,
    lengths: Tensor,
    *,
    chunk_size: int,
    objective: Objective = "l2",
    read: Read = "running",
    decay_to: DecayTo = "initial",
    eta_max: float = 1.0,
) -> tuple[Tensor, Tensor | None]:
    """Do what `self_modifying_scan` does, token by token: its specification."""
    initial = initial.to(torch.promote_types(initial.dtype, torch.float32))
    inputs, queries = (mask_rows(x, lengths).to(initial.dtype) for x in (inputs, queries))
    anchor, decaying = _anchor_and_decaying(initial, state, len(inputs), decay_to)
    reads = []
    for start in range(0, inputs.shape[1], chunk_size):
        before, snapshot = decaying, anchor + decaying
        for t in range(start, min(start + chunk_size, inputs.shape[1])):
            visible = (t < lengths)[:, None, None]
            k, v, for_eta, for_alpha = (
                _matvec(snapshot[:, :, memory], inputs[:, t]) for memory in (KEY, VALUE, ETA, ALPHA)
            )
            k, v = unit_norm(k), unit_norm(v)
            eta, log_alpha = _rates(
                (for_eta * gates.eta_weight).sum(-1) + gates.eta_bias,
                (for_alpha * gates.alpha_weight).sum(-1) + gates.alpha_bias,
                eta_max,
            )
            eta, alpha = eta[..., None, None, None], log_alpha.exp()[..., None, None, None]

            k_of_each, v_of_each = k[:, :, None], v[:, :, None]
            vhat = _matvec(snapshot, v_of_each)
            error = _error(_matvec(snapshot, k_of_each), vhat, objective)
            change = _matvec(decaying, k_of_each) + error
            written = alpha * decaying - eta * change[..., :, None] * k_of_each[..., None, :]
            decaying = torch.where(visible[..., None, None], written, decaying)

            reader = anchor + decaying if read == "running" else snapshot
            reads.append(torch.where(visible, _matvec(reader[:, :, MEM], queries[:, t]), 0))
        whole = (start + chunk_size <= lengths)[:, None, None, None, None]
        decaying = torch.where(whole, decaying, before)
    return torch.stack(reads, 1), None if state is None else decaying + (anchor - initial)


def unit_norm(x: Tensor) -> Tensor:
    """Scale the last dimension to length 1, smoothly to 0 below a length of about 1e-3."""
    return x * (x.square().sum(-1, keepdim=True) + 1e-6).rsqrt()


def _anchor_and_decaying(
    initial: Tensor, state: Tensor | None, batch: int, decay_to: DecayTo
) -> tuple[Tensor, Tensor]:
    """Return A `[H, M, K, K]`, where the memories decay to, and their rest D `[B, H, M, K, K]`."""
    deviation = initial.new_zeros(batch, *initial.shape) if state is None else state.to(initial)
    if decay_to == "initial":
        return initial, deviation
    return torch.zeros_like(initial), initial + deviation


def _rates(eta_logit: Tensor, alpha_logit: Tensor, eta_max: float) -> tuple[Tensor, Tensor]:
    """Return the rate, bounded for stable writes (NL §4.6), and the logarithm of the retention."""
    log_alpha = -functional.softplus(alpha_logit)
    return torch.minimum(eta_max * eta_logit.sigmoid(), (1 + log_alpha.exp()) / 2), log_alpha


def _error(predicted: Tensor, target: Tensor, objective: Objective) -> Tensor:
    return predicted - target if objective == "l2" else -target


def _matvec(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector[..., None]).squeeze(-1)
