"""Momentum and its near relatives: linear, element-wise memories of gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nestling.rules.base import Rule, Tensors, blend, per_matrix, rms, root, scaled_sum, step_of


@dataclass(frozen=True)
class MomentumRule(Rule):
    """`m <- alpha m + g; W <- W - rate * m` (NL eq. 33).

    Objective: `min_m -<m xhat, delta>` for the gradient `g = delta xhat^T`, one step of gradient
    descent; alpha < 1 adds an L2 penalty on m. A value-less, Hebbian memory: a low-pass filter.
    Equal to `torch.optim.SGD(momentum=alpha)`. The rate stands outside of the sum, as in torch;
    the paper has it inside, which is the same while the rate does not change.

    Args:
        alpha: retention of the memory, 0 or more and below 1.
        nesterov: look one step ahead: the parameter moves by `g + alpha m`.

    Cost: 1 tensor of state (AdamW: 2); 4 flops a parameter (AdamW: about 12).
    """

    alpha: float | Tensor = 0.9
    nesterov: bool = False

    LEARNED: ClassVar = {"rate": "positive", "alpha": "share"}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("alpha", self.alpha, 0.0, 1.0)

    def init_one(self, param: Tensor) -> dict[str, Tensor]:
        return {"momentum": torch.zeros_like(param)}

    def direction(
        self, grad: Tensor, state: Tensors, param: Tensor, inputs: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        old = state["momentum"]
        momentum = scaled_sum(self.association(grad), old, self.alpha, self.own(old))
        ahead = scaled_sum(grad, momentum, self.alpha) if self.nesterov else momentum
        return ahead, {"momentum": momentum}

    def association(self, grad: Tensor) -> Tensor:
        """What of the gradient is memorised."""
        return grad


@dataclass(frozen=True)
class HigherOrderMomentumRule(MomentumRule):
    """`m <- alpha m + phi(g)`, a memory of features of the gradient (NL eq. 51).

    Objective: that of momentum, with the values `phi(g)` in place of g. The source leaves phi
    open; here `phi(g) = g + order * g |g| / rms(g)`: the feature of second order is measured in
    units of the gradient, and a linear memory of both features is the memory of their sum.

    Args:
        order: weight of the feature of second order; 0 is momentum.

    Cost: 1 tensor of state; about 10 flops a parameter.
    """

    order: float | Tensor = 0.5

    LEARNED: ClassVar = {"rate": "positive", "alpha": "share", "order": "positive"}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("order", self.order, 0.0)

    def association(self, grad: Tensor) -> Tensor:
        size = rms(grad) if grad.dim() > 1 else grad.square().mean().clamp_min(1e-24).sqrt()
        return grad + self.order * grad * grad.abs() / size


@dataclass(frozen=True)
class PreconditionedMomentumRule(Rule):
    """`m <- alpha m + P g; W <- W - rate * m` with `P = 1 / (sqrt(v) + eps)` (NL eq. 47).

    Objective: that of momentum with a more expressive association: the gradient is stored under
    the value that the preconditioner gives it. P solves the element-wise regression of
    NL App. B on the second moment `v <- beta v + (1 - beta) g^2`.
    Equal to `torch.optim.RMSprop(alpha=beta, momentum=alpha)`.

    Args:
        alpha: retention of the momentum; beta: retention of the second moment.
        eps: added to the root.

    Cost: 2 tensors of state (as AdamW); about 9 flops a parameter (AdamW: about 12).
    """

    alpha: float | Tensor = 0.9
    beta: float | Tensor = 0.99
    eps: float = 1e-8

    LEARNED: ClassVar = {"rate": "positive", "alpha": "share", "beta": "share"}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("alpha", self.alpha, 0.0, 1.0)
        self.require("beta", self.beta, 0.0, 1.0)
        self.require("eps", self.eps, 0.0)

    def init_one(self, param: Tensor) -> dict[str, Tensor]:
        return {"momentum": torch.zeros_like(param), "square": torch.zeros_like(param)}

    def direction(
        self, grad: Tensor, state: Tensors, param: Tensor, inputs: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        square, old = state["square"], state["momentum"]
        news = torch.mul(grad, grad, out=self.room(grad))
        square = blend(square, news, self.beta, self.own(square))
        scale = root(square, self.room(grad))
        scale = torch.add(scale, self.eps, out=self.own(scale))
        news = torch.div(grad, scale, out=self.own(scale))
        momentum = scaled_sum(news, old, self.alpha, self.own(old))
        return momentum, {"momentum": momentum, "square": square}


def started(beta: float | Tensor, step: Tensor, dtype: torch.dtype) -> Tensor:
    """How much of an exponential average has come in after so many steps.

    It is computed in single precision at least: in half, nearly nothing would be nothing at all.
    """
    count = per_matrix(step).to(torch.promote_types(dtype, torch.float32))
    return (1 - beta**count).to(dtype)


@dataclass(frozen=True)
class AdamWRule(Rule):
    """Adam with decoupled weight decay, the element-wise optimal memory (NL App. B).

    Objective: `sum_i |m * g_i - P|^2 + lambda |m|^2`, element by element, with the value
    `P = sqrt(sum g^2)`; its optimum is the mean gradient over the root of the mean square. As in
    Adam, both sums are exponential averages, corrected for their start.
    Equal to `torch.optim.AdamW`.

    Args:
        beta1, beta2: retention of the mean and of the mean square.
        eps: added to the root.

    Cost: 2 tensors of state; about 12 flops a parameter.
    """

    beta1: float | Tensor = 0.9
    beta2: float | Tensor = 0.999
    eps: float = 1e-8

    LEARNED: ClassVar = {"rate": "positive", "beta1": "share", "beta2": "share"}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("beta1", self.beta1, 0.0, 1.0)
        self.require("beta2", self.beta2, 0.0, 1.0)
        self.require("eps", self.eps, 0.0)

    def init_one(self, param: Tensor) -> dict[str, Tensor]:
        moments = {"mean": torch.zeros_like(param), "square": torch.zeros_like(param)}
        return moments | {"step": step_of(param)}

    def direction(
        self, grad: Tensor, state: Tensors, param: Tensor, inputs: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        step = state["step"] + 1
        mean, square = state["mean"], state["square"]
        mean = blend(mean, grad, self.beta1, self.own(mean))
        news = torch.mul(grad, grad, out=self.room(grad))
        square = blend(square, news, self.beta2, self.own(square))
        begun, begun_square = (started(beta, step, grad.dtype) for beta in (self.beta1, self.beta2))
        scale = torch.div(square, begun_square, out=self.room(grad))
        scale = root(scale, self.own(scale))
        scale = torch.add(scale, self.eps, out=self.own(scale))
        answer = torch.div(mean, scale, out=self.own(scale))
        answer = torch.div(answer, begun, out=self.own(answer))
        return answer, {"mean": mean, "square": square, "step": step}
