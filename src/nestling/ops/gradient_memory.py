"""Memories that learn by gradient descent while they read: TTT and Titans (NL §4.1).

A memory is `M(z) = z + N(W z)` or, with two matrices, `M(z) = z + N(W_1 silu(W_2 z))`, N the
identity or a layer norm. Gradients are those at the state S where the token's chunk starts:

    g_t = grad of 1/2 |M_S(k_t) - v_t|^2
    S_t = mu_t S_{t-1} - theta'_t g_t          W_t = alpha_t W_{t-1} + S_t         y_t = M_t(q_t)

for every matrix W, with theta'_t = theta_t / max(1, |z_t|^2), z_t what the matrix is given at k_t:
without that (ours), steps in the second matrix overshoot as soon as the first has grown. TTT has
alpha = 1 and no momentum (mu = 0). Each gradient is an outer product `e_t z_t^T`, so a chunk is a
few products (`nestling.ops.writes`, without the delta decay). `gradient_memory_scan` does that;
`gradient_memory_loop` is the specification, token by token.

Shapes: B batch, T tokens, H heads, K head width, E width of the MLP, C chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nestling.ops.packing import mask_rows, shortest
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
    # Less than one chunk is not filled up to it.
    width = chunk_size if chunks > 1 else max(1, min(chunk_size, tokens))
    dtype = memory.weights[0].dtype

    def split(x: Tensor) -> Tensor:
        """[B, T, H, ...] -> chunks of it, [N, B, H, C, ...]."""
        x = mask_rows(x, lengths).to(dtype)
        x = functional.pad(x, (0, 0) * (x.dim() - 2) + (0, chunks * width - tokens))
        return x.unflatten(1, (chunks, width)).movedim(1, 0).transpose(2, 3)

    with torch.autocast(keys.device.type, enabled=False):
        theta = split(gates.theta)
        # What does not depend on the memory is made for all chunks at once.
        log_alpha = torch.zeros_like(theta) if gates.log_alpha is None else split(gates.log_alpha)
        log_mu = None if gates.log_mu is None else split(gates.log_mu)
        courses = [_Course(*parts) for parts in zip(*_coefficients(log_alpha, log_mu), strict=True)]
        parts = [split(x).unbind() for x in (queries, keys, values)]
        state = _stacked(memory, log_mu is not None)
        # From this chunk on, some sequence may have too few tokens to fill it.
        partial = shortest(lengths) // chunk_size
        reads = []
        for chunk, (q, k, v, eta) in enumerate(zip(*parts, theta.unbind(), strict=True)):
            course = courses[chunk]
            # Nobody fills the last chunk if it has too few tokens for the longest sequence.
            ends = (chunk + 1) * chunk_size <= tokens
            weights = tuple(x[:, :, 0] for x in state)
            inputs, errors = _gradients(k, v, weights, norm)
            read, new = q, []
            for place, (z, e, old) in enumerate(zip(inputs, errors, state, strict=True)):
                written = (eta / z.square().sum(-1).clamp(min=1.0))[..., None] * e
                read = course.read(read, z, written, old)
                if place + 1 < len(inputs):
                    read = functional.silu(read)
                new.append(course.end(z, written, old) if ends else old)
            if ends and chunk >= partial:
                whole = ((chunk + 1) * chunk_size <= lengths).view(-1, 1, 1, 1, 1)
                new = [torch.where(whole, x, old) for x, old in zip(new, state, strict=True)]
            state = new
            reads.append(q + _normed(read, norm))
        y = torch.cat(reads, 2)[:, :, :tokens].transpose(1, 2)
        weights = tuple(x[:, :, 0] for x in state)
        momenta = memory.momenta if log_mu is None else tuple(x[:, :, 1] for x in state)
        return mask_rows(y, lengths), Memory(weights, momenta)


class _Course(NamedTuple):
    """The coefficients of one chunk for a state [B, H, P, O, I]: W, and its momentum if P is 2."""

    mixed: Tensor  # [B, H, P, P], what the end keeps of the state
    reached: Tensor  # [B, H, C, P], what a read finds of it
    left: Tensor  # [B, H, C, C], what is left of the write of token j at token t
    ends: Tensor  # [B, H, C, P], the same at the end, of W and of its momentum

    def read(self, queries: Tensor, z: Tensor, written: Tensor, state: Tensor) -> Tensor:
        """What the matrix answers to `queries [B, H, C, I]` after their tokens: [B, H, C, O]."""
        found = (queries @ state.flatten(2, 3).mT).unflatten(-1, state.shape[2:4])
        answer = (found * self.reached[..., None]).sum(-2)
        return answer - ((queries @ z.mT) * self.left) @ written

    def end(self, z: Tensor, written: Tensor, state: Tensor) -> Tensor:
        """The state after the last token."""
        kept = (self.mixed @ state.flatten(3)).view(len(z) * z.shape[1], -1, z.shape[-1])
        rows = (self.ends[..., None] * written[..., None, :]).flatten(3).flatten(0, 1)
        return torch.baddbmm(kept, rows.mT, z.flatten(0, 1), alpha=-1).view_as(state)


def _coefficients(log_alpha: Tensor, log_mu: Tensor | None) -> tuple[Tensor, ...]:
    """The fields of `_Course` for chunks [N, B, H, C] (NL §4.4)."""
    course = Course(log_alpha, log_mu, delta=False)
    left, kept = course.through[0], course.kept
    if course.carried is None or course.momentum is None:
        return kept[..., -1:, None], kept[..., None], left, left[..., -1, :, None]
    moved, still = course.momentum
    first = torch.stack([kept[..., -1], course.carried[..., -1]], -1)
    second = torch.cat([torch.zeros_like(moved[..., 0]), moved[..., 0]], -1)
    return (
        torch.stack([first, second], -2),
        torch.stack([kept, course.carried], -1),
        left,
        torch.stack([left[..., -1, :], still], -1),
    )


def _stacked(memory: Memory, momentum: bool) -> list[Tensor]:
    """Every matrix [B, H, 1, O, I], or with its momentum [B, H, 2, O, I]."""
    if not momentum:
        return [weight[:, :, None] for weight in memory.weights]
    return [torch.stack(pair, 2) for pair in zip(memory.weights, memory.momenta, strict=True)]


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
            z = keys[:, t]
            for place, slope in enumerate(slopes):
                length = z.square().sum(-1)[..., None, None].clamp(min=1.0)
                step = -gate(gates.theta, t, 0.0) / length * slope
                z = functional.silu((before[0][place] @ z[..., None])[..., 0])
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
