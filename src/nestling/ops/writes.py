"""What the writes of one chunk leave in a matrix: the form that all written memories share.

A matrix W and its momentum S are written token by token, with errors e_t that are known when the
chunk starts (they were taken at its first state):

    S_t = mu_t S_{t-1} - eta_t e_t z_t^T                                  S_t alone if mu = 0
    W_t = W_{t-1} (alpha_t I - eta_t z_t z_t^T) + S_t                     with the delta decay
    W_t = alpha_t W_{t-1} + S_t                                           without

That is linear in W_0, S_0 and the errors. With d_tj = prod_{j<i<=t} alpha_i, m_tj the same of mu,
c = d m, b_t = sum_j d_tj m_j0 and w_t = eta_t W_{t-1} z_t, what the decay takes away at token t,

    W_t = d_t0 W_0 + b_t S_0 - sum_{j<=t} (d_tj w_j + c_tj eta_j e_j) z_j^T

and the w of a chunk are the solution of one triangular system (NL §4.4, which leaves momentum out).

Shapes: leading dimensions, C tokens of the chunk, I and O the width of the input and the output.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nestling.ops.decay import decay


class Memory(NamedTuple):
    """The matrices of a memory and of its momentum, [..., O, I] each, first used first.

    `momenta` is empty where there is no momentum.
    """

    weights: tuple[Tensor, ...]
    momenta: tuple[Tensor, ...] = ()


Writes = tuple[Tensor, ...]
"""What the tokens of a chunk write, [..., C, O] each; a slice of the rows O is valid too."""


class Course:
    """The coefficients of a chunk: what is left of everything at each of its tokens."""

    def __init__(self, log_alpha: Tensor, log_mu: Tensor | None = None, *, delta: bool) -> None:
        """Take the logarithms of retention and momentum, `[..., C]` each, at most 0."""
        log_kept = log_alpha.cumsum(-1)
        self.delta = delta
        self.kept = log_kept.exp()
        left = decay(log_kept, log_kept)
        self.through = (left,)
        self.carried = self.momentum = None
        if log_mu is not None:
            log_moved = log_mu.cumsum(-1)
            moved, still = log_moved.exp(), decay(log_moved, log_moved)
            self.carried = (left @ moved[..., None])[..., 0]
            self.momentum = moved[..., -1, None, None], still[..., -1, :]
            self.through = (left, left @ still) if delta else (left @ still,)

    def writes(
        self, z: Tensor, e: Tensor, eta: Tensor, weight: Tensor, momentum: Tensor | None
    ) -> Writes:
        """Solve for what each token writes.

        Args:
            z: inputs `[..., C, I]`.
            e: errors `[..., C, O]`.
            eta: rates `[..., C]`.
            weight, momentum: `[..., O, I]` at the start of the chunk.
        """
        eta = eta[..., None]
        if not self.delta:
            return (eta * e,)
        overlap = z @ z.mT
        before = _one_earlier(self.kept, 1.0)[..., None] * (z @ weight.mT)
        if self.carried is None or momentum is None:
            # One and the same coefficient for both: w and e are solved for as a sum.
            before = before + e
        else:
            earlier = _one_earlier(self.carried, 0.0)[..., None]
            before = before + earlier * (z @ momentum.mT)
            before = before - (overlap * _row_earlier(self.through[-1])) @ (eta * e)
        taken = torch.linalg.solve_triangular(
            overlap * _row_earlier(self.through[0]) * eta.mT,
            before,
            upper=False,
            unitriangular=True,
        )
        return (eta * taken,) if self.carried is None else (eta * taken, eta * e)

    def read(
        self,
        queries: Tensor,
        z: Tensor,
        writes: Writes,
        weight: Tensor,
        momentum: Tensor | None,
    ) -> Tensor:
        """What the matrix answers to `queries [..., C, I]` after their tokens: `[..., C, O]`."""
        answer = self.kept[..., None] * (queries @ weight.mT)
        if self.carried is not None and momentum is not None:
            answer = answer + self.carried[..., None] * (queries @ momentum.mT)
        overlap = queries @ z.mT
        for left, written in zip(self.through, writes, strict=True):
            answer = answer - (overlap * left) @ written
        return answer

    def end(
        self, z: Tensor, writes: Writes, weight: Tensor, momentum: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The matrix and its momentum after the last token."""
        weight = self.kept[..., -1, None, None] * weight
        for left, written in zip(self.through, writes, strict=True):
            weight = weight - (left[..., -1, :, None] * written).mT @ z
        if self.carried is None or self.momentum is None or momentum is None:
            return weight, momentum
        weight = weight + self.carried[..., -1, None, None] * momentum
        moved, still = self.momentum
        return weight, moved * momentum - (still[..., None] * writes[-1]).mT @ z


def _one_earlier(x: Tensor, first: float) -> Tensor:
    """x [..., C] one token earlier."""
    return functional.pad(x[..., :-1], (1, 0), value=first)


def _row_earlier(x: Tensor) -> Tensor:
    """The rows of x [..., C, C] one token earlier; zeros first."""
    return functional.pad(x[..., :-1, :], (0, 0, 1, 0))
