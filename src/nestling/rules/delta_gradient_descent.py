"""Delta gradient descent (DGD): the weights are a memory that makes room before it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nestling.rules.base import Rule, Tensors


@dataclass(frozen=True)
class DeltaGradientDescentRule(Rule):
    """`W <- (W - rate * g) (I + rate X^T X)^-1`, exactly (NL eq. 57, App. C).

    Objective: `argmin_W 1/2 |W X^T - U|^2 + |W - W_t|^2 / (2 rate)`, with the layer's inputs as
    keys and `u = -dL/dy` as self-generated values, so that `g = -U X`. For one input x of length
    `lambda` this is `W (I - r x x^T) + r u x^T` with `r = rate / (1 + rate lambda^2)`. Gradient
    descent has the inner product in place of the regression, and never makes room.

    Args:
        scale: of the values, `u = -scale dL/dy`. With `rate -> 0` at a constant product
            `rate * scale`, DGD becomes gradient descent.

    The rows of X count as many times as they are given: for a loss that is a mean over n inputs
    they are divided by `sqrt(n)`, as the optimizer does.

    Cost: no state; `2 n^2 (o + d)` flops for n < d inputs, else `2 n d^2 + d^3 / 3 + 2 o d^2`
    (AdamW: 2 tensors, about `12 o d`).
    """

    scale: float | Tensor = 1.0

    LEARNED: ClassVar = {"rate": "positive", "scale": "positive"}
    MATRICES_ONLY: ClassVar = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("scale", self.scale, 0.0)

    @property
    def needs_inputs(self) -> bool:
        return True

    def update_one(
        self, grad: Tensor, state: Tensors, param: Tensor, inputs: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if inputs is None:
            raise ValueError("delta gradient descent needs the inputs of the layer, rows [n, d]")
        x = inputs.to(grad.dtype)
        moved = self.decayed(param) - self.rate * self.scale * grad
        if x.shape[-2] < x.shape[-1]:
            eye = torch.eye(x.shape[-2], dtype=x.dtype, device=x.device)
            inner = eye + self.rate * x @ x.mT
            known = moved @ x.mT
            return moved - self.rate * _solved(inner, known.mT).mT @ x, {}
        eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        return _solved(eye + self.rate * x.mT @ x, moved.mT).mT, {}


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    """The solution, computed in single precision at least: nothing solves in half."""
    dtype = torch.promote_types(matrix.dtype, torch.float32)
    return torch.linalg.solve(matrix.to(dtype), right.to(dtype)).to(right.dtype)
