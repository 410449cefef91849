import pytest
import torch
from torch.nn import functional

from nestling.ops.gated_delta import gated_delta_chunk, gated_delta_loop

torch.set_num_threads(1)

BATCH, HEADS, KEY_WIDTH, VALUE_WIDTH = 2, 3, 5, 7


def make_arguments(size, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(BATCH, HEADS, *shape, generator=generator, dtype=torch.float64)

    arguments = {
        "keys": functional.normalize(normal(size, KEY_WIDTH), dim=-1),
        "errors": normal(size, VALUE_WIDTH),
        "log_alpha": -functional.softplus(normal(size)),
        "eta": normal(size).sigmoid(),
        "queries": normal(size, KEY_WIDTH),
    }
    return {n: x.requires_grad_() for n, x in arguments.items()}


def values_and_gradients(function, arguments):
    outputs = function(**arguments)
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        (output * torch.randn(output.shape, generator=generator, dtype=output.dtype)).sum()
        for output in outputs
    )
    return [*outputs, *torch.autograd.grad(loss, list(arguments.values()))]


@pytest.mark.parametrize("size", [1, 2, 7, 16])
def test_chunk_equals_loop_in_values_and_gradients(size):
    arguments = make_arguments(size)
    fast = values_and_gradients(gated_delta_chunk, arguments)
    slow = values_and_gradients(gated_delta_loop, arguments)
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_factors_move_any_state_by_the_update_as_written():
    arguments = make_arguments(6)
    keys, errors, log_alpha, eta, queries = arguments.values()
    first = state = torch.randn(BATCH, HEADS, VALUE_WIDTH, KEY_WIDTH, dtype=torch.float64)
    factors, reads = gated_delta_chunk(**arguments)
    for t in range(6):
        k, e, q = (x[:, :, t, :, None] for x in (keys, errors, queries))
        a, n = log_alpha[:, :, t, None, None].exp(), eta[:, :, t, None, None]
        state = state @ (a * torch.eye(KEY_WIDTH) - n * k @ k.mT) - n * e @ k.mT
        kept, written = reads[:, :, t, :, None].split((KEY_WIDTH, VALUE_WIDTH), -2)
        torch.testing.assert_close(first @ kept + written, state @ q, rtol=1e-9, atol=1e-9)
    kept, written = factors.split((KEY_WIDTH, VALUE_WIDTH), -2)
    torch.testing.assert_close(first @ kept + written, state, rtol=1e-9, atol=1e-9)


def test_what_is_written_is_linear_in_the_errors():
    arguments = make_arguments(6)
    matrix = torch.randn(KEY_WIDTH, VALUE_WIDTH, dtype=torch.float64)
    factors, _ = gated_delta_chunk(**arguments)
    changed, _ = gated_delta_chunk(**arguments | {"errors": arguments["errors"] @ matrix.mT})
    kept, written = factors.split((KEY_WIDTH, VALUE_WIDTH), -2)
    expected = torch.cat([kept, matrix @ written], -2)
    torch.testing.assert_close(changed, expected, rtol=1e-9, atol=1e-9)


def test_strong_decay_does_not_overflow():
    arguments = make_arguments(16)
    arguments["log_alpha"] = torch.full_like(arguments["log_alpha"], -300.0).requires_grad_()
    fast = values_and_gradients(gated_delta_chunk, arguments)
    slow = values_and_gradients(gated_delta_loop, arguments)
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_a_silent_token_changes_nothing():
    arguments = make_arguments(5)
    factors, _ = gated_delta_chunk(**arguments)
    silent = {n: torch.cat([x, x[:, :, :1]], 2) for n, x in arguments.items()}
    visible = torch.tensor([True] * 5 + [False])
    for name in ("eta", "log_alpha"):
        silent[name] = silent[name] * visible
    torch.testing.assert_close(gated_delta_chunk(**silent)[0], factors, rtol=1e-12, atol=1e-12)


def test_without_queries_there_are_no_reads():
    arguments = make_arguments(4)
    with_reads, _ = gated_delta_chunk(**arguments)
    for function in (gated_delta_chunk, gated_delta_loop):
        factors, reads = function(**(arguments | {"queries": None}))
        assert reads is None
        torch.testing.assert_close(factors, with_reads, rtol=1e-9, atol=1e-9)


def test_half_precision_inputs_are_solved_in_float32():
    arguments = {n: x.detach().bfloat16() for n, x in make_arguments(4).items()}
    for function in (gated_delta_chunk, gated_delta_loop):
        assert all(output.dtype == torch.float32 for output in function(**arguments))
