"""Arguments for scans of self-modifying memories, and comparisons of their gradients."""

import torch

from nestling.ops.passage import Gates, Scheme
from nestling.ops.self_modifying import self_modifying_loop, self_modifying_scan
from nestling.ops.writes import Memory

BATCH, HEADS, WIDTH, INNER = 3, 2, 4, 5
PER_TOKEN = ("inputs", "contents", "queries")


def make_tensors(
    tokens,
    batch=BATCH,
    heads=HEADS,
    width=WIDTH,
    *,
    memory="linear",
    memories=5,
    momentum=False,
    retention=True,
    gain=False,
    alpha_bias=-2.0,
    seed=0,
):
    """The arguments of a scan by name, all of them leaves."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape, shift=0.0, scale=1.0):
        x = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return (scale * x + shift).requires_grad_()

    shapes = [(width, width)] if memory == "linear" else [(INNER, width), (width, INNER)]

    def matrices(*leading, scale):
        return tuple(
            normal(*leading, memories, *shape, scale=scale / shape[1] ** 0.5) for shape in shapes
        )

    def head(wanted, shift=0.0):
        return (normal(heads, width), normal(heads, shift=shift)) if wanted else (None, None)

    arguments = {
        **{name: normal(batch, tokens, heads, width) for name in PER_TOKEN},
        "initial": matrices(heads, scale=1.0),
        "state": Memory(
            matrices(batch, heads, scale=0.3),
            matrices(batch, heads, scale=0.3) if momentum else (),
        ),
    }
    gates = Gates(*head(True, -1.0), *head(retention, alpha_bias), *head(momentum))
    if gain:
        gates = gates._replace(gain=normal(heads, memories, shift=0.5, scale=0.2))
    return {**arguments, "gates": gates}


def tensors_in(value):
    """All tensors of arguments or results, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    return [] if value is None else [x for item in value for x in tensors_in(item)]


def changed(value, function):
    """The same arguments with every tensor replaced."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, dict):
        return {name: changed(item, function) for name, item in value.items()}
    if value is None:
        return None
    items = [changed(item, function) for item in value]
    return type(value)(*items) if hasattr(value, "_fields") else tuple(items)


def call(function, arguments, lengths, *, chunk_size, projection_chunk_size=None, **options):
    scheme = Scheme(chunk_size, projection_chunk_size, **options)
    return function(**arguments, lengths=torch.tensor(lengths), scheme=scheme)


def values_and_gradients(function, arguments, lengths, **options):
    outputs = tensors_in(call(function, arguments, lengths, **options))
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        (output * torch.randn(output.shape, generator=generator, dtype=output.dtype)).sum()
        for output in outputs
    )
    leaves = tensors_in(arguments)
    return [*outputs, *torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)]


def assert_all_close(left, right, tolerance=1e-9):
    for a, b in zip(tensors_in(left), tensors_in(right), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def assert_scan_equals_loop(arguments, lengths, **options):
    fast = values_and_gradients(self_modifying_scan, arguments, lengths, **options)
    slow = values_and_gradients(self_modifying_loop, arguments, lengths, **options)
    assert_all_close(fast, slow)
