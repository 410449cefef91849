"""What is left of earlier writes at later tokens of a chunk."""

import torch
from torch import Tensor


def decay(log_rows: Tensor, log_columns: Tensor, diagonal: int = 0) -> Tensor:
    """Return exp(log_rows_t - log_columns_j) `[..., C, C]` for j <= t + diagonal, 0 elsewhere."""
    difference = log_rows[..., :, None] - log_columns[..., None, :]
    size = difference.shape[-1]
    past = torch.ones(size, size, dtype=torch.bool, device=difference.device).tril(diagonal)
    # Masked before exp: the differences of the future are positive and would overflow.
    return difference.masked_fill(~past, -torch.inf).exp()
