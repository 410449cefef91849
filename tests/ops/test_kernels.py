"""The kernels of flash-linear-attention compute what our scan computes."""

import sys
import types

import pytest
import torch

from nestling.ops import kernels
from nestling.ops.linear_memory import linear_memory_loop, linear_memory_scan

torch.set_num_threads(1)


def rows(beta, dtype=torch.float32, device="cpu"):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator).to(device)

    q, k, v = (draw(2, 70, 2, 16) for _ in range(3))
    k = k / k.norm(dim=-1, keepdim=True)
    log_alpha = -draw(2, 70, 2).abs() * 0.1
    strength = draw(2, 70, 2).sigmoid() if beta else None
    return q.to(dtype), k.to(dtype), v.to(dtype), log_alpha, strength, draw(2, 2, 16, 16)


def in_their_form(q, k, v, *, g, scale, initial_state, output_final_state, beta=None):
    """Our loop behind the arguments of the kernels: memories are [B, H, K, V] there."""
    assert scale == 1.0 and output_final_state and initial_state.is_contiguous()
    assert all(x.is_contiguous() and x.dtype == torch.bfloat16 for x in (q, k, v))
    y, memory = linear_memory_loop(q, k, v, g, beta, initial_state.mT)
    return y.to(v.dtype), memory.mT


@pytest.fixture
def stand_in(monkeypatch):
    for name, function in (
        ("gated_delta_rule", "chunk_gated_delta_rule"),
        ("simple_gla", "chunk_simple_gla"),
    ):
        module = types.ModuleType(f"fla.ops.{name}")
        setattr(module, function, in_their_form)
        monkeypatch.setitem(sys.modules, f"fla.ops.{name}", module)
    for name in ("fla", "fla.ops"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))


@pytest.mark.parametrize("beta", [True, False])
def test_a_scan_is_left_to_the_kernels_where_they_can_run(beta, stand_in, monkeypatch):
    given = rows(beta, torch.bfloat16)
    y, memory = linear_memory_scan(*given)
    monkeypatch.setattr(kernels, "usable", lambda values: True)
    theirs, their_memory = linear_memory_scan(*given)
    assert theirs.dtype == torch.float32 and their_memory.shape == memory.shape
    torch.testing.assert_close(theirs, y, rtol=0, atol=0.05)
    torch.testing.assert_close(their_memory, memory, rtol=0, atol=0.05)


def test_kernels_are_for_half_precision_on_a_gpu(monkeypatch):
    monkeypatch.setattr(kernels, "is_installed", lambda: True)
    assert not kernels.usable(torch.zeros(1, dtype=torch.bfloat16))

    class OnGpu:
        is_cuda = True
        dtype = torch.float32

    assert not kernels.usable(OnGpu())
    OnGpu.dtype = torch.bfloat16
    assert kernels.usable(OnGpu())
    monkeypatch.setattr(kernels, "is_installed", lambda: False)
    assert not kernels.usable(OnGpu())


@pytest.mark.skipif(
    not (torch.cuda.is_available() and kernels.is_installed()),
    reason="needs a GPU and flash-linear-attention",
)
@pytest.mark.parametrize("beta", [True, False])
def test_the_kernels_are_equal_to_the_scan(beta):
    given = [None if x is None else x.cuda().requires_grad_() for x in rows(beta)]
    half = [x if x is None else x.detach().to(torch.bfloat16).requires_grad_() for x in given[:3]]
    y, memory = linear_memory_scan(*given)
    theirs, their_memory = linear_memory_scan(*half, *given[3:])
    torch.testing.assert_close(theirs, y, rtol=0.05, atol=0.05)
    torch.testing.assert_close(their_memory, memory, rtol=0.05, atol=0.05)
    for ours, other in zip(given[:3], half, strict=True):
        (wanted,) = torch.autograd.grad(y.square().sum(), ours, retain_graph=True)
        (found,) = torch.autograd.grad(theirs.square().sum(), other, retain_graph=True)
        torch.testing.assert_close(found.float(), wanted, rtol=0.1, atol=0.2)
