"""M3, multi-scale momentum Muon: one fast and one slow memory of gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nestling.rules.base import Rule, Tensors, blend, per_matrix, root, step_of
from nestling.rules.momentum import started
from nestling.rules.muon import check_newton_schulz, orthogonal


@dataclass(frozen=True)
class M3Rule(Rule):
    """A fast memory written at every step and a slow one every `period` steps (NL Algorithm 1).

    Objective: two momenta (each an inner product with the gradients) at two frequencies, as in the
    continuum memory; both answers are orthogonalised as in Muon. With `mode="ema"`:

        M1 <- beta1 M1 + (1 - beta1) g
        M2 <- beta3 M2 + (1 - beta3) mean of the last `period` g      (every `period` steps)
        O  = NewtonSchulz(M1) + slow NewtonSchulz(M2)
        V  <- beta2 V + (1 - beta2) O^2;   U = O / (sqrt(V / (1 - beta2^t)) + eps)
        W  <- W - rate * 0.2 sqrt(o d) U / |U|

    `mode="literal"` is Algorithm 1 (eq. 75) to the letter, for comparison: sums in place of
    averages (`M1 += beta1 g`, `M2 += beta3 sum g`, `V += beta2 g^2`) and
    `W <- W - rate (O1 + slow O2) / (sqrt(V) + eps)`. There beta1 and beta3 do nothing, since
    Newton-Schulz forgets the size, nothing is ever forgotten, and the step shrinks as the gradient
    grows. The paper names no constants; the defaults are ours.

    Args:
        beta1, beta3: retention of the fast and the slow memory; beta2: of the second moment.
        slow: weight of the slow memory (alpha in the paper); 0 and `period=0` is one scale alone.
        period: steps between two writes of the slow memory; 0 means never.
        nesterov: ask the fast memory one step ahead.
        eps: added to the root.
        coefficients, products: of Newton-Schulz, as in Muon.

    Cost: 5 tensors of state (AdamW: 2); the flops of Muon times `1 + 1 / period`, and about 20 a
    parameter.
    """

    beta1: float | Tensor = 0.95
    beta2: float | Tensor = 0.99
    beta3: float | Tensor = 0.9
    slow: float | Tensor = 0.2
    period: int = 32
    nesterov: bool = True
    mode: str = "ema"
    eps: float = 1e-8
    coefficients: str = "polar"
    products: str | None = None

    LEARNED: ClassVar = {"rate": "positive", "beta1": "share", "slow": "positive"}
    MATRICES_ONLY: ClassVar = True

    def __post_init__(self) -> None:
        super().__post_init__()
        # The sums of the literal form have no retention: its betas are only weights.
        high = 1.0 if self.mode == "ema" else math.inf
        for name in ("beta1", "beta2", "beta3"):
            self.require(name, getattr(self, name), 0.0, high)
        self.require("slow", self.slow, 0.0)
        self.require("period", self.period, 0)
        if self.mode not in ("ema", "literal"):
            raise ValueError(f"mode is 'ema' or 'literal', got {self.mode!r}")
        check_newton_schulz(self.coefficients, self.products)

    def init_one(self, param: Tensor) -> dict[str, Tensor]:
        names = ("fast", "slow", "gathered", "slow_answer", "square")
        return {name: torch.zeros_like(param) for name in names} | {"step": step_of(param)}

    def direction(
        self, grad: Tensor, state: Tensors, param: Tensor, inputs: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        step = state["step"] + 1
        slow, square = self.with_slow_memory(grad, state, step), state["square"]
        if self.mode == "literal":
            fast = state["fast"] + self.beta1 * grad
            square = square + self.beta2 * grad.square()
            # Algorithm 1 writes the slow memory before a chunk, so a chunk sees the ones before it.
            answer = self.orthogonal(fast) + self.slow * state["slow_answer"]
            answer = answer / (root(square) + self.eps)
        else:
            fast = blend(state["fast"], grad, self.beta1, self.own(state["fast"]))
            ahead = blend(fast, grad, self.beta1) if self.nesterov else fast
            answer = self.orthogonal(ahead) + self.slow * state["slow_answer"]
            square = blend(square, answer.square(), self.beta2, self.own(square))
            start = started(self.beta2, step, grad.dtype)
            answer = answer / (root(square / start) + self.eps)
            size = answer.square().mean((-2, -1), keepdim=True).clamp_min(1e-30).sqrt()
            answer = 0.2 * answer / size
        return answer, {**slow, "fast": fast, "square": square, "step": step}

    def with_slow_memory(self, grad: Tensor, state: Tensors, step: Tensor) -> dict[str, Tensor]:
        """The slow memory after this step; written where a period ends."""
        old = {name: state[name] for name in ("slow", "slow_answer")}
        if not self.period:
            return {**old, "gathered": state["gathered"]}
        gathered = torch.add(state["gathered"], grad, out=self.own(state["gathered"]))
        due = step % self.period == 0
        if not bool(due.any()):
            return {**old, "gathered": gathered}
        if self.mode == "literal":
            slow = state["slow"] + self.beta3 * gathered
        else:
            slow = blend(state["slow"], gathered / self.period, self.beta3)
        new = {
            "slow": slow,
            "slow_answer": self.orthogonal(slow),
            "gathered": torch.zeros_like(gathered),
        }
        if bool(due.all()):
            return new
        old["gathered"] = gathered
        return {name: torch.where(per_matrix(due), new[name], old[name]) for name in new}

    def orthogonal(self, x: Tensor) -> Tensor:
        return orthogonal(x, self.coefficients, self.products)
