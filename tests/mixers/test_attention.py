"""A window read in blocks is the same window read with one dense mask."""

import pytest
import torch

from nestling.mixers.attention import FAR, Attention, rotate

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

    def dense(q, k, v, *before):
        column = torch.arange(length)
        distance = column[:, None] - column
        return attention._attend(q, k, v, (distance >= 0) & (distance < WINDOW))

    in_blocks = values_and_gradients()
    monkeypatch.setattr(attention, "_attend_in_blocks", dense)
    for ours, theirs in zip(in_blocks, values_and_gradients(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("persistent", [0, 3])
@pytest.mark.parametrize("length", [11, 15, 23])
def test_blocks_behind_a_state_equal_one_token_after_the_other(length, persistent):
    torch.manual_seed(0)
    attention = Attention(16, 2, window=WINDOW, persistent=persistent).double()
    # Nothing remembered, less than a window and more; tokens that end at different places.
    x = torch.randn(3, 7 + length, 16, dtype=torch.float64, requires_grad=True)
    before, lengths = torch.tensor([0, 3, 7]), torch.tensor([length, length - 4, 2])
    fresh = {
        name: torch.zeros(3, *shape, dtype=dtype or torch.float64)
        for name, (shape, dtype) in attention.state_shapes().items()
    }
    _, state = attention(x[:, :7], fresh, before)
    assert state is not None

    def run(widths):
        y, now, place = [], state, 7
        for width in widths:
            left = (lengths - (place - 7)).clamp(0, width)
            out, now = attention(x[:, place : place + width], now, left)
            y.append(out)
            place += width
        y = torch.cat(y, 1)
        seen = torch.arange(length) < lengths[:, None]
        return y[seen], now

    at_once, last = run([length])
    one_by_one, last_too = run([1] * length)
    torch.testing.assert_close(at_once, one_by_one, rtol=1e-9, atol=1e-9)
    for name, leaf in last.items():
        torch.testing.assert_close(leaf, last_too[name], rtol=1e-9, atol=1e-9)
    slopes = [
        torch.autograd.grad(y.square().sum(), x, retain_graph=True)[0]
        for y in (at_once, one_by_one)
    ]
    torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("position", [0, FAR - 1, FAR, 10**6, 2**24 + 1])
def test_positions_are_told_apart_however_far_they_are(position):
    torch.manual_seed(0)
    x = torch.randn(1, 2, 3, 8)
    places = torch.tensor([[position, position + 1]])
    (single,), (double,) = (rotate((z,), places, 1e4) for z in (x, x.double()))
    torch.testing.assert_close(single, double.float(), rtol=0, atol=1e-3)
    near, far = torch.tensor([[position, 5]]), torch.tensor([[position, 10**7]])
    # What others of the batch have read changes nothing.
    (beside_near,), (beside_far,) = (rotate((x,), places, 1e4) for places in (near, far))
    assert torch.equal(beside_near[:, 0], beside_far[:, 0])


@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize("length", [4, 12])
def test_nothing_comes_out_of_padding(length, remembered):
    torch.manual_seed(0)
    attention = Attention(16, 2, window=WINDOW)
    x, lengths = torch.randn(2, length, 16), torch.tensor([length, length - 3])
    junk = x.clone()
    junk[1, length - 3 :] = torch.nan
    state = None
    if remembered:
        state = {
            name: torch.zeros(2, *shape, dtype=dtype or torch.float32)
            for name, (shape, dtype) in attention.state_shapes().items()
        }
    clean, there = attention(x, state, lengths), torch.arange(length) < lengths[:, None]
    found = attention(junk, state, lengths)
    assert torch.equal(found[0][there], clean[0][there])
    if remembered:
        torch.testing.assert_close(found[1], clean[1], rtol=0, atol=0)
