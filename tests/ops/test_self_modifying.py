import math

import pytest
import torch
from tests.ops.self_modifying_cases import (
    BATCH,
    HEADS,
    PER_TOKEN,
    WIDTH,
    assert_all_close,
    assert_scan_equals_loop,
    call,
    changed,
    make_tensors,
    tensors_in,
    values_and_gradients,
)
from torch.nn import functional

from nestling.ops.passage import MEMORIES, unit_norm
from nestling.ops.self_modifying import self_modifying_loop, self_modifying_scan
from nestling.ops.writes import Memory

torch.set_num_threads(1)


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
    assert_scan_equals_loop(make_tensors(tokens), lengths, decay_to=decay_to, **options)


@pytest.mark.parametrize("function", [self_modifying_scan, self_modifying_loop])
@pytest.mark.parametrize("chunk_size", [1, 4])
def test_without_contents_the_inputs_are_those_of_the_value(function, chunk_size):
    arguments = make_tensors(9)
    same = {**arguments, "contents": arguments["inputs"]}
    none = {**arguments, "contents": None}
    first, second = (
        values_and_gradients(function, x, [9, 5, 0], chunk_size=chunk_size) for x in (same, none)
    )
    # `same` has the leaf twice: its gradients come after the reads and the state.
    outputs = len(second) - len(tensors_in(none))
    assert_all_close(first[:outputs], second[:outputs])
    assert_all_close(first[outputs], second[outputs])


def test_the_scan_without_contents_equals_the_loop():
    assert_scan_equals_loop({**make_tensors(10), "contents": None}, [10, 8, 3], chunk_size=4)


@pytest.mark.parametrize("memory", ["linear", "mlp"])
@pytest.mark.parametrize("momentum", [False, True])
@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("objective", ["l2", "dot_product"])
@pytest.mark.parametrize(
    ("read", "decay_to", "chunk_size"),
    [("running", "initial", 4), ("running", "zero", 1), ("chunk", "initial", 4)],
)
def test_every_kind_of_memory_and_write_equals_the_loop(
    memory, momentum, delta, objective, read, decay_to, chunk_size
):
    arguments = make_tensors(10, memory=memory, momentum=momentum)
    options = {"delta": delta, "objective": objective, "read": read, "decay_to": decay_to}
    assert_scan_equals_loop(arguments, [10, 8, 3], chunk_size=chunk_size, eta_max=0.7, **options)


@pytest.mark.parametrize("memory", ["linear", "mlp"])
@pytest.mark.parametrize("momentum", [False, True])
@pytest.mark.parametrize(("mem", "others"), [(4, 2), (2, 4), (6, 1), (1, 3)])
def test_chunks_of_two_sizes_equal_the_loop(memory, momentum, mem, others):
    arguments = make_tensors(13, memory=memory, momentum=momentum)
    options = {"chunk_size": mem, "projection_chunk_size": others, "eta_max": 0.7}
    assert_scan_equals_loop(arguments, [13, 9, 4], **options)


@pytest.mark.parametrize("memory", ["linear", "mlp"])
@pytest.mark.parametrize("adaptive", [(), ("v",), ("k", "eta", "alpha"), MEMORIES])
@pytest.mark.parametrize("memories", [5, 6])
def test_memories_that_are_not_written_equal_the_loop_and_stay(memory, adaptive, memories):
    arguments = make_tensors(9, memory=memory, memories=memories, momentum=True)
    options = {"chunk_size": 4, "adaptive": adaptive, "eta_max": 0.7}
    assert_scan_equals_loop(arguments, [9, 6, 2], **options)
    _, end = call(self_modifying_scan, arguments, [9, 6, 2], **options)
    for place, name in enumerate(MEMORIES[:memories]):
        stays = torch.equal(end.weights[0][:, :, place], arguments["state"].weights[0][:, :, place])
        assert stays is not (name == "mem" or name in adaptive), name


@pytest.mark.parametrize("memory", ["linear", "mlp"])
@pytest.mark.parametrize("memories", [5, 6])
@pytest.mark.parametrize("read", ["running", "chunk"])
@pytest.mark.parametrize(("chunk_size", "momentum"), [(1, False), (4, False), (4, True)])
def test_memories_that_make_tokens_with_a_share_of_what_is_written_equal_the_loop(
    memory, memories, read, chunk_size, momentum
):
    arguments = make_tensors(10, memory=memory, memories=memories, momentum=momentum, gain=True)
    options = {"chunk_size": chunk_size, "read": read, "eta_max": 0.7}
    assert_scan_equals_loop(arguments, [10, 8, 3], **options)


@pytest.mark.parametrize("gain", [False, True])
@pytest.mark.parametrize("momentum", [False, True])
@pytest.mark.parametrize("read", ["running", "chunk"])
@pytest.mark.parametrize("chunk_size", [1, 4])
def test_what_is_written_read_alone_equals_the_loop(gain, momentum, read, chunk_size):
    arguments = make_tensors(10, momentum=momentum, gain=gain)
    options = {"read": read, "read_initial": False, "eta_max": 0.7}
    assert_scan_equals_loop(arguments, [10, 8, 3], chunk_size=chunk_size, **options)


@pytest.mark.parametrize("function", [self_modifying_scan, self_modifying_loop])
@pytest.mark.parametrize("read", ["running", "chunk"])
def test_what_is_read_beside_what_is_written_is_what_the_initial_value_answers(function, read):
    arguments = make_tensors(9)
    options = {"chunk_size": 4, "read": read}
    (whole, end), (written, same) = (
        call(function, arguments, [9, 6, 2], read_initial=initial, **options)
        for initial in (True, False)
    )
    assert_all_close(end, same)
    m_mem = arguments["initial"][0][:, MEMORIES.index("mem")]
    answered = torch.einsum("hij,bthj->bthi", m_mem, arguments["queries"])
    visible = torch.arange(9)[None, :] < torch.tensor([9, 6, 2])[:, None]
    torch.testing.assert_close(whole - written, answered * visible[..., None, None])


@pytest.mark.parametrize(("mem", "others"), [(4, 2), (1, 3)])
@pytest.mark.parametrize("read", ["running", "chunk"])
def test_a_share_of_what_is_written_in_chunks_of_two_sizes_equals_the_loop(mem, others, read):
    arguments = make_tensors(13, gain=True)
    options = {"chunk_size": mem, "projection_chunk_size": others, "read": read, "eta_max": 0.7}
    assert_scan_equals_loop(arguments, [13, 9, 4], **options)


@pytest.mark.parametrize("function", [self_modifying_scan, self_modifying_loop])
@pytest.mark.parametrize("chunk_size", [1, 4])
@pytest.mark.parametrize("read", ["running", "chunk"])
def test_with_a_gain_of_one_all_of_what_is_written_counts(function, chunk_size, read):
    arguments = make_tensors(9)
    plain = call(function, arguments, [9, 6, 2], chunk_size=chunk_size, read=read)
    ones = torch.ones(HEADS, 5, dtype=torch.float64)
    whole = {**arguments, "gates": arguments["gates"]._replace(gain=ones)}
    assert_all_close(call(function, whole, [9, 6, 2], chunk_size=chunk_size, read=read), plain)


@pytest.mark.parametrize("function", [self_modifying_scan, self_modifying_loop])
@pytest.mark.parametrize("chunk_size", [1, 4])
@pytest.mark.parametrize(("gain", "modifies_itself"), [(0.0, False), (0.5, True)])
def test_with_a_gain_of_zero_a_memory_does_not_modify_itself(
    function, chunk_size, gain, modifies_itself
):
    """Then tokens do the same to whatever was written before: what comes out is linear in that."""
    arguments = make_tensors(9)
    gains = torch.full((HEADS, 5), gain, dtype=torch.float64)
    arguments["gates"] = arguments["gates"]._replace(gain=gains)

    def out(weight):
        given = {**arguments, "state": Memory((weight,))}
        reads, end = call(
            function, given, [9, 6, 2], chunk_size=chunk_size, objective="dot_product"
        )
        return torch.cat([reads.flatten(), end.weights[0].flatten()])

    first = arguments["state"].weights[0]
    second, none = first.flip(-1), torch.zeros_like(first)
    bent = out(first + second) - out(first) - out(second) + out(none)
    assert (bent.abs().max() > 1e-3).item() is modifies_itself
    assert modifies_itself or bent.abs().max() < 1e-12


@pytest.mark.parametrize("memory", ["linear", "mlp"])
def test_without_retention_nothing_fades(memory):
    arguments = make_tensors(9, memory=memory, retention=False)
    assert_scan_equals_loop(arguments, [9, 6, 2], chunk_size=4, eta_max=0.7)
    silent = {**arguments, "gates": arguments["gates"]._replace(eta_bias=torch.full((2,), -60.0))}
    silent["gates"] = silent["gates"]._replace(eta_weight=torch.zeros(2, WIDTH))
    _, end = call(self_modifying_scan, silent, [9, 9, 9], chunk_size=4)
    assert_all_close(end, arguments["state"])


@pytest.mark.parametrize("decay_to", ["initial", "zero"])
@pytest.mark.parametrize("memory", ["linear", "mlp"])
@pytest.mark.parametrize("momentum", [False, True])
def test_no_state_is_a_state_of_zeros_and_returns_none(decay_to, memory, momentum):
    options = {"chunk_size": 4, "decay_to": decay_to}
    arguments = make_tensors(11, memory=memory, momentum=momentum)
    arguments["state"] = changed(arguments["state"], lambda x: torch.zeros_like(x))
    without = {**arguments, "state": None}
    for function in (self_modifying_scan, self_modifying_loop):
        reads, state = call(function, without, [11, 6, 0], **options)
        assert state is None
        expected, _ = call(function, arguments, [11, 6, 0], **options)
        torch.testing.assert_close(reads, expected, rtol=1e-12, atol=1e-12)
    assert_scan_equals_loop(without, [11, 6, 0], **options)


@pytest.mark.parametrize("function", [self_modifying_scan, self_modifying_loop])
@pytest.mark.parametrize("decay_to", ["initial", "zero"])
@pytest.mark.parametrize("momentum", [False, True])
def test_chunk_of_one_is_the_recurrence_as_written(function, decay_to, momentum):
    # NL eq. 88 with linear memories, written for one sequence and one head, from nothing but maths;
    # with Titans' momentum in the place of its gradient.
    tokens = 6
    arguments = make_tensors(tokens, batch=1, heads=1, momentum=momentum)
    reads, state = call(function, arguments, [tokens], chunk_size=1, decay_to=decay_to)
    plain = changed(arguments, lambda x: x.detach()[0])
    (first,), (state_before,) = plain["initial"], plain["state"].weights
    gates = plain["gates"]
    anchors = first if decay_to == "initial" else torch.zeros_like(first)
    anchors = dict(zip(MEMORIES, anchors, strict=False))
    memories = dict(zip(MEMORIES, first + state_before[0], strict=False))
    moving = dict.fromkeys(memories, 0)
    if momentum:
        moving = dict(zip(MEMORIES, plain["state"].momenta[0][0], strict=False))
    for t in range(tokens):
        u, c, q = (plain[name][t, 0] for name in ("inputs", "contents", "queries"))
        k, v = memories["k"] @ u, memories["v"] @ c
        k, v = (x / (x @ x + 1e-6).sqrt() for x in (k, v))
        alpha = 1 / (1 + (gates.alpha_weight @ (memories["alpha"] @ u) + gates.alpha_bias).exp())
        eta = (gates.eta_weight @ (memories["eta"] @ u) + gates.eta_bias).sigmoid()
        eta, mu = eta.minimum((1 + alpha) / 2), 0
        if momentum:
            mu = (gates.mu_weight @ u + gates.mu_bias).sigmoid()
            eta = (1 - mu) * eta
        forget = alpha * torch.eye(WIDTH, dtype=u.dtype) - eta * k.outer(k)
        moving = {
            name: mu * moving[name] - eta * (memory @ k - memory @ v).outer(k)
            for name, memory in memories.items()
        }
        memories = {
            name: anchors[name] + (memory - anchors[name]) @ forget + moving[name]
            for name, memory in memories.items()
        }
        torch.testing.assert_close(reads[0, t, 0], memories["mem"] @ q, rtol=1e-9, atol=1e-9)
    final = torch.stack(list(memories.values()))
    assert_all_close(state.weights[0][0, 0] + first, final)
    if momentum:
        assert_all_close(state.momenta[0][0, 0], torch.stack(list(moving.values())))


def test_l2_is_the_gated_delta_rule_with_values_vhat_minus_the_snapshots_answer():
    tokens = 5
    arguments = make_tensors(tokens, batch=1, heads=1)
    _, state = call(self_modifying_scan, arguments, [tokens], chunk_size=tokens)
    plain = changed(arguments, lambda x: x.detach()[0])
    deviation, gates = plain["state"].weights[0][0], plain["gates"]
    snapshot = plain["initial"][0] + deviation
    m_k, m_v, m_eta, m_alpha, _ = snapshot
    for u, c in zip(plain["inputs"][:, 0], plain["contents"][:, 0], strict=True):
        k, v = unit_norm(m_k @ u), unit_norm(m_v @ c)
        alpha_logit = gates.alpha_weight @ (m_alpha @ u) + gates.alpha_bias
        alpha = (-functional.softplus(alpha_logit)).exp()
        eta = (gates.eta_weight @ (m_eta @ u) + gates.eta_bias).sigmoid().minimum((1 + alpha) / 2)
        # In the form of the gated delta rule: beta = eta / alpha, value scaled by alpha.
        beta, value = eta / alpha, alpha * (snapshot @ v - snapshot @ k)
        old_value = alpha * deviation @ k
        deviation = alpha * deviation + beta * (value - old_value)[..., None] * k
    assert_all_close(state.weights[0][0, 0], deviation)


@pytest.mark.parametrize("memory", ["linear", "mlp"])
def test_without_writes_the_memories_fade_to_what_decay_to_says(memory):
    tokens = 200
    arguments = changed(make_tensors(tokens, memory=memory), torch.Tensor.detach)
    arguments["gates"].eta_weight[:] = 0
    arguments["gates"].eta_bias[:] = -50
    lengths = [tokens] * BATCH
    _, to_initial = call(self_modifying_scan, arguments, lengths, chunk_size=4)
    _, to_zero = call(self_modifying_scan, arguments, lengths, chunk_size=4, decay_to="zero")
    for place, initial in enumerate(arguments["initial"]):
        still, faded = to_initial.weights[place], to_zero.weights[place]
        torch.testing.assert_close(still, torch.zeros_like(still), rtol=0, atol=1e-3)
        torch.testing.assert_close(faded, -initial.expand_as(faded), rtol=0, atol=1e-3)


@pytest.mark.parametrize("function", [self_modifying_scan, self_modifying_loop])
def test_the_length_of_the_values_does_not_matter(function):
    results = []
    for scale in (1, 3):
        arguments = changed(make_tensors(4), lambda x: x.detach().clone())
        for memories in (*arguments["initial"], *arguments["state"].weights):
            memories[..., MEMORIES.index("v"), :, :] *= scale
        reads, state = call(function, arguments, [4] * BATCH, chunk_size=4)
        results.append([reads, state.weights[0][:, :, MEMORIES.index("mem")]])
    assert_all_close(*results, tolerance=1e-3)


@pytest.mark.parametrize("function", [self_modifying_scan, self_modifying_loop])
@pytest.mark.parametrize("memory", ["linear", "mlp"])
@pytest.mark.parametrize("junk", [math.nan, math.inf, 1e300])
def test_what_padding_holds_reaches_neither_values_nor_gradients(function, memory, junk):
    lengths = [9, 6, 0]
    arguments = make_tensors(9, memory=memory, momentum=memory == "mlp")
    padded = changed(arguments, lambda x: x.detach().clone())
    for b, length in enumerate(lengths):
        padded["inputs"][b, length:] = padded["queries"][b, length:] = junk
    padded = changed(padded, torch.Tensor.requires_grad_)
    clean = values_and_gradients(function, arguments, lengths, chunk_size=4)
    dirty = values_and_gradients(function, padded, lengths, chunk_size=4)
    assert_all_close(dirty, clean, tolerance=0)
    assert all(x.isfinite().all() for x in dirty)


@pytest.mark.parametrize("memory", ["linear", "mlp"])
def test_padding_is_as_if_it_were_not_there(memory):
    arguments = make_tensors(11, memory=memory)
    reads, state = call(self_modifying_scan, arguments, [11, 8, 3], chunk_size=4)
    for b, length in enumerate([11, 8, 3]):
        alone = {
            **arguments,
            **{name: arguments[name][b : b + 1, :length] for name in PER_TOKEN},
            "state": changed(arguments["state"], lambda x, b=b: x[b : b + 1]),
        }
        expected = reads[b : b + 1, :length], changed(state, lambda x, b=b: x[b : b + 1])
        assert_all_close(call(self_modifying_scan, alone, [length], chunk_size=4), expected)
        assert not reads[b, length:].any()


@pytest.mark.parametrize(("mem", "others", "kept"), [(4, 4, 4), (2, 4, 4), (4, 1, 4)])
def test_an_unfinished_chunk_is_read_but_leaves_no_trace(mem, others, kept):
    arguments = make_tensors(7)
    options = {"chunk_size": mem, "projection_chunk_size": others}
    reads, state = call(self_modifying_scan, arguments, [7, 7, 7], **options)
    first = {**arguments, **{name: arguments[name][:, :kept] for name in PER_TOKEN}}
    assert_all_close(state, call(self_modifying_scan, first, [kept] * 3, **options)[1])
    assert reads[:, kept:].abs().min() > 0


@pytest.mark.parametrize("memory", ["linear", "mlp"])
def test_gradients_match_finite_differences_over_two_chunks(memory):
    arguments = make_tensors(4, batch=1, heads=1, width=2, memory=memory, momentum=True)

    def scanned(*leaves):
        found = iter(leaves)
        given = changed(arguments, lambda _: next(found))
        return tuple(tensors_in(call(self_modifying_scan, given, [4], chunk_size=2)))

    torch.autograd.gradcheck(scanned, tensors_in(arguments))


def test_running_reads_see_their_own_chunk_and_chunk_reads_do_not():
    arguments = changed(make_tensors(4), torch.Tensor.detach)
    other = {**arguments, "inputs": arguments["inputs"].clone()}
    other["inputs"][:, 1] += 1
    for read, sees in (("running", True), ("chunk", False)):
        options = {"chunk_size": 4, "read": read}
        before, _ = call(self_modifying_scan, arguments, [4] * BATCH, **options)
        after, _ = call(self_modifying_scan, other, [4] * BATCH, **options)
        assert torch.equal(before[:, 0], after[:, 0])
        assert torch.equal(before[:, 1:], after[:, 1:]) is not sees


@pytest.mark.parametrize("function", [self_modifying_scan, self_modifying_loop])
def test_contents_change_what_is_written_and_neither_where_nor_how_strongly(function):
    arguments = changed(make_tensors(1), torch.Tensor.detach)
    other = {**arguments, "contents": arguments["contents"] + 1}
    options = {"chunk_size": 1, "objective": "dot_product"}
    one, two = (call(function, x, [1] * BATCH, **options)[1] for x in (arguments, other))
    difference = (one.weights[0] - two.weights[0]).flatten(2, 3)
    # Of rank one, along the key: what the memories answer to it.
    m_k = (arguments["initial"][0] + arguments["state"].weights[0])[:, :, MEMORIES.index("k")]
    key = (m_k @ arguments["inputs"][:, 0, :, :, None]).mT
    key = key / key.norm(dim=-1, keepdim=True)
    assert difference.norm() > 1e-3
    torch.testing.assert_close(difference @ key.mT @ key, difference, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("chunk_size", [1, 16, 64])
@pytest.mark.parametrize("objective", ["l2", "dot_product"])
def test_a_long_random_sequence_keeps_the_state_bounded(chunk_size, objective):
    tokens = 2000
    arguments = make_tensors(tokens, batch=1, width=16, seed=chunk_size)
    arguments = changed(arguments, lambda x: x.detach().float())
    torch.manual_seed(0)
    initial = torch.linalg.qr(torch.randn(HEADS, 5, 16, 16))[0]
    gates = arguments["gates"]._replace(
        eta_weight=0.1 * arguments["gates"].eta_weight,
        eta_bias=torch.full((HEADS,), math.log(0.5 / chunk_size)),
        alpha_weight=0.1 * arguments["gates"].alpha_weight,
        alpha_bias=torch.full((HEADS,), -6.0),
    )
    arguments = {
        **{name: unit_norm(arguments[name]) for name in PER_TOKEN},
        "initial": (initial,),
        "state": Memory((torch.zeros(1, *initial.shape),)),
        "gates": gates,
    }
    _, end = call(
        self_modifying_scan, arguments, [tokens], chunk_size=chunk_size, objective=objective
    )
    assert 0.3 < (initial + end.weights[0]).norm() / initial.norm() < 3


def test_the_rate_stays_in_the_stable_range_however_large_eta_max_is():
    tokens = 300
    arguments = changed(make_tensors(tokens, alpha_bias=-9.0), torch.Tensor.detach)
    gates = arguments["gates"]
    # The same rate and retention at every token, and no values: what is left must not amplify.
    gates.eta_weight[:] = gates.alpha_weight[:] = 0
    gates.eta_bias[:] = 10
    for memories in (*arguments["initial"], *arguments["state"].weights):
        memories[..., MEMORIES.index("v"), :, :] = 0
    options = {"chunk_size": 1, "objective": "dot_product", "eta_max": 1e3}
    _, end = call(self_modifying_scan, arguments, [tokens] * BATCH, **options)
    assert end.weights[0].norm() <= arguments["state"].weights[0].norm()


@pytest.mark.parametrize("memory", ["linear", "mlp"])
def test_autocast_leaves_the_precision_of_the_state_alone(memory):
    arguments = changed(make_tensors(9, memory=memory), lambda x: x.detach().float())
    plain = call(self_modifying_scan, arguments, [9] * BATCH, chunk_size=4)
    with torch.autocast("cpu", torch.bfloat16):
        automatic = call(self_modifying_scan, arguments, [9] * BATCH, chunk_size=4)
    assert_all_close(automatic, plain, tolerance=0)


def test_a_long_token_has_unit_length_in_half_precision():
    x = torch.full((1, 64), 33.0, dtype=torch.float16)
    torch.testing.assert_close(unit_norm(x).float(), torch.full((1, 64), 0.125), rtol=1e-3, atol=0)
