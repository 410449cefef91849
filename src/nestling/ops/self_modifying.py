"""Self-modifying memories as one scan over chunks (NL §4.2-4.5, [L 83-93]).

Five memories per head, M_k, M_v, M_eta, M_alpha and M_mem, turn a token's inputs u_t and c_t into
its key, value, rate and retention and answer its query, and are all written with that key, rate and
retention; a sixth, M_q, may make the query. A memory is `M(z) = W z` or, with two matrices,
`M(z) = z + W_1 silu(W_2 z)`. Every matrix W = A + D: only D decays, and the anchor A is W's
initial value (`decay_to="initial"`) or zero, the letter of eq. 88. What a memory makes of a token
it makes with A + g D, the gain g being 1 unless it is learned; what is read of M_mem is read with
A + D, or with D alone (`read_initial=False`). With S the state at the start of a chunk:

    k_t = M_k,S(u_t) / |M_k,S(u_t)|                    v_t of M_v and c_t and q_t in the same way
    alpha_t = exp(-softplus(w_alpha . M_alpha,S(u_t) + b_alpha))
    eta_t = min(eta_max sigmoid(w_eta . M_eta,S(u_t) + b_eta), (1 + alpha_t) / 2)
    mu_t = sigmoid(w_mu . u_t + b_mu)              (with it, eta_t is 1 - mu_t times the above)
    vhat_t = M_S(v_t)     L = 1/2 |M_S(k_t) - vhat_t|^2  ("l2")  or  -<M_S(k_t), vhat_t>

and for every matrix, with z_t what M_S(k_t) gives it to read and eta'_t = eta_t / max(1, |z_t|^2):

    S_t = mu_t S_{t-1} - eta'_t grad L                 (no momentum: mu = 0)
    D_t = D_{t-1} (alpha_t I - eta'_t z_t z_t^T) + S_t (no delta decay: D_{t-1} alpha_t + S_t)

vhat is a constant in that gradient, and differentiated by an outer one. M_mem and the others may
have chunks of different sizes: each takes its own snapshot. `self_modifying_scan` solves a chunk at
once (`nestling.ops.writes`; for chunks of one token `nestling.ops.token_scan`);
`self_modifying_loop` is the specification, token by token.

That v has unit length is ours: a free v grows with M_v, which is written with M_v v, so the memory
feeds back on itself quadratically and can diverge. So is the anchor: with A = 0 every target is
linear in M, and whatever shrinks all memories is never undone.

Shapes: B batch, T tokens, H heads, K head width, E width of an MLP, M memories (in the order of
`MEMORIES`), C tokens of a chunk.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from nestling.ops.packing import mask_rows
from nestling.ops.passage import (
    ALPHA,
    ETA,
    KEY,
    MEM,
    QUERY,
    VALUE,
    FactoredPassage,
    Gates,
    Passage,
    Scheme,
    rates,
    read_tokens,
    unit_norm,
)
from nestling.ops.token_scan import token_scan
from nestling.ops.writes import Memory


def self_modifying_scan(
    inputs: Tensor,
    contents: Tensor | None,
    queries: Tensor,
    initial: Sequence[Tensor],
    state: Memory | None,
    gates: Gates,
    lengths: Tensor,
    scheme: Scheme,
) -> tuple[Tensor, Memory | None]:
    """Read T tokens with five or six self-modifying memories per head, one chunk at a time.

    Args:
        inputs: `u [B, T, H, K]`, what key, rate and retention are made of, left-aligned; row 0
            stands at the start of a chunk.
        contents: `c [B, T, H, K]`, what the value is made of; None for `inputs`.
        queries: `q [B, T, H, K]`, or what M_q makes them of.
        initial: the matrices of a fresh sequence, `[H, M, K, K]`, or `[H, M, E, K]` and
            `[H, M, K, E]`, used in this order; M is 6 with M_q, else 5. The computation runs in
            float64 if they are float64, else in float32.
        state: the same with B in front, what they differ by from `initial`, and their momentum
            where there is any; None is fresh.
        gates: the static heads of rate, retention and momentum, and the gain.
        lengths: `[B]`; rows at or after a sequence's length are invisible.
        scheme: how the memories modify themselves.

    Returns:
        The reads `[B, T, H, K]`, zero at invisible rows, and the state after each sequence's last
        whole chunk (the tokens of an unfinished chunk are read but leave no trace; of two chunk
        sizes the larger one counts); None for None.
    """
    batch, tokens = inputs.shape[:2]
    step, chunk = min(scheme.chunk_sizes), max(scheme.chunk_sizes)
    steps = max(1, -(-tokens // step))
    # Less than one step is not filled up to it.
    width = step if steps > 1 else max(1, min(step, tokens))
    ends = tokens == steps * step and tokens % chunk == 0
    dtype = torch.promote_types(initial[0].dtype, torch.float32)

    def split(x: Tensor) -> tuple[Tensor, ...]:
        """[B, T, H, K] -> steps of [B, H, C, K]."""
        x = functional.pad(mask_rows(x, lengths).to(dtype), (0, 0, 0, 0, 0, steps * width - tokens))
        return x.unflatten(1, (steps, width)).permute(1, 0, 3, 2, 4).contiguous().unbind()

    # Autocast would round the state to half precision at every chunk.
    with torch.autocast(inputs.device.type, enabled=False):
        gates = gates.to(dtype)
        anchor, now = _anchor_and_decaying(initial, state, batch, gates, scheme)
        written = scheme.written(initial[0].shape[1], inputs.device)
        factored = len(initial) == 1 and scheme.delta and gates.mu_weight is None
        if factored and chunk == 1 and gates.gain is None and scheme.read_initial:
            u, q = (mask_rows(x, lengths).to(dtype) for x in (inputs, queries))
            c = None if contents is None else mask_rows(contents, lengths).to(dtype)
            y, last = token_scan(u, c, q, anchor[0], now.weights[0], gates, lengths, scheme)
            return y, None if state is None else _as_state(Memory((last,)), anchor, initial)
        kind = FactoredPassage if factored else Passage
        beside = _beside_what_is_written(anchor, scheme)
        kept, snapshot, shown = now, anchor, beside
        apart = scheme.read == "chunk" and (gates.gain is not None or not scheme.read_initial)
        reads = []
        of_values = (None,) * steps if contents is None else split(contents)
        split_tokens = zip(split(inputs), of_values, split(queries), strict=True)
        for place, (u, c, q) in enumerate(split_tokens):
            due = scheme.due(place * step, initial[0].shape[1], inputs.device)
            snapshot = _where(due, _answering(anchor, now.weights, gates.gain), snapshot)
            shown = _where(due, _answering(beside, now.weights), shown) if apart else snapshot
            tokens_of_step = read_tokens(u, c, q, snapshot, gates, scheme.eta_max)
            passage = kind(tokens_of_step, snapshot, now, scheme)
            reads.append(passage.read(beside, shown))
            if place + 1 == steps and (state is None or not ends):
                break
            now = _write(passage.end(), now, written)
            # Padding stands behind a sequence's last token, so only an unfinished chunk holds any,
            # and such a chunk is not kept: invisible tokens need no masks of their own.
            if state is not None and (place + 1) * step % chunk == 0:
                kept = _write(now, kept, ((place + 1) * step <= lengths).view(-1, 1, 1, 1, 1))
        y = torch.cat(reads, 2)[:, :, :tokens].transpose(1, 2)
        return y, None if state is None else _as_state(kept, anchor, initial)


def self_modifying_loop(
    inputs: Tensor,
    contents: Tensor | None,
    queries: Tensor,
    initial: Sequence[Tensor],
    state: Memory | None,
    gates: Gates,
    lengths: Tensor,
    scheme: Scheme,
) -> tuple[Tensor, Memory | None]:
    """Do what `self_modifying_scan` does, token by token, with gradients by autograd."""
    dtype = torch.promote_types(initial[0].dtype, torch.float32)
    inputs, contents, queries = (
        mask_rows(x, lengths).to(dtype)
        for x in (inputs, inputs if contents is None else contents, queries)
    )
    anchor, now = _anchor_and_decaying(initial, state, len(inputs), gates, scheme)
    memories, device = initial[0].shape[1], inputs.device
    written = scheme.written(memories, device)
    kept, snapshot = now, anchor
    shown = beside = _beside_what_is_written(anchor, scheme)
    reads = []
    for t in range(inputs.shape[1]):
        due = scheme.due(t, memories, device)
        snapshot = _where(due, _answering(anchor, now.weights, gates.gain), snapshot)
        shown = _where(due, _answering(beside, now.weights), shown)
        # What the memories make of the token: [B, H, M, K].
        made = _answers(snapshot, inputs[:, t, :, None])
        k = unit_norm(made[:, :, KEY])
        v = unit_norm(_answers(snapshot, contents[:, t, :, None])[:, :, VALUE])
        q = queries[:, t]
        if memories > QUERY:
            q = unit_norm(_answers(snapshot, q[:, :, None])[:, :, QUERY])
        for_eta = (made[:, :, ETA] * gates.eta_weight).sum(-1) + gates.eta_bias
        for_alpha = for_mu = None
        if gates.alpha_weight is not None and gates.alpha_bias is not None:
            for_alpha = (made[:, :, ALPHA] * gates.alpha_weight).sum(-1) + gates.alpha_bias
        if gates.mu_weight is not None and gates.mu_bias is not None:
            for_mu = (inputs[:, t] * gates.mu_weight).sum(-1) + gates.mu_bias
        eta, log_alpha, log_mu = rates(for_eta, for_alpha, for_mu, scheme.eta_max)

        target = _answers(snapshot, v[:, :, None])
        with torch.enable_grad():
            # Copies, so that only they are differentiated and neither the target nor the key is.
            at = [w.clone() if w.requires_grad else w.clone().requires_grad_() for w in snapshot]
            answer = _answers(at, k[:, :, None])
            if scheme.objective == "l2":
                loss = (answer - target).square().sum() / 2
            else:
                loss = -(answer * target).sum()
            slopes = torch.autograd.grad(loss, at, create_graph=True)
        z = k[:, :, None].expand_as(target)
        weights, momenta = [], []
        for place, slope in enumerate(slopes):
            rate = (eta[..., None] / z.square().sum(-1).clamp(min=1.0))[..., None, None]
            decaying = now.weights[place]
            change = -rate * slope
            if log_mu is not None:
                change = log_mu.exp()[..., None, None, None] * now.momenta[place] + change
                momenta.append(change)
            if scheme.delta:
                change = change - rate * (decaying @ z[..., None]) @ z[..., None, :]
            weights.append(log_alpha.exp()[..., None, None, None] * decaying + change)
            z = functional.silu((snapshot[place] @ z[..., None]).squeeze(-1))
        visible = t < lengths
        end = _write(Memory(tuple(weights), tuple(momenta)), now, written)
        now = _write(end, now, visible.view(-1, 1, 1, 1, 1))
        reader = shown if scheme.read == "chunk" else _answering(beside, now.weights)
        read = _answers(reader, q[:, :, None])[:, :, MEM]
        reads.append(torch.where(visible[:, None, None], read, 0))
        if (t + 1) % max(scheme.chunk_sizes) == 0:
            kept = _write(now, kept, visible.view(-1, 1, 1, 1, 1))
    y = torch.stack(reads, 1)
    return y, None if state is None else _as_state(kept, anchor, initial)


def _beside_what_is_written(anchor: Sequence[Tensor], scheme: Scheme) -> tuple[Tensor, ...]:
    """What is read beside D: A, or zeros."""
    return tuple(anchor) if scheme.read_initial else tuple(map(torch.zeros_like, anchor))


def _answering(
    anchor: Sequence[Tensor], decaying: Sequence[Tensor], gain: Tensor | None = None
) -> tuple[Tensor, ...]:
    """The matrices that memories answer with, A + D, or A + g D."""
    pairs = zip(anchor, decaying, strict=True)
    if gain is None:
        return tuple(a + d for a, d in pairs)
    return tuple(torch.addcmul(a, gain[..., None, None], d) for a, d in pairs)


def _answers(weights: Sequence[Tensor], z: Tensor) -> Tensor:
    """What every memory answers to one token z [B, H, 1 or M, K]: [B, H, M, K]."""
    h = (weights[0] @ z[..., None]).squeeze(-1)
    if len(weights) == 1:
        return h
    return z + (weights[1] @ functional.silu(h)[..., None]).squeeze(-1)


def _anchor_and_decaying(
    initial: Sequence[Tensor], state: Memory | None, batch: int, gates: Gates, scheme: Scheme
) -> tuple[tuple[Tensor, ...], Memory]:
    """Where the matrices decay to, A `[H, M, ...]`; their rest D and momentum `[B, H, M, ...]`."""
    dtype = torch.promote_types(initial[0].dtype, torch.float32)
    initial = tuple(weight.to(dtype) for weight in initial)
    zeros = tuple(weight.new_zeros(batch, *weight.shape) for weight in initial)
    rest, momenta = zeros, zeros if gates.mu_weight is not None else ()
    if state is not None:
        rest = tuple(x.to(dtype) for x in state.weights)
        momenta = tuple(x.to(dtype) for x in state.momenta)
    if scheme.decay_to == "initial":
        return initial, Memory(rest, momenta)
    rest = tuple(weight + x for weight, x in zip(initial, rest, strict=True))
    return tuple(map(torch.zeros_like, initial)), Memory(rest, momenta)


def _as_state(memory: Memory, anchor: Sequence[Tensor], initial: Sequence[Tensor]) -> Memory:
    """What the matrices differ by from the initial ones."""
    weights = zip(memory.weights, anchor, initial, strict=True)
    return Memory(tuple(d + (a - first) for d, a, first in weights), memory.momenta)


def _where(mask: Tensor | None, new: Sequence[Tensor], old: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The new matrices where the mask holds, everywhere for None."""
    if mask is None:
        return tuple(new)
    return tuple(torch.where(mask, x, y) for x, y in zip(new, old, strict=True))


def _write(new: Memory, old: Memory, mask: Tensor | None) -> Memory:
    """The new memory where the mask holds, everywhere for None."""
    return Memory(_where(mask, new.weights, old.weights), _where(mask, new.momenta, old.momenta))
