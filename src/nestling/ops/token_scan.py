"""Self-modifying matrices that are written after every token, with gradients by hand.

In a chunk of one token nothing is old and there is nothing to solve for. What is left is a loop of
products with small vectors, and the time of a step goes to the bookkeeping of autograd; so its
backward is written out here. The equations are those of `nestling.ops.self_modifying`, of one
matrix W = A + D per memory, with delta decay and without momentum:

    k = unit(W_k u)        v = unit(W_v c)        alpha = sigmoid(-(w_alpha . W_alpha u + b_alpha))
    eta = min(eta_max sigmoid(w_eta . W_eta u + b_eta), (1 + alpha) / 2)
    e = k - v ("l2") or -v            D <- alpha D - eta (D k + W e) k^T

Everything that A does to u and c, and all that is read, comes from outside of the loop, where
autograd does it for all tokens at once.

Shapes: T tokens, H heads, B batch, G = H B, M memories, K head width, R = M K rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from nestling.ops.passage import ALPHA, ETA, KEY, MEM, QUERY, VALUE, Gates, Scheme, unit_norm

# Tokens whose D are kept at once where nothing is differentiated.
_SEGMENT = 256


class Given(NamedTuple):
    """What the loop starts from."""

    tokens: Tensor  # [T, G, 4, K], what the first four memories are asked
    asked: Tensor  # [T, G, 2, K], what A answers as key and value
    logits: Tensor  # [T, G, 2], of rate and retention, as far as A goes
    anchor: Tensor  # [H, R, K], A
    steer: Tensor  # [H, 2, K], the heads of rate and retention
    decaying: Tensor  # [G, R, K], D
    lengths: Tensor  # [G]
    rows: Tensor  # [R], 1 for rows that are written


class Made(NamedTuple):
    """What the loop makes, and the backward needs."""

    states: Tensor  # [T + 1, G, R, K], D before and after every token
    answers: Tensor  # [T, G, 4, K], what D answers to the tokens
    pairs: Tensor  # [T, G, 2, K], key and value
    roots: Tensor  # [T, G, 2, 1], by what their lengths were multiplied
    gates: Tensor  # [T, G, 2], the sigmoids of the logits
    writes: Tensor  # [T, G, R], D k + W e


class Course(NamedTuple):
    """What the loop is given beside tensors."""

    batch: int
    l2: bool
    eta_max: float
    all_written: bool


def token_scan(
    inputs: Tensor,
    contents: Tensor | None,
    queries: Tensor,
    anchor: Tensor,
    decaying: Tensor,
    gates: Gates,
    lengths: Tensor,
    scheme: Scheme,
) -> tuple[Tensor, Tensor]:
    """Read T tokens in chunks of one.

    Args:
        inputs, contents, queries: `[B, T, H, K]`, zeros at invisible rows; contents may be None.
        anchor: A, `[H, M, K, K]`.
        decaying: D at the start, `[B, H, M, K, K]`.
        gates: the static heads of rate and retention, without momentum.
        lengths: `[B]`.
        scheme: with both chunk sizes 1.

    Returns:
        The reads `[B, T, H, K]`, and D after each sequence's last token.
    """
    heads, memories, width, _ = anchor.shape
    batch, tokens = inputs.shape[:2]
    if not tokens:
        return torch.zeros_like(queries), decaying
    if tokens > _SEGMENT and not torch.is_grad_enabled():
        reads = []
        for start in range(0, tokens, _SEGMENT):
            part = slice(start, start + _SEGMENT)
            y, decaying = token_scan(
                inputs[:, part],
                None if contents is None else contents[:, part],
                queries[:, part],
                anchor,
                decaying,
                gates,
                (lengths - start).clamp(0, _SEGMENT),
                scheme,
            )
            reads.append(y)
        return torch.cat(reads, 1), decaying
    groups = heads * batch

    def by_head(x: Tensor) -> Tensor:
        """[B, T, H, K] -> [T, H, B, K]."""
        return x.permute(1, 2, 0, 3).contiguous()

    def asked(memory: int, x: Tensor) -> Tensor:
        """What A answers to all tokens: [T, G, K]."""
        return (x @ anchor[:, memory].mT).view(tokens, groups, width)

    def gate(memory: int, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """The logits of a gate as far as A goes: [T, G]."""
        if weight is None or bias is None:
            # A retention of 1.
            return u.new_full((tokens, groups), -torch.inf)
        logits = (u @ (weight[:, None] @ anchor[:, memory]).mT).squeeze(-1) + bias[:, None]
        return logits.view(tokens, groups)

    u, q = by_head(inputs), by_head(queries)
    c = u if contents is None else by_head(contents)

    # Of the retention it is the negative logit: its sigmoid is alpha itself.
    logits = torch.stack(
        [
            gate(ETA, gates.eta_weight, gates.eta_bias),
            -gate(ALPHA, gates.alpha_weight, gates.alpha_bias),
        ],
        2,
    )
    of_alpha = torch.zeros_like(gates.eta_weight)
    if gates.alpha_weight is not None:
        of_alpha = -gates.alpha_weight
    steer = torch.stack([gates.eta_weight, of_alpha], 1)
    written = scheme.written(memories, anchor.device)
    rows = anchor.new_ones(memories * width)
    if written is not None:
        rows = written.to(anchor).expand(-1, width, 1).reshape(-1)
    given = Given(
        torch.stack([u, c, u, u], 3).view(tokens, groups, MEM, width),
        torch.stack([asked(KEY, u), asked(VALUE, c)], 2),
        logits,
        anchor.flatten(1, 2),
        steer,
        decaying.transpose(0, 1).reshape(groups, memories * width, width),
        lengths.repeat(heads),
        rows,
    )
    course = Course(batch, scheme.objective == "l2", scheme.eta_max, written is None)
    history, last = _Writes.apply(course, *given)
    history = history.unflatten(2, (-1, width))
    if memories > QUERY:
        moved = _each(history[:-1, :, QUERY - MEM], q.view(tokens, groups, width))
        q = unit_norm(asked(QUERY, q) + moved).view_as(q)
    mem = history[1:, :, 0] if scheme.read == "running" else history[:-1, :, 0]
    reads = asked(MEM, q) + _each(mem, q.view(tokens, groups, width))
    last = last.view(heads, batch, memories, width, width).transpose(0, 1)
    return reads.view_as(q).permute(2, 0, 1, 3), last


def _each(matrices: Tensor, vectors: Tensor) -> Tensor:
    return (matrices @ vectors[..., None]).squeeze(-1)


class _Writes(torch.autograd.Function):
    """The loop: the history of D's rows of M_mem and M_q [T + 1, G, ..., K], and the last D."""

    @staticmethod
    def forward(ctx: Any, course: Course, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        given = Given(*tensors)
        made = _run(given, course)
        ctx.course = course
        ctx.save_for_backward(*given, *made)
        return _returned(made.states, given.lengths)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        given = Given(*ctx.saved_tensors[: len(Given._fields)])
        if torch.is_grad_enabled():
            # The gradient itself is to be differentiated: the same loop by autograd.
            wanted = [x for x in given if x.requires_grad]
            found = torch.autograd.grad(
                _returned(_run(given, ctx.course).states, given.lengths),
                wanted,
                grad_outputs,
                create_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
            rest = iter(found)
            return None, *(next(rest) if x.requires_grad else None for x in given)
        made = Made(*ctx.saved_tensors[len(Given._fields) :])
        return None, *_backward(given, made, ctx.course, *grad_outputs), None, None


def _returned(states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    groups = torch.arange(len(lengths), device=lengths.device)
    return states[:, :, MEM * states.shape[-1] :], states[lengths, groups]


def _run(given: Given, course: Course) -> Made:
    tokens, asked, logits, anchor, steer, decaying, _, rows = given
    groups, _, width = tokens.shape[1:]
    steer = steer.repeat_interleave(course.batch, 0)
    states, made = [decaying], []
    for t in range(len(tokens)):
        now = states[-1]
        x = torch.linalg.vecdot(now.unflatten(1, (-1, width))[:, :MEM], tokens[t][:, :, None])
        raw = asked[t] + x[:, :ETA]
        root = torch.rsqrt(raw.square().sum(-1, keepdim=True) + 1e-6)
        pair = raw * root
        k, v = pair.unbind(1)
        gate = torch.sigmoid(logits[t] + torch.linalg.vecdot(x[:, ETA:], steer))
        eta, alpha = _rates(gate, course.eta_max)
        e = k - v if course.l2 else -v
        of_anchor = (e.view(len(anchor), course.batch, width) @ anchor.mT).view(groups, -1)
        written = of_anchor + torch.linalg.vecdot(now, (k + e)[:, None])
        kept, change = alpha[:, None, None], written * eta[:, None]
        if not course.all_written:
            kept, change = 1 + (kept - 1) * rows[:, None], change * rows
        states.append((now * kept).addcmul_(change[..., None], k[:, None], value=-1))
        made.append((x, pair, root, gate, written))
    return Made(torch.stack(states), *(torch.stack(parts) for parts in zip(*made, strict=True)))


def _rates(gates: Tensor, eta_max: float) -> tuple[Tensor, Tensor]:
    """Rate and retention [G] of the sigmoids of their logits [G, 2]."""
    alpha = gates[:, 1]
    return torch.minimum(eta_max * gates[:, 0], (1 + alpha) / 2), alpha


def _rates_backward(gates: Tensor, of_eta: Tensor, of_alpha: Tensor, eta_max: float) -> Tensor:
    free = eta_max * gates[:, 0] < (1 + gates[:, 1]) / 2
    of_gates = torch.stack(
        [torch.where(free, eta_max * of_eta, 0), of_alpha + torch.where(free, 0, of_eta / 2)], 1
    )
    return of_gates * gates * (1 - gates)


def _backward(
    given: Given, made: Made, course: Course, of_history: Tensor, of_last: Tensor
) -> tuple[Tensor, ...]:
    """The gradients of what is given, but for the last two."""
    tokens, asked, _, anchor, steer, decaying, lengths, rows = given
    states, answers, pairs, roots, gates, writes = made
    count, groups, _, width = tokens.shape
    heads, batch, size = len(anchor), course.batch, len(rows)
    steer = steer.repeat_interleave(batch, 0)
    mem = MEM * width

    ends = set(lengths.tolist())
    g = torch.zeros_like(decaying)
    for_tokens, for_asked = torch.empty_like(tokens), torch.empty_like(asked)
    for_logits = torch.empty_like(gates)
    blocks = states.unflatten(2, (-1, width))[:, :, :MEM]
    # The gradients of what the first four memories answer, and of what is written.
    for_answers, for_writes = torch.empty_like(answers), torch.empty_like(writes)
    errors = tokens.new_empty(count, groups, width)
    for t in reversed(range(count)):
        now, w = states[t], writes[t]
        g[:, mem:] += of_history[t + 1]
        if t + 1 in ends:
            g += of_last * (lengths == t + 1)[:, None, None]
        k, v = pairs[t].unbind(1)
        eta, alpha = _rates(gates[t], course.eta_max)
        e = torch.sub(k, v, out=errors[t]) if course.l2 else torch.neg(v, out=errors[t])
        through, changed = torch.linalg.vecdot(g, k[:, None]), w * eta[:, None]
        if not course.all_written:
            through, changed = through * rows, changed * rows
        of_eta = -torch.linalg.vecdot(through, w)
        of_k = -(changed[:, None] @ g).squeeze(1)
        if course.all_written:
            of_alpha = torch.linalg.vecdot(g.flatten(1), now.flatten(1))
            g = alpha[:, None, None] * g
        else:
            of_alpha = torch.linalg.vecdot(torch.linalg.vecdot(g, now), rows)
            g = (1 + (alpha[:, None, None] - 1) * rows[:, None]) * g
        of_w = torch.mul(through, -eta[:, None], out=for_writes[t])
        of_m = (of_w[:, None] @ now).squeeze(1)
        of_e = of_m + (of_w.view(heads, batch, size) @ anchor).view(groups, width)
        of_k = of_k + of_m
        of_pair = torch.stack([of_k + of_e if course.l2 else of_k, -of_e], 1)
        along = torch.linalg.vecdot(pairs[t], of_pair)[..., None]
        of_raw = torch.mul(of_pair - pairs[t] * along, roots[t], out=for_asked[t])
        for_logits[t] = _rates_backward(gates[t], of_eta, of_alpha, course.eta_max)
        of_x = for_answers[t]
        of_x[:, :ETA] = of_raw
        torch.mul(for_logits[t][..., None], steer, out=of_x[:, ETA:])
        torch.sum(of_x[..., None] * blocks[t], 2, out=for_tokens[t])
        g.addcmul_(of_w[..., None], (k + e)[:, None])
        g.unflatten(1, (-1, width))[:, :MEM].addcmul_(of_x[..., None], tokens[t][:, :, None])
    g[:, mem:] += of_history[0]
    g += of_last * (lengths == 0)[:, None, None]

    def of_heads(x: Tensor) -> Tensor:
        """[T, G, N] -> [H, T B, N]."""
        return x.unflatten(1, (heads, batch)).transpose(0, 1).flatten(1, 2)

    for_anchor = of_heads(for_writes).mT @ of_heads(errors)
    for_steer = (answers[:, :, ETA:] * for_logits[..., None]).sum(0)
    for_steer = for_steer.unflatten(0, (heads, batch)).sum(1)
    return for_tokens, for_asked, for_logits, for_anchor, for_steer, g
