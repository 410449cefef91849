"""Matrix memories written once a token: retention, the delta rule and the gated delta rule.

    W_t = alpha_t W_{t-1} (I - beta_t k_t k_t^T) + beta_t v_t k_t^T,    y_t = W_t q_t     (delta)
    W_t = alpha_t W_{t-1} + v_t k_t^T,                                  y_t = W_t q_t     (no delta)

With alpha = 1 the first is DeltaNet, with a learned alpha Gated DeltaNet; the second with a fixed
alpha is retention. `linear_memory_loop` says this token by token; `linear_memory_scan` computes the
same in chunks: what a chunk writes is one unit lower triangular solve, for all chunks at once, and
only the memory itself goes from chunk to chunk. Half precision on a GPU is left to the kernels of
flash-linear-attention, where they are installed.

Shapes: B batch, T tokens, H heads, K key width, V value width, N chunks of C tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nestling.ops import kernels
from nestling.ops.decay import decay


def linear_memory_scan(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    log_alpha: Tensor,
    beta: Tensor | None,
    memory: Tensor | None = None,
    *,
    chunk_size: int = 64,
) -> tuple[Tensor, Tensor]:
    """Read and write T tokens; the result does not depend on `chunk_size`.

    Args:
        queries, keys: `[B, T, H, K]`; keys of unit length, or shorter, keep the delta rule stable.
        values: `[B, T, H, V]`.
        log_alpha: `[B, T, H]`, logarithm of the retention, at most 0.
        beta: `[B, T, H]`, write strength in [0, 2]; None for a memory without delta.
        memory: `[B, H, V, K]` before the first token; None for zeros.

    Returns:
        What was read `[B, T, H, V]`, token t included, and the memory after the last token. A token
        with key and value 0, log_alpha 0 and beta 0 changes nothing. Float64 for float64 keys, else
        float32.
    """
    dtype = torch.promote_types(keys.dtype, torch.float32)
    batch, length, heads, width = keys.shape
    if memory is None:
        memory = keys.new_zeros(batch, heads, values.shape[-1], width, dtype=dtype)
    memory = memory.to(dtype)
    if not length:
        return values.to(dtype), memory
    if kernels.usable(values):
        return kernels.linear_memory(queries, keys, values, log_alpha, beta, memory)
    # Autocast would round what is remembered to half precision.
    with torch.autocast(keys.device.type, enabled=False):
        size = min(chunk_size, length)
        missing = -length % size

        def chunks(x: Tensor) -> Tensor:
            """[B, T, H, ...] -> [N, B, H, C, ...]."""
            x = functional.pad(x.to(dtype), (0, 0) * (x.dim() - 2) + (0, missing))
            return x.unflatten(1, (-1, size)).movedim(1, 0).transpose(2, 3)

        q, k, v, log_alpha = (chunks(x) for x in (queries, keys, values, log_alpha))
        log_gamma = log_alpha.cumsum(-1)
        gamma = log_gamma.exp()[..., None]
        left = decay(log_gamma, log_gamma)
        if beta is None:
            written, seen = v, None
        else:
            strength = chunks(beta)[..., None]
            overlap = (strength * (k @ k.mT) * left).tril(-1)
            target = strength * torch.cat([v, gamma * k], -1)
            solved = torch.linalg.solve_triangular(overlap, target, upper=False, unitriangular=True)
            # What is written into an empty memory, and what less for each thing it already holds.
            written, seen = solved.split([v.shape[-1], width], -1)
        attention = (q @ k.mT) * left
        asked = gamma * q
        kept = (log_gamma[..., -1:] - log_gamma).exp()[..., None] * k
        fade = log_gamma[..., -1, None, None].exp()
        reads = []
        for n in range(len(q)):
            rows = written[n] if seen is None else written[n] - seen[n] @ memory.mT
            reads.append(asked[n] @ memory.mT + attention[n] @ rows)
            memory = fade[n] * memory + rows.mT @ kept[n]
        y = torch.stack(reads, 1).transpose(2, 3).flatten(1, 2)[:, :length]
        return y, memory


def linear_memory_loop(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    log_alpha: Tensor,
    beta: Tensor | None,
    memory: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Do what `linear_memory_scan` does, token by token: its specification."""
    dtype = torch.promote_types(keys.dtype, torch.float32)
    batch, length, heads, width = keys.shape
    if memory is None:
        memory = keys.new_zeros(batch, heads, values.shape[-1], width, dtype=dtype)
    memory, reads = memory.to(dtype), []
    for t in range(length):
        q, k, v = (x[:, t, :, :, None].to(dtype) for x in (queries, keys, values))
        memory = log_alpha[:, t, :, None, None].to(dtype).exp() * memory
        if beta is None:
            memory = memory + v @ k.mT
        else:
            strength = beta[:, t, :, None, None].to(dtype)
            memory = memory + strength * (v - memory @ k) @ k.mT
        reads.append((memory @ q)[..., 0])
    if not reads:
        return values.new_zeros(values.shape, dtype=dtype), memory
    return torch.stack(reads, 1), memory
