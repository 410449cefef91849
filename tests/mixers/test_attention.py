"""A window read in blocks is the same window read with one dense mask."""

import pytest
import torch

from nestling.mixers.attention import Attention

torch.set_num_threads(1)

WINDOW = 5


@pytest.mark.parametrize("persistent", [0, 3])
@pytest.mark.parametrize("length", [11, 15, 23])
def test_blocks_equal_a_dense_mask(length, persistent, monkeypatch):
    torch.manual_seed(0)
    attention = Attention(16, 2, window=WINDOW, persistent=persistent).double()
    x = torch.randn(3, length, 16, dtype=torch.float64, requires_grad=True)
    lengths = torch.full((3,), length)
    parameters = [x, *attention.parameters()]

    def values_and_gradients():
        y, _ = attention(x, None, lengths)
        return [y, *torch.autograd.grad(y.square().sum(), parameters)]

    def dense(q, k, v):
        column = torch.arange(length)
        distance = column[:, None] - column
        return attention._attend(q, k, v, (distance >= 0) & (distance < WINDOW))

    in_blocks = values_and_gradients()
    monkeypatch.setattr(attention, "_attend_in_blocks", dense)
    for ours, theirs in zip(in_blocks, values_and_gradients(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
