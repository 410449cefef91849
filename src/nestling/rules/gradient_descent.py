"""Gradient descent, the plainest memory of a gradient: none at all."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nestling.rules.base import Tensors


@dataclass(frozen=True)
class GradientDescent:
    """`W <- W - rate * g`, the proximal step `argmin_W <W x, u> + |W - W_t|^2 / (2 rate)`.

    u is the gradient at the output of the layer (NL eq. 8).

    Args:
        rate: a number, or a tensor that broadcasts over every parameter (learned rates).
    """

    rate: float | Tensor

    def init(self, params: Tensors) -> dict[str, Tensor]:
        return {}

    def update(
        self, grads: Tensors, rule_state: Tensors, params: Tensors, inputs: Tensors | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return {name: params[name] - self.rate * grads[name] for name in params}, {}
