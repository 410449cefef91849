import math

import pytest
import torch
from torch.nn import functional

from nestling.ops.self_modifying import (
    MEMORIES,
    Gates,
    self_modifying_loop,
    self_modifying_scan,
    unit_norm,
)

torch.set_num_threads(1)

BATCH, HEADS, WIDTH = 3, 2, 4


def make_tensors(tokens, batch=BATCH, heads=HEADS, width=WIDTH, alpha_bias=-2.0, seed=0):
    """Inputs, queries, initial memories, state and the four tensors of the gates: all leaves."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    tensors = [
        normal(batch, tokens, heads, width),
        normal(batch, tokens, heads, width),
        normal(heads, len(MEMORIES), width, width) / width**0.5,
        0.3 * normal(batch, heads, len(MEMORIES), width, width) / width**0.5,
        normal(heads, width),
        normal(heads) - 1,
        normal(heads, width),
        normal(heads) + alpha_bias,
    ]
    return [x.requires_grad_() for x in tensors]


def call(function, tensors, lengths, **options):
    inputs, queries, initial, state, *gates = tensors
    lengths = torch.tensor(lengths)
    return function(inputs, queries, initial, state, Gates(*gates), lengths, **options)


def values_and_gradients(function, tensors, lengths, **options):
    outputs = [x for x in call(function, tensors, lengths, **options) if x is not None]
    tensors = [x for x in tensors if x is not None]
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        (output * torch.randn(output.shape, generator=generator, dtype=output.dtype)).sum()
        for output in outputs
    )
    return [*outputs, *torch.autograd.grad(loss, tensors, allow_unused=True)]


def assert_all_close(left, right, tolerance=1e-9):
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("objective", ["l2", "dot_product"])
@pytest.mark.parametrize("read", ["running", "chunk"])
@pytest.mark.parametrize("decay_to", ["initial", "zero"])
@pytest.mark.parametrize(
    ("tokens", "chunk_size", "lengths"),
    [
        (13, 4, [13, 8, 5]),
        (12, 4, [12, 12, 12]),
        (3, 8, [3, 1, 0]),
        (5, 1, [5, 3, 0]),
        (15, 5, [1, 14, 15]),
    ],
)
def test_scan_equals_loop_in_values_and_gradients(
    tokens, chunk_size, lengths, objective, read, decay_to
):
    options = {"chunk_size": chunk_size, "objective": objective, "read": read, "eta_max": 0.7}
    options["decay_to"] = decay_to
    tensors = make_tensors(tokens)
    fast = values_and_gradients(self_modifying_scan, tensors, lengths, **options)
    slow = values_and_gradients(self_modifying_loop, tensors, lengths, **options)
    assert_all_close(fast, slow)


@pytest.mark.parametrize("decay_to", ["initial", "zero"])
def test_no_state_is_a_state_of_zeros_and_returns_none(decay_to):
    options = {"chunk_size": 4, "decay_to": decay_to}
    tensors = make_tensors(11)
    tensors[3] = torch.zeros_like(tensors[3]).requires_grad_()
    without = tensors[:3] + [None] + tensors[4:]
    for function in (self_modifying_scan, self_modifying_loop):
        reads, state = call(function, without, [11, 6, 0], **options)
        assert state is None
        expected, _ = call(function, tensors, [11, 6, 0], **options)
        torch.testing.assert_close(reads, expected, rtol=1e-12, atol=1e-12)
    fast = values_and_gradients(self_modifying_scan, without, [11, 6, 0], **options)
    slow = values_and_gradients(self_modifying_loop, without, [11, 6, 0], **options)
    assert_all_close(fast, slow)


@pytest.mark.parametrize("function", [self_modifying_scan, self_modifying_loop])
@pytest.mark.parametrize("decay_to", ["initial", "zero"])
def test_chunk_of_one_is_the_recurrence_as_written(function, decay_to):
    # NL eq. 88 with linear memories, written for one sequence and one head, from nothing but maths.
    tokens = 6
    tensors = make_tensors(tokens, batch=1, heads=1)
    reads, state = call(function, tensors, [tokens], chunk_size=1, decay_to=decay_to)
    inputs, queries, first, state_before, *gates = (x.detach()[0] for x in tensors)
    w_eta, b_eta, w_alpha, b_alpha = gates
    anchors = first if decay_to == "initial" else torch.zeros_like(first)
    anchors = dict(zip(MEMORIES, anchors, strict=True))
    memories = dict(zip(MEMORIES, first + state_before[0], strict=True))
    for t in range(tokens):
        u, q = inputs[t, 0], queries[t, 0]
        k, v = memories["k"] @ u, memories["v"] @ u
        k, v = (x / (x @ x + 1e-6).sqrt() for x in (k, v))
        alpha = 1 / (1 + (w_alpha @ (memories["alpha"] @ u) + b_alpha).exp())
        eta = (w_eta @ (memories["eta"] @ u) + b_eta).sigmoid().minimum((1 + alpha) / 2)
        forget = alpha * torch.eye(WIDTH, dtype=u.dtype) - eta * k.outer(k)
        memories = {
            name: anchors[name]
            + (memory - anchors[name]) @ forget
            - eta * (memory @ k - memory @ v).outer(k)
            for name, memory in memories.items()
        }
        torch.testing.assert_close(reads[0, t, 0], memories["mem"] @ q, rtol=1e-9, atol=1e-9)
    final = torch.stack([memories[name] for name in MEMORIES])
    torch.testing.assert_close(state[0, 0] + first, final, rtol=1e-9, atol=1e-9)


def test_l2_is_the_gated_delta_rule_with_values_vhat_minus_the_snapshots_answer():
    tokens = 5
    tensors = make_tensors(tokens, batch=1, heads=1)
    _, state = call(self_modifying_scan, tensors, [tokens], chunk_size=tokens)
    inputs, _, initial, deviation, w_eta, b_eta, w_alpha, b_alpha = (x.detach()[0] for x in tensors)
    deviation = deviation[0]
    snapshot = initial + deviation
    m_k, m_v, m_eta, m_alpha, _ = snapshot
    for u in inputs[:, 0]:
        k, v = unit_norm(m_k @ u), unit_norm(m_v @ u)
        alpha = (-functional.softplus(w_alpha @ (m_alpha @ u) + b_alpha)).exp()
        eta = (w_eta @ (m_eta @ u) + b_eta).sigmoid().minimum((1 + alpha) / 2)
        # In the form of the gated delta rule: beta = eta / alpha, value scaled by alpha.
        beta, value = eta / alpha, alpha * (snapshot @ v - snapshot @ k)
        old_value = alpha * deviation @ k
        deviation = alpha * deviation + beta * (value - old_value)[..., None] * k
    torch.testing.assert_close(state[0, 0], deviation, rtol=1e-9, atol=1e-9)


def test_without_writes_the_memories_fade_to_what_decay_to_says():
    tokens = 200
    tensors = [x.detach() for x in make_tensors(tokens)]
    tensors[4][:] = 0
    tensors[5][:] = -50
    initial, lengths = tensors[2], [tokens] * BATCH
    _, to_initial = call(self_modifying_scan, tensors, lengths, chunk_size=4)
    _, to_zero = call(self_modifying_scan, tensors, lengths, chunk_size=4, decay_to="zero")
    torch.testing.assert_close(to_initial, torch.zeros_like(to_initial), rtol=0, atol=1e-3)
    torch.testing.assert_close(to_zero, -initial.expand_as(to_zero), rtol=0, atol=1e-3)


@pytest.mark.parametrize("function", [self_modifying_scan, self_modifying_loop])
def test_the_length_of_the_values_does_not_matter(function):
    tensors = [x.detach() for x in make_tensors(4)]
    results = []
    for scale in (1, 3):
        scaled = [x.clone() for x in tensors]
        for memories in scaled[2:4]:
            memories[..., MEMORIES.index("v"), :, :] *= scale
        reads, state = call(function, scaled, [4] * BATCH, chunk_size=4)
        results.append([reads, state[:, :, MEMORIES.index("mem")]])
    assert_all_close(*results, tolerance=1e-3)


@pytest.mark.parametrize("function", [self_modifying_scan, self_modifying_loop])
@pytest.mark.parametrize("junk", [math.nan, math.inf, 1e300])
def test_what_padding_holds_reaches_neither_values_nor_gradients(function, junk):
    lengths = [9, 6, 0]
    tensors = make_tensors(9)
    padded = [x.detach().clone() for x in tensors]
    for b, length in enumerate(lengths):
        padded[0][b, length:] = padded[1][b, length:] = junk
    padded = [x.requires_grad_() for x in padded]
    clean = values_and_gradients(function, tensors, lengths, chunk_size=4)
    dirty = values_and_gradients(function, padded, lengths, chunk_size=4)
    assert_all_close(dirty, clean, tolerance=0)
    assert all(x.isfinite().all() for x in dirty)


def test_padding_is_as_if_it_were_not_there():
    tensors = make_tensors(11)
    reads, state = call(self_modifying_scan, tensors, [11, 8, 3], chunk_size=4)
    for b, length in enumerate([11, 8, 3]):
        alone = [x[b : b + 1, :length] for x in tensors[:2]]
        alone += [tensors[2], tensors[3][b : b + 1], *tensors[4:]]
        assert_all_close(
            call(self_modifying_scan, alone, [length], chunk_size=4),
            (reads[b : b + 1, :length], state[b : b + 1]),
        )
        assert not reads[b, length:].any()


def test_an_unfinished_chunk_is_read_but_leaves_no_trace():
    tensors = make_tensors(7)
    reads, state = call(self_modifying_scan, tensors, [7, 7, 7], chunk_size=4)
    first = [x[:, :4] for x in tensors[:2]] + tensors[2:]
    assert_all_close([state], [call(self_modifying_scan, first, [4, 4, 4], chunk_size=4)[1]])
    assert reads[:, 4:].abs().min() > 0


def test_gradients_match_finite_differences_over_two_chunks():
    tensors = make_tensors(4, batch=1, heads=1, width=2)
    torch.autograd.gradcheck(
        lambda *leaves: call(self_modifying_scan, leaves, [4], chunk_size=2), tensors
    )


def test_running_reads_see_their_own_chunk_and_chunk_reads_do_not():
    tensors = [x.detach() for x in make_tensors(4)]
    changed = [tensors[0].clone(), *tensors[1:]]
    changed[0][:, 1] += 1
    for read, sees in (("running", True), ("chunk", False)):
        options = {"chunk_size": 4, "read": read}
        before, _ = call(self_modifying_scan, tensors, [4] * BATCH, **options)
        after, _ = call(self_modifying_scan, changed, [4] * BATCH, **options)
        assert torch.equal(before[:, 0], after[:, 0])
        assert torch.equal(before[:, 1:], after[:, 1:]) is not sees


@pytest.mark.parametrize("chunk_size", [1, 16, 64])
@pytest.mark.parametrize("objective", ["l2", "dot_product"])
def test_a_long_random_sequence_keeps_the_state_bounded(chunk_size, objective):
    tokens = 2000
    inputs, queries, _, _, w_eta, _, w_alpha, _ = (
        x.detach().float() for x in make_tensors(tokens, batch=1, width=16, seed=chunk_size)
    )
    torch.manual_seed(0)
    initial = torch.linalg.qr(torch.randn(HEADS, len(MEMORIES), 16, 16))[0]
    eta_bias = torch.full((HEADS,), math.log(0.5 / chunk_size))
    alpha_bias = torch.full((HEADS,), -6.0)
    gates = [0.1 * w_eta, eta_bias, 0.1 * w_alpha, alpha_bias]
    tensors = [unit_norm(inputs), unit_norm(queries), initial, torch.zeros(1, *initial.shape)]
    _, end = call(
        self_modifying_scan, tensors + gates, [tokens], chunk_size=chunk_size, objective=objective
    )
    assert 0.3 < (initial + end).norm() / initial.norm() < 3


def test_the_rate_stays_in_the_stable_range_however_large_eta_max_is():
    tokens = 300
    tensors = [x.detach() for x in make_tensors(tokens, alpha_bias=-9.0)]
    _, _, initial, state, w_eta, b_eta, w_alpha, _ = tensors
    # The same rate and retention at every token, and no values: what is left must not amplify.
    w_eta[:] = w_alpha[:] = 0
    b_eta[:] = 10
    for memories in (initial, state):
        memories[..., MEMORIES.index("v"), :, :] = 0
    options = {"chunk_size": 1, "objective": "dot_product", "eta_max": 1e3}
    _, end = call(self_modifying_scan, tensors, [tokens] * BATCH, **options)
    assert end.norm() <= state.norm()


def test_autocast_leaves_the_precision_of_the_state_alone():
    tensors = [x.detach().float() for x in make_tensors(9)]
    plain = call(self_modifying_scan, tensors, [9] * BATCH, chunk_size=4)
    with torch.autocast("cpu", torch.bfloat16):
        automatic = call(self_modifying_scan, tensors, [9] * BATCH, chunk_size=4)
    for a, b in zip(plain, automatic, strict=True):
        assert torch.equal(a, b)
