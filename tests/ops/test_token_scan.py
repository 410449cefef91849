"""Chunks of one token: gradients by hand are those of the token loop, and can be differentiated."""

import pytest
import torch
from tests.ops.self_modifying_cases import (
    assert_all_close,
    assert_scan_equals_loop,
    call,
    changed,
    make_tensors,
    tensors_in,
)

from nestling.ops import token_scan
from nestling.ops.passage import MEMORIES
from nestling.ops.self_modifying import self_modifying_loop, self_modifying_scan

LENGTHS = [9, 4, 0]


@pytest.mark.parametrize("memories", [5, 6])
@pytest.mark.parametrize("retention", [False, True])
@pytest.mark.parametrize("objective", ["l2", "dot_product"])
@pytest.mark.parametrize("adaptive", [MEMORIES, ("k", "eta"), ()])
@pytest.mark.parametrize(("read", "decay_to"), [("running", "initial"), ("chunk", "zero")])
def test_every_choice_equals_the_loop(memories, retention, objective, adaptive, read, decay_to):
    arguments = make_tensors(9, memories=memories, retention=retention)
    options = {"objective": objective, "adaptive": adaptive, "read": read, "decay_to": decay_to}
    # Of a rate up to 1 some meet their bound and some do not.
    assert_scan_equals_loop(arguments, LENGTHS, chunk_size=1, **options)


@pytest.mark.parametrize("contents", [True, False])
def test_without_a_state_the_gradients_are_the_same(contents):
    arguments = {**make_tensors(9), "state": None}
    if not contents:
        arguments["contents"] = None
    assert_scan_equals_loop(arguments, LENGTHS, chunk_size=1)


def test_it_is_what_reads_chunks_of_one_token(monkeypatch):
    used, apply = [], token_scan._Writes.apply
    monkeypatch.setattr(token_scan._Writes, "apply", lambda *given: used.append(1) or apply(*given))
    arguments = make_tensors(5)
    call(self_modifying_scan, arguments, [5, 5, 5], chunk_size=4)
    assert not used
    fast = call(self_modifying_scan, arguments, [5, 5, 5], chunk_size=1)
    assert used
    assert_all_close(fast, call(self_modifying_loop, arguments, [5, 5, 5], chunk_size=1))


def second_derivatives(function, arguments):
    """Of the squares of the reads: the gradient of the gradient's squares."""
    reads, _ = call(function, arguments, [5, 3, 0], chunk_size=1)
    leaves = tensors_in(arguments)
    first = torch.autograd.grad(
        reads.square().sum(), leaves, create_graph=True, allow_unused=True, materialize_grads=True
    )
    total = sum(x.square().sum() for x in first)
    return torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)


def test_a_gradient_can_be_differentiated():
    arguments = make_tensors(5)
    fast, slow = (
        second_derivatives(function, arguments)
        for function in (self_modifying_scan, self_modifying_loop)
    )
    assert any(x.abs().max() > 0.1 for x in fast)
    assert_all_close(fast, slow)


def test_without_gradients_long_inputs_are_read_in_segments(monkeypatch):
    arguments = make_tensors(11)
    whole = call(self_modifying_scan, arguments, [11, 6, 0], chunk_size=1)
    monkeypatch.setattr(token_scan, "_SEGMENT", 4)
    monkeypatch.setattr(token_scan._Writes, "apply", _only(4, token_scan._Writes.apply))
    with torch.no_grad():
        parts = call(self_modifying_scan, arguments, [11, 6, 0], chunk_size=1)
    assert_all_close(parts, whole)


def _only(most, apply):
    def applied(course, *given):
        assert len(given[0]) <= most
        return apply(course, *given)

    return applied


def test_what_needs_no_gradient_gets_none():
    arguments = changed(make_tensors(5), torch.Tensor.detach)
    queries = arguments["queries"].requires_grad_()
    reads, _ = call(self_modifying_scan, arguments, [5, 3, 0], chunk_size=1)
    reads.sum().backward()
    assert queries.grad is not None and queries.grad.abs().max() > 0
    assert arguments["inputs"].grad is None


def test_no_tokens_are_read_as_nothing():
    arguments = make_tensors(0)
    reads, state = call(self_modifying_scan, arguments, [0, 0, 0], chunk_size=1)
    assert reads.shape[1] == 0
    assert_all_close((reads, state), call(self_modifying_scan, arguments, [0, 0, 0], chunk_size=4))
