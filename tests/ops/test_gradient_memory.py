import pytest
import torch
from torch.nn import functional

from nestling.ops.gradient_memory import (
    Gates,
    Norm,
    gradient_memory_loop,
    gradient_memory_scan,
)
from nestling.ops.writes import Memory

torch.set_num_threads(1)

BATCH, HEADS, WIDTH, INNER = 2, 2, 4, 6


def make_arguments(length, *, layers=2, normed=False, momentum=True, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    shapes = [(WIDTH, WIDTH)] if layers == 1 else [(INNER, WIDTH), (WIDTH, INNER)]

    def matrices():
        return tuple(
            (0.5 * normal(BATCH, HEADS, *shape)).detach().requires_grad_() for shape in shapes
        )

    def tokens():
        return normal(BATCH, length, HEADS, WIDTH)

    def gate(function):
        return function(normal(BATCH, length, HEADS)).detach().requires_grad_()

    return {
        "queries": tokens(),
        "keys": tokens(),
        "values": tokens(),
        "gates": Gates(
            gate(lambda x: 0.3 * x.sigmoid()),
            gate(functional.logsigmoid) if momentum else None,
            gate(functional.logsigmoid) if momentum else None,
        ),
        "memory": Memory(matrices(), matrices()),
        "norm": Norm(normal(HEADS, WIDTH), normal(HEADS, WIDTH)) if normed else None,
        "lengths": torch.tensor([length, max(0, length - 2)]),
    }


def flat(arguments):
    """All floating tensors of the arguments."""
    tensors = []
    for value in arguments.values():
        if isinstance(value, torch.Tensor):
            tensors += [value] if value.is_floating_point() else []
        elif value is not None:
            for item in value:
                tensors += list(item) if isinstance(item, tuple) else [item]
    return [x for x in tensors if x is not None]


def values_and_gradients(function, arguments, **options):
    read, memory = function(**arguments, **options)
    outputs = [read, *memory.weights, *memory.momenta]
    generator = torch.Generator().manual_seed(1)
    loss = sum((x * torch.randn(x.shape, generator=generator).double()).sum() for x in outputs)
    slopes = torch.autograd.grad(loss, flat(arguments), allow_unused=True, materialize_grads=True)
    return [*outputs, *slopes]


@pytest.mark.parametrize(("length", "chunk_size"), [(1, 3), (6, 3), (7, 3), (5, 1), (4, 8)])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("momentum", [False, True])
def test_the_scan_equals_the_loop_in_values_and_gradients(
    length, chunk_size, layers, normed, momentum
):
    arguments = make_arguments(length, layers=layers, normed=normed, momentum=momentum)
    fast = values_and_gradients(gradient_memory_scan, arguments, chunk_size=chunk_size)
    loop = values_and_gradients(gradient_memory_loop, arguments, chunk_size=chunk_size)
    for a, b in zip(fast, loop, strict=True):
        size = b.abs().amax().clamp_min(1e-9)
        torch.testing.assert_close(a / size, b / size, rtol=1e-9, atol=1e-9)


def test_a_key_that_comes_back_is_answered_with_its_value():
    arguments = make_arguments(40, layers=1, momentum=False)
    key = functional.normalize(arguments["keys"][:, :1], dim=-1).expand(-1, 40, -1, -1)
    value = arguments["values"][:, :1].expand(-1, 40, -1, -1)
    arguments |= {"keys": key, "queries": key, "values": value}
    arguments |= {"gates": Gates(torch.full((BATCH, 40, HEADS), 0.5).double())}
    arguments["lengths"] = torch.tensor([40, 40])
    read, _ = gradient_memory_scan(**arguments, chunk_size=1)
    torch.testing.assert_close(read[:, -1], value[:, -1], rtol=1e-6, atol=1e-6)
