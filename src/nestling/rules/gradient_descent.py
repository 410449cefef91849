"""Gradient descent, the plainest memory of a gradient: none at all."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nestling.rules.base import Rule, Tensors


@dataclass(frozen=True)
class GradientDescentRule(Rule):
    """`W <- W - rate * g`, the proximal step `argmin_W <W x, u> + |W - W_t|^2 / (2 rate)`.

    u is the gradient at the output of the layer (NL eq. 8). Equal to `torch.optim.SGD`.

    Cost: no state; 2 flops a parameter (AdamW: 2 tensors of state, about 12 flops).
    """

    def direction(
        self, grad: Tensor, state: Tensors, param: Tensor, inputs: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return grad, {}
