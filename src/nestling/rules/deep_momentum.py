"""Deep momentum (DMGD): a multi-layer memory of gradients, trained by its own inner objective."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from nestling.rules.base import Tensors, norm, scaled_sum
from nestling.rules.momentum import MomentumRule
from nestling.rules.muon import adamw_size
from nestling.rules.newton_schulz import newton_schulz


@dataclass(frozen=True)
class DeepMomentumRule(MomentumRule):
    """`W <- W - rate * M(g)`, M a linear memory plus an MLP that learns what it misses (NL eq. 50).

    For a row r of g, with `rhat = r / rms(r)` and `m` the ordinary momentum:

        M(r)  = m_row + rms(r) / (1 - alpha) * W_out tanh(W_in rhat / sqrt(d))
        L2    = 1/2 mean over rows |(1 - alpha) M(r) - r|^2 / rms(g)^2

    Each step first writes m, then makes one step of gradient descent on L2 with retention,
    `W_out <- memory_alpha W_out - memory_rate grad`, and so W_in around its start; then M is
    asked with the new memory. All rows are asked; one in `every` is learned from, since all share
    the MLP, which keeps what comes back in the gradients and is not (or not yet) in their running
    mean. W_out starts at zero: **M is momentum at the start**, and for ever where `memory_rate` is
    0. The answer is clipped to the size of plain momentum.

    The papers leave input, width, start and objective of the memory open, and the objective that
    they print, `<m(u), 1>`, has no minimum; the reading above is one that has one.

    Args:
        hidden: width h of the MLP.
        memory_rate: rate of the inner objective; 0 is momentum.
        memory_alpha: retention of the MLP.
        every: the objective is the mean over one in so many rows.
        output: "linear", or "newton_schulz" for the non-linear output of NL eq. 52: the answer is
            orthogonalised and scaled as in Muon. With memory_rate 0 that is Muon.

    Cost: 1 tensor of state and two of `h d` numbers; about `(4 + 10 / every) h` flops a parameter
    (AdamW: 2 tensors, about 12 flops a parameter).
    """

    hidden: int = 16
    memory_rate: float | Tensor = 0.02
    memory_alpha: float | Tensor = 0.99
    every: int = 4
    output: str = "linear"

    LEARNED: ClassVar = {"rate": "positive", "alpha": "share", "memory_rate": "share"}
    MATRICES_ONLY: ClassVar = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("hidden", self.hidden, 1)
        self.require("every", self.every, 1)
        self.require("memory_rate", self.memory_rate, 0.0)
        self.require("memory_alpha", self.memory_alpha, 0.0, 1.0 + 1e-12)
        if self.output not in ("linear", "newton_schulz"):
            raise ValueError(f"output is 'linear' or 'newton_schulz', got {self.output!r}")

    def init_one(self, param: Tensor) -> dict[str, Tensor]:
        *batch, _, width = param.shape
        return {
            "momentum": torch.zeros_like(param),
            "w_in": param.new_zeros(*batch, self.hidden, width),
            "w_out": param.new_zeros(*batch, width, self.hidden),
        }

    def direction(
        self, grad: Tensor, state: Tensors, param: Tensor, inputs: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        plain, new = super().direction(grad, state, param, inputs)
        width = math.sqrt(grad.shape[-1])
        row_size = norm(grad, -1) / width
        size = row_size.square().mean(-2, keepdim=True).clamp_min(1e-38).sqrt()
        some = slice(None, None, self.every if grad.shape[-2] >= 2 * self.every else 1)
        few, held = grad[..., some, :], new["momentum"][..., some, :]
        w_in, w_out = self.learned(few, held, row_size[..., some, :], size, state)
        first = first_layer(self.hidden, grad.shape[-1]).to(grad) + w_in
        active = torch.tanh(grad @ first.mT / (row_size * width))
        active = active * (row_size / (1 - self.alpha))
        answer = torch.matmul(active, w_out.mT, out=self.room(grad))
        answer = torch.add(plain, answer, out=self.own(answer))
        clip = (norm(plain, (-2, -1)) / norm(answer, (-2, -1))).clamp(max=1.0)
        answer = torch.mul(answer, clip, out=self.own(answer))
        if self.output == "newton_schulz":
            answer = adamw_size(grad) * newton_schulz(answer)
        return answer, {**new, "w_in": w_in, "w_out": w_out}

    def learned(
        self, grad: Tensor, momentum: Tensor, row_size: Tensor, size: Tensor, state: Tensors
    ) -> tuple[Tensor, Tensor]:
        """The MLP after one step on its objective: offsets of W_in [..., h, d], W_out [..., d, h].

        Args:
            grad, momentum: the rows that are learned from [..., o, d]; row_size: their root mean
                squares [..., o, 1]; size: that of the whole gradient [..., 1, 1].
        """
        w_in, w_out = state["w_in"], state["w_out"]
        rows, width = grad.shape[-2], math.sqrt(grad.shape[-1])
        first = first_layer(self.hidden, grad.shape[-1]).to(grad) + w_in
        active = torch.tanh(grad @ first.mT / (row_size * width))
        # What is missing, r - (1 - alpha) M(r). All factors of a row wait for the narrow tensors:
        # a pass over the wide ones costs more than the products.
        error = torch.matmul(active * -row_size, w_out.mT, out=self.room(grad))
        error = torch.add(error, grad, out=self.own(error))
        error = scaled_sum(error, momentum, self.alpha - 1, self.own(error))
        # Divided by the size before and after the product, which is all that a gradient of zeros
        # leaves finite.
        to_active = (error @ w_out) * (1 - active.square()) / (size * rows * width)
        weight = row_size / (size * rows)
        return (
            self.memory_alpha * w_in + self.memory_rate * (to_active.mT @ grad) / size,
            self.memory_alpha * w_out + self.memory_rate * (error.mT @ (weight * active)) / size,
        )


@lru_cache(maxsize=256)
def first_layer(hidden: int, width: int) -> Tensor:
    """Where W_in starts, the same everywhere: normal numbers, so that W_in rhat is of size 1.

    It is no part of the state, so that a state of zeros is a fresh one.
    """
    generator = torch.Generator().manual_seed(hidden * 1_000_003 + width)
    return torch.randn(hidden, width, generator=generator, dtype=torch.float32, device="cpu")
