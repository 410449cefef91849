import pytest
import torch
from torch.nn import functional

from nestling.ops.linear_memory import linear_memory_loop, linear_memory_scan

torch.set_num_threads(1)

BATCH, HEADS, KEY_WIDTH, VALUE_WIDTH = 2, 3, 5, 7


def make_arguments(length, delta=True, memory=True, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    arguments = {
        "queries": normal(BATCH, length, HEADS, KEY_WIDTH),
        "keys": functional.normalize(normal(BATCH, length, HEADS, KEY_WIDTH), dim=-1),
        "values": normal(BATCH, length, HEADS, VALUE_WIDTH),
        "log_alpha": -functional.softplus(normal(BATCH, length, HEADS)),
        "beta": 2 * normal(BATCH, length, HEADS).sigmoid() if delta else None,
        "memory": normal(BATCH, HEADS, VALUE_WIDTH, KEY_WIDTH) if memory else None,
    }
    return {n: x if x is None else x.requires_grad_() for n, x in arguments.items()}


def values_and_gradients(function, arguments, **options):
    outputs = function(**arguments, **options)
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        (x * torch.randn(x.shape, generator=generator, dtype=torch.float64)).sum() for x in outputs
    )
    inputs = [x for x in arguments.values() if x is not None]
    return [*outputs, *torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)]


@pytest.mark.parametrize("length", [1, 3, 7, 12])
@pytest.mark.parametrize("chunk_size", [1, 4, 64])
@pytest.mark.parametrize("delta", [True, False])
@pytest.mark.parametrize("memory", [True, False])
def test_the_scan_equals_the_loop_in_values_and_gradients(length, chunk_size, delta, memory):
    arguments = make_arguments(length, delta, memory)
    fast = values_and_gradients(linear_memory_scan, arguments, chunk_size=chunk_size)
    loop = values_and_gradients(linear_memory_loop, arguments)
    for a, b in zip(fast, loop, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_the_delta_rule_replaces_what_a_key_held():
    key = functional.normalize(torch.randn(1, 2, 1, 4, dtype=torch.float64), dim=-1)
    key[:, 1] = key[:, 0]
    values = torch.randn(1, 2, 1, 3, dtype=torch.float64)
    zero, one = torch.zeros(1, 2, 1).double(), torch.ones(1, 2, 1).double()
    with_delta, _ = linear_memory_scan(key, key, values, zero, one)
    without, _ = linear_memory_scan(key, key, values, zero, None)
    torch.testing.assert_close(with_delta[:, 1], values[:, 1])
    torch.testing.assert_close(without[:, 1], values.sum(1))


def test_strong_fading_over_a_long_chunk_stays_finite():
    arguments = make_arguments(64)
    arguments["log_alpha"] = torch.full((BATCH, 64, HEADS), -20.0, dtype=torch.float64)
    for x in values_and_gradients(
        linear_memory_scan, {n: x.detach().requires_grad_() for n, x in arguments.items()}
    ):
        assert x.isfinite().all()


def test_an_empty_sequence_leaves_the_memory():
    arguments = make_arguments(0)
    memory = linear_memory_loop(**arguments)[1]
    assert torch.equal(memory, arguments["memory"])
    assert torch.equal(linear_memory_scan(**arguments)[1], arguments["memory"])


def test_autocast_leaves_the_memory_precise():
    arguments = {
        name: None if x is None else x.detach().float() for name, x in make_arguments(12).items()
    }
    plain = linear_memory_scan(**arguments, chunk_size=4)
    with torch.autocast("cpu", torch.bfloat16):
        cast = linear_memory_scan(**arguments, chunk_size=4)
    for one, other in zip(plain, cast, strict=True):
        assert torch.equal(one, other)
