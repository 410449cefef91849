"""A short causal convolution along the sequence whose last inputs ride in the state."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from nestling.ops.packing import mask_rows, slice_rows


class ShortConvolution(nn.Module):
    """Mix each channel with its `width - 1` past values (depthwise, causal, no bias; NL §4.1)."""

    def __init__(self, channels: int, width: int = 4):
        super().__init__()
        if width < 1:
            raise ValueError(f"width is {width}: it must be at least 1; 4 is usual")
        self.width = width
        self.weight = nn.Parameter(torch.empty(width, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise.

        | name   | distribution                      |
        |--------|-----------------------------------|
        | weight | U(-1, 1) / sqrt(width)            |
        """
        nn.init.uniform_(self.weight, -(self.width**-0.5), self.width**-0.5)

    def forward(
        self, x: Tensor, tail: Tensor | None, lengths: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Convolve the visible rows of `x [B, T, D]`, which follow `tail [B, width - 1, D]`.

        Rows at or after `lengths [B]` are padding. Returns `[B, T, D]` and the new tail, the last
        `width - 1` inputs of each sequence. A tail of zeros is the start of a sequence; so is None,
        for which no new tail is returned.
        """
        tokens = x.shape[1]
        rows = mask_rows(x, lengths)
        if tail is None:
            rows = functional.pad(rows, (0, 0, self.width - 1, 0))
        else:
            rows = torch.cat([tail.to(x.dtype), rows], dim=1)
        weight = self.weight.to(x.dtype)
        y = rows[:, :tokens] * weight[0]
        for i in range(1, self.width):
            y = torch.addcmul(y, rows[:, i : i + tokens], weight[i])
        if tail is None:
            return y, None
        last = slice_rows(rows, lengths, self.width - 1, lengths + self.width - 1)
        return y, last.to(tail.dtype)
