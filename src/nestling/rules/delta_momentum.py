"""Delta momentum: a memory of gradients that makes room before it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nestling.rules.base import Tensors, norm, scaled_sum
from nestling.rules.momentum import MomentumRule


@dataclass(frozen=True)
class DeltaMomentumRule(MomentumRule):
    """`m <- m (alpha I - delta_rate ghat^T ghat) + g; W <- W - rate * m` (NL eq. 49).

    Objective: the regression `|m ghat^T - P|^2` in place of the inner product of momentum. What m
    holds along the rows of the new gradient is taken out before the new gradient is put in, so
    that old gradients fade where there is news and last where there is none. `ghat` is g over its
    largest singular value ("spectral", by power iteration) or its Frobenius norm. The printed
    equation has no rate on the decay term; without one it is stable only for small gradients.

    Args:
        delta_rate: 0 is momentum; stable up to `1 + alpha` where the norm is not below the largest
            singular value. "spectral" is, by up to a tenth, which takes a fifth off that bound.
        norm: of ghat; "frobenius" is never below.
        key: "gradient" as above; "input": the mean input x of the layer, `m <- alpha m -
            delta_rate (m xhat) xhat^T + g`, which needs layer inputs.

    Cost: 1 tensor of state; `4 o d min(o, d)` flops a matrix with "gradient", `4 o d` with
    "input" (AdamW: 2 tensors, about `12 o d`).
    """

    delta_rate: float | Tensor = 0.2
    norm: str = "spectral"
    key: str = "gradient"

    LEARNED: ClassVar = {"rate": "positive", "alpha": "share", "delta_rate": "share"}
    MATRICES_ONLY: ClassVar = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("delta_rate", self.delta_rate, 0.0, 2.0)
        if self.norm not in ("spectral", "frobenius"):
            raise ValueError(f"norm is 'spectral' or 'frobenius', got {self.norm!r}")
        if self.key not in ("gradient", "input"):
            raise ValueError(f"key is 'gradient' or 'input', got {self.key!r}")

    @property
    def needs_inputs(self) -> bool:
        return self.key == "input"

    def direction(
        self, grad: Tensor, state: Tensors, param: Tensor, inputs: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        old = state["momentum"]
        new = scaled_sum(grad, self.known(old, grad, inputs), -self.delta_rate)
        momentum = scaled_sum(new, old, self.alpha, self.own(old))
        ahead = scaled_sum(grad, momentum, self.alpha) if self.nesterov else momentum
        return ahead, {"momentum": momentum}

    def known(self, momentum: Tensor, grad: Tensor, inputs: Tensor | None) -> Tensor:
        """What the memory holds along the new key: [..., o, d]."""
        if inputs is not None and self.key == "input":
            key = inputs.mean(-2, keepdim=True)
            key = key / norm(key, -1)
            return (momentum @ key.mT) @ key
        size = spectral_norm(grad) if self.norm == "spectral" else norm(grad, (-2, -1))
        key = grad / size
        if key.shape[-2] <= key.shape[-1]:
            return (momentum @ key.mT) @ key
        return momentum @ (key.mT @ key)


def spectral_norm(x: Tensor, iterations: int = 4) -> Tensor:
    """Largest singular value by power iteration, from below: [..., o, d] -> [..., 1, 1].

    It begins at the longest row, which the matrix never answers with nothing.
    """
    if not x.numel():
        return x.new_zeros(*x.shape[:-2], 1, 1)
    longest = x.square().sum(-1, keepdim=True).argmax(-2, keepdim=True)
    v = x.gather(-2, longest.expand(*longest.shape[:-1], x.shape[-1]))
    v = v / norm(v, -1)
    for _ in range(iterations):
        v = (v @ x.mT) @ x
        v = v / norm(v, -1)
    return norm(v @ x.mT, -1)
