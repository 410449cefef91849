"""Memories that learn by gradient descent while they read: TTT and Titans (NL §4.1).

A memory is `M(z) = z + N(W z)` or, with two matrices, `M(z) = z + N(W_1 silu(W_2 z))`, N the
identity or a layer norm. Gradients are those at the state S where the token's chunk starts:

    g_t = grad of 1/2 |M_S(k_t) - v_t|^2
    S_t = mu_t S_{t-1} - theta_t g_t          W_t = alpha_t W_{t-1} + S_t          y_t = M_t(q_t)

for every matrix W. TTT has alpha = 1 and no momentum (mu = 0). Each gradient is an outer product
`e_t z_t^T`, so a chunk is a few products (`nestling.ops.writes`, without the delta decay).
`gradient_memory_scan` does that; `gradient_memory_loop` is the specification, token by token.

Shapes: B batch, T tokens, H heads, K head width, E width of the MLP, C chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nestling.ops.packing import mask_rows
from nestling.ops.writes import Course, Memory

EPS = 1e-6


class Norm(NamedTuple):
    """Scale and shift of the layer norm in a memory, [H, K] each."""

    weight: Tensor
    bias: Tensor


class Gates(NamedTuple):
    """Rate, logarithms of retention and momentum of every token, [B, T, H] each.

    None for a retention of 1, and for no momentum.
    """

    theta: Tensor
    log_alpha: Tensor | None = None
    log_mu: Tensor | None = None


def gradient_memory_scan(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    gates: Gates,
    memory: Memory,
    norm: Norm | None,
    lengths: Tensor,
    *,
    chunk_size: int,
) -> tuple[Tensor, Memory]:
    """Read and write T tokens, one chunk at a time.

    Args:
        queries, keys, values: `[B, T, H, K]`, left-aligned; row 0 stands at the start of a chunk.
        memory: one matrix [K, K], or two, [E, K] and [K, E], before the first token.
        lengths: `[B]`; rows at or after a sequence's length are invisible.

    Returns:
        The reads `[B, T, H, K]`, zero at invisible rows, and the memory after each sequence's last
        whole chunk (the tokens of an unfinished chunk are read but leave no trace).
    """
    tokens = keys.shape[1]
    chunks = max(1, -(-tokens // chunk_size))

    def split(x: Tensor | None) -> tuple[Tensor | None, ...]:
        """[B, T, H, ...] -> chunks of [B, H, C, ...]."""
        if x is None:
            return (None,) * chunks
        x = mask_rows(x, lengths).to(memory.weights[0].dtype)
        x = functional.pad(x, (0, 0) * (x.dim() - 2) + (0, chunks * chunk_size - tokens))
        return x.unflatten(1, (chunks, chunk_size)).movedim(1, 0).transpose(2, 3).unbind()

    with torch.autocast(keys.device.type, enabled=False):
        ends = chunk_size * torch.arange(1, chunks + 1, device=lengths.device)
        whole = (ends <= lengths[:, None]).view(len(keys), chunks, 1, 1, 1)
        parts = [split(x) for x in (queries, keys, values, *gates)]
        reads = []
        for chunk, (q, k, v, theta, log_alpha, log_mu) in enumerate(zip(*parts, strict=True)):
            assert q is not None and k is not None and v is not None and theta is not None
            log_alpha = torch.zeros_like(theta) if log_alpha is None else log_alpha
            course = Course(log_alpha, log_mu, delta=False)
            inputs, errors = _gradients(k, v, memory.weights, norm)
            read, weights, momenta = q, [], []
            for place, (z, e, w, s) in enumerate(zip(inputs, errors, *memory, strict=True)):
                written = course.writes(z, e, theta, w, s)
                w_end, s_end = course.end(z, written, w, s)
                read = course.read(read, z, written, w, s)
                if place + 1 < len(inputs):
                    read = functional.silu(read)
                weights.append(torch.where(whole[:, chunk], w_end, w))
                momenta.append(s if s_end is None else torch.where(whole[:, chunk], s_end, s))
            reads.append(q + _normed(read, norm))
            memory = Memory(tuple(weights), tuple(momenta))
        y = torch.cat(reads, 2)[:, :, :tokens].transpose(1, 2)
        return mask_rows(y, lengths), memory


def answer(z: Tensor, weights: Sequence[Tensor], norm: Norm | None) -> Tensor:
    """M(z) for z `[B, H, C, K]` and matrices `[B, H, out, in]`."""
    h = z
    for place, weight in enumerate(weights):
        h = h @ weight.mT
        h = functional.silu(h) if place + 1 < len(weights) else h
    return z + _normed(h, norm)


def _gradients(
    k: Tensor, v: Tensor, weights: tuple[Tensor, ...], norm: Norm | None
) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and errors [B, H, C, ...] whose outer products are the gradients of each matrix."""
    if len(weights) == 1:
        return [k], [_output_error(k @ weights[0].mT, k, v, norm)]
    before = k @ weights[0].mT
    share = before.sigmoid()
    active = before * share
    error = _output_error(active @ weights[1].mT, k, v, norm)
    slope = share * (1 + before * (1 - share))
    return [k, active], [(error @ weights[1]) * slope, error]


def _output_error(h: Tensor, k: Tensor, v: Tensor, norm: Norm | None) -> Tensor:
    """The slope of 1/2 |k + N(h) - v|^2 in h."""
    error = k + _normed(h, norm) - v
    if norm is None:
        return error
    deviation = h - h.mean(-1, keepdim=True)
    inverse = (deviation.square().mean(-1, keepdim=True) + EPS).rsqrt()
    unit, slope = deviation * inverse, error * norm.weight[:, None].to(h.dtype)
    along = unit * (slope * unit).mean(-1, keepdim=True)
    return inverse * (slope - slope.mean(-1, keepdim=True) - along)


def _normed(h: Tensor, norm: Norm | None) -> Tensor:
    """N(h) of h [B, H, C, K]."""
    if norm is None:
        return h
    unit = functional.layer_norm(h, h.shape[-1:], eps=EPS)
    return unit * norm.weight[:, None].to(h.dtype) + norm.bias[:, None].to(h.dtype)


def gradient_memory_loop(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    gates: Gates,
    memory: Memory,
    norm: Norm | None,
    lengths: Tensor,
    *,
    chunk_size: int,
) -> tuple[Tensor, Memory]:
    """Do what `gradient_memory_scan` does, token by token, with gradients by autograd."""

    def one_answer(weights: Sequence[Tensor], z: Tensor) -> Tensor:
        """M(z) for z [B, H, K]."""
        h = z
        for place, weight in enumerate(weights):
            h = (weight @ h[..., None])[..., 0]
            h = functional.silu(h) if place + 1 < len(weights) else h
        return z + _normed(h[:, :, None], norm)[:, :, 0]

    def gate(x: Tensor | None, t: int, default: float) -> Tensor:
        x = torch.full_like(gates.theta, default) if x is None else x
        return x[:, t, :, None, None]

    weights, momenta = list(memory.weights), list(memory.momenta)
    reads = []
    for start in range(0, keys.shape[1], chunk_size):
        before = list(weights), list(momenta)
        for t in range(start, min(start + chunk_size, keys.shape[1])):
            with torch.enable_grad():
                # Copies, since a state of now may itself depend on an earlier one.
                at = [weight.clone() for weight in before[0]]
                at = [w if w.requires_grad else w.requires_grad_() for w in at]
                loss = (one_answer(at, keys[:, t]) - values[:, t]).square().sum() / 2
                slopes = torch.autograd.grad(loss, at, create_graph=True)
            alpha = torch.ones_like(gate(None, t, 1.0))
            if gates.log_alpha is not None:
                alpha = gate(gates.log_alpha, t, 0.0).exp()
            for place, slope in enumerate(slopes):
                step = -gate(gates.theta, t, 0.0) * slope
                if gates.log_mu is not None:
                    step = gate(gates.log_mu, t, 0.0).exp() * momenta[place] + step
                    momenta[place] = step
                weights[place] = alpha * weights[place] + step
            visible = (t < lengths)[:, None, None]
            reads.append(torch.where(visible, one_answer(weights, queries[:, t]), 0))
        whole = (start + chunk_size <= lengths)[:, None, None, None]
        for now, old in ((weights, before[0]), (momenta, before[1])):
            for place in range(len(now)):
                now[place] = torch.where(whole, now[place], old[place])
    return torch.stack(reads, 1), Memory(tuple(weights), tuple(momenta))
