"""What a level is written with: gradients through the network, and those of closed form (NL §3.3).

    context       grad of sum_t s_t loss_t, through the network above
    next_token    e_t = -v_t                v_t = V rms_norm(embedding of the next token)
    associative   e_t = D key_t - v_t       v_t = V rms_norm(what was known before the token)

s_t is the strength of a token. The closed forms have `grad = sum_t s_t e_t key_t^T`, with the key
of the level's own down projection: no gradient passes through the network, so that such a level is
written under activation checkpointing and compilation alike.

Letters: B sequences, P pairs, d hidden size, V and K rows and columns of a projection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from nestling.memory.continuum import Change
from nestling.memory.level import Level
from nestling.memory.state import is_shared

Deltas = Mapping[str, Mapping[str, Tensor]]
Gradients = dict[str, dict[str, Tensor]]
PairLoss = Callable[[Tensor, Tensor, Deltas], Tensor]
"""(hidden [B, P, d], targets [B, P], deltas) -> next-token loss of each pair [B, P]."""
Embed = Callable[[Tensor], Tensor]
"""ids [B, P] -> their embeddings [B, P, d]."""


def through_network(
    names: Sequence[str], deltas: Deltas, losses: Tensor, weight: Tensor, *, create_graph: bool
) -> Gradients:
    """Gradient of the weighted losses [B, P] in the deltas of the named levels."""
    flat = [delta for name in names for delta in deltas[name].values()]
    slopes = iter(torch.autograd.grad((losses * weight).sum(), flat, create_graph=create_graph))
    return {name: {part: next(slopes) for part in deltas[name]} for name in names}


def closed_form(
    level: Level, keys: Tensor, values: Tensor, weight: Tensor, changes: Sequence[Change]
) -> dict[str, Tensor]:
    """Gradient of a local level.

    Args:
        keys: inputs of the down projection, [B, P, K]; values: [B, P, V]; weight: [B, P].
        changes: what is added to the down projection, this level's own alone.
    """
    (change,) = changes
    dtype = (change[0] if isinstance(change, tuple) else change).dtype
    keys, values = keys.to(dtype), values.to(dtype)
    errors = -values
    if level.source == "associative":
        inner = keys if not isinstance(change, tuple) else keys @ change[1].mT
        outer = change[0] if isinstance(change, tuple) else change
        errors = inner @ outer.mT - values
    errors = errors * weight[..., None]
    if not isinstance(change, tuple):
        return {"down": errors.mT @ keys}
    outer, inner = change
    return {
        "down_out": errors.mT @ (keys @ inner.mT),
        "down_in": (errors @ outer).mT @ keys,
    }


def ordinary(x: Tensor) -> Tensor:
    """The same tensor, free of inference mode, so that a gradient can pass through it."""
    return x.clone() if x.is_inference() else x


def differentiable(delta: Tensor) -> Tensor:
    """A delta to take the gradient in; sequences that share one part here."""
    delta = delta.contiguous() if is_shared(delta) else ordinary(delta)
    if not delta.requires_grad:
        return delta.detach().requires_grad_()
    # A node of its own: other deltas of now may depend on this one through an earlier write.
    return delta.view_as(delta)
