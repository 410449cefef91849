"""Newton-Schulz iterations: the nearest matrix with orthonormal rows, from products alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nestling.rules.base import norm

Coefficients = Sequence[tuple[float, float, float]]

# Keller Jordan's constants, as in `torch.optim.Muon`: singular values end between 0.68 and 1.2.
QUINTIC: Coefficients = ((3.4445, -4.7750, 2.0315),) * 5
# The minimax polynomials of Polar Express (arXiv 2505.16932) for five steps: singular values above
# a thousandth of the Frobenius norm end between 0.85 and 1.15. A polynomial rises steeply beyond 1,
# where rounding in bfloat16 may lead; each but the last is stretched by a little against that.
_MINIMAX: Coefficients = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
)
_STRETCH = 1.02
POLAR: Coefficients = (
    *((a / _STRETCH, b / _STRETCH**3, c / _STRETCH**5) for a, b, c in _MINIMAX),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
)
COEFFICIENTS: dict[str, Coefficients] = {"polar": POLAR, "quintic": QUINTIC}


def newton_schulz(
    x: Tensor,
    coefficients: Coefficients = POLAR,
    *,
    dtype: torch.dtype | None = None,
    eps: float = 1e-7,
) -> Tensor:
    """Push all singular values of x [..., o, d] towards 1 (NL §2.3, eq. 42).

    Solves `min_O |O^T O - I|^2` from `O = x / |x|_F` on, one polynomial
    `O <- a O + (b O O^T + c (O O^T)^2) O` for each (a, b, c). A zero matrix stays zero.

    Args:
        dtype: of the products, for example bfloat16; default: that of x.
        eps: norms below are taken as this.
    """
    o = x if dtype is None else x.to(dtype)
    if tall := o.shape[-2] > o.shape[-1]:
        o = o.mT
    o = o / norm(o, (-2, -1)).clamp(min=eps)
    shape = o.shape
    add_product = torch.addmm if o.dim() == 2 else torch.baddbmm
    o = o if o.dim() == 2 else o.flatten(0, -3)
    for a, b, c in coefficients:
        gram = o @ o.mT
        polynomial = add_product(gram, gram, gram, beta=b, alpha=c)
        o = add_product(o, polynomial, o, beta=a)
    o = o.view(shape)
    return (o.mT if tall else o).to(x.dtype)
