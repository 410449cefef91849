"""Muon: momentum whose answer is orthogonalised."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nestling.rules.base import Tensors
from nestling.rules.momentum import MomentumRule
from nestling.rules.newton_schulz import COEFFICIENTS, newton_schulz


@dataclass(frozen=True)
class MuonRule(MomentumRule):
    """`m <- alpha m + g; W <- W - rate * 0.2 sqrt(max(o, d)) NewtonSchulz(m)` (NL eq. 42).

    Objective: that of momentum; then the preconditioner `min_P |P(m)^T P(m) - I|^2`, which maps
    gradients to an orthonormal system. The scale gives updates the size of AdamW's, so that its
    learning rates carry over; it is `adjust_lr_fn="match_rms_adamw"` of `torch.optim.Muon`, and
    with `coefficients="quintic"` and bfloat16 products both are equal.

    Args:
        coefficients: "polar" (five minimax polynomials) or "quintic" (Keller Jordan's).
        products: dtype of the products of Newton-Schulz, "bfloat16" or "float32"; None for that
            of the gradient.

    Cost: 1 tensor of state; `10 (2 k^2 l + k^3)` flops for sides k <= l (AdamW: 2 tensors,
    about `12 k l`).
    """

    alpha: float | Tensor = 0.95
    nesterov: bool = True
    coefficients: str = "polar"
    products: str | None = None

    MATRICES_ONLY: ClassVar = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_newton_schulz(self.coefficients, self.products)

    def direction(
        self, grad: Tensor, state: Tensors, param: Tensor, inputs: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        ahead, state = super().direction(grad, state, param, inputs)
        return adamw_size(grad) * orthogonal(ahead, self.coefficients, self.products), state


def adamw_size(x: Tensor) -> float:
    """Factor that gives an orthogonal [..., o, d] the root mean square of an AdamW update, 0.2."""
    return 0.2 * math.sqrt(max(x.shape[-2:]))


def orthogonal(x: Tensor, coefficients: str, products: str | None) -> Tensor:
    dtype = None if products is None else getattr(torch, products)
    return newton_schulz(x, COEFFICIENTS[coefficients], dtype=dtype)


def check_newton_schulz(coefficients: str, products: str | None) -> None:
    if coefficients not in COEFFICIENTS:
        raise ValueError(f"coefficients is one of {sorted(COEFFICIENTS)}, got {coefficients!r}")
    if products not in (None, "bfloat16", "float32"):
        raise ValueError(f"products is 'bfloat16', 'float32' or None, got {products!r}")
