"""The gated delta rule over one chunk, with errors that are known when the chunk starts (NL §4.4).

Every weight matrix of a self-modifying memory, whatever it produces, is written token by token as

    W_t = W_{t-1} (alpha_t I - eta_t k_t k_t^T) - eta_t e_t k_t^T

where the error e_t was taken at the chunk's first state W_0. That is linear in W_0 and in the
errors: W_t = W_0 P_t + G_t, where P_t is what is kept of any state and G_t what is written. Errors
that are linear themselves, e_t = M c_t, need only G_t for c_t: W_t = W_0 P_t + M G_t.
`gated_delta_loop` says this literally; `gated_delta_chunk` solves the whole chunk at once, exactly.

Shapes: B batch, H heads, C tokens of the chunk, K key width, V rows of the errors.
"""

import torch
from torch import Tensor
from torch.nn import functional

from nestling.ops.decay import decay


def gated_delta_chunk(
    keys: Tensor,
    errors: Tensor,
    log_alpha: Tensor,
    eta: Tensor,
    queries: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Return what one chunk keeps of a state and what it writes: one triangular solve (NL §4.4).

    Args:
        keys: `[B, H, C, K]`.
        errors: `[B, H, C, V]`.
        log_alpha: `[B, H, C]`, logarithm of the retention, at most 0.
        eta: `[B, H, C]`, the rate.
        queries: `[B, H, C, K]`, or None for no reads.

    Returns:
        The factors `[P_C; G_C] [B, H, K + V, K]` after the chunk and the reads
        `[P_t q_t; G_t q_t] [B, H, C, K + V]`, which already hold token t (None without queries);
        float64 for float64 keys, else float32.
    """
    dtype = torch.promote_types(keys.dtype, torch.float32)
    keys, errors, log_alpha, eta = (x.to(dtype) for x in (keys, errors, log_alpha, eta))
    width, rows = keys.shape[-1], keys.shape[-1] + errors.shape[-1]
    log_gamma = log_alpha.cumsum(-1)
    log_gamma_before = log_gamma - log_alpha

    past = decay(log_gamma, log_gamma)
    # What a token meets has not been through its own retention: the row before.
    before = functional.pad(past[..., :-1, :], (0, 0, 1, 0))
    overlap = (keys @ keys.mT) * before
    # Solved from the right, with tokens as columns: the layout that needs no copies.
    target = torch.cat([(log_gamma_before.exp()[..., None] * keys).mT, errors.mT], -2)
    written = torch.linalg.solve_triangular(
        (overlap * eta[..., None, :]).mT, target, upper=True, left=False, unitriangular=True
    )
    written = eta[..., None, :] * written

    to_end = (log_gamma[..., -1:] - log_gamma).exp()
    untouched = torch.eye(rows, width, dtype=dtype, device=keys.device)
    kept = log_gamma[..., -1, None, None].exp() * untouched
    factors = kept - written @ (to_end[..., None] * keys)
    if queries is None:
        return factors, None

    queries = queries.to(dtype)
    attention = (queries @ keys.mT) * past
    kept = functional.pad(log_gamma.exp()[..., None] * queries, (0, rows - width))
    return factors, kept - attention @ written.mT


def gated_delta_loop(
    keys: Tensor,
    errors: Tensor,
    log_alpha: Tensor,
    eta: Tensor,
    queries: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Do what `gated_delta_chunk` does, token by token: its specification."""
    dtype = torch.promote_types(keys.dtype, torch.float32)
    keys, errors, log_alpha, eta = (x.to(dtype) for x in (keys, errors, log_alpha, eta))
    batch, heads, size, width = keys.shape
    kept = torch.eye(width, dtype=dtype, device=keys.device).expand(batch, heads, -1, -1)
    written = keys.new_zeros(batch, heads, errors.shape[-1], width)
    reads = []
    for t in range(size):
        key, error = keys[:, :, t, :, None], errors[:, :, t, :, None]
        alpha, rate = log_alpha[:, :, t, None, None].exp(), eta[:, :, t, None, None]
        kept = alpha * kept - rate * (kept @ key) @ key.mT
        written = alpha * written - rate * (written @ key + error) @ key.mT
        if queries is not None:
            query = queries[:, :, t, :, None].to(dtype)
            reads.append(torch.cat([kept @ query, written @ query], -2).squeeze(-1))
    return torch.cat([kept, written], -2), torch.stack(reads, 2) if queries is not None else None
