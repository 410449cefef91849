import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from nestling.evaluation.long_context import VARIANTS
from nestling.mixers import self_modifying
from nestling.mixers.self_modifying import SelfModifyingOptions, SelfModifyingTitans
from nestling.mixers.short_convolution import ShortConvolution
from nestling.ops.passage import MEMORIES
from nestling.ops.self_modifying import self_modifying_loop

torch.set_num_threads(1)

HIDDEN, HEADS = 8, 2
KINDS = [
    {},
    {"memory": "mlp", "momentum": True},
    {"momentum": True, "delta": False, "retention": False},
    {"memory": "mlp", "adaptive": ("v", "q"), "projection_chunk_size": 32},
    {"projection_chunk_size": 1, "adaptive": ("k", "v", "eta", "alpha", "q")},
    {"own_value_input": True, "open_gates": True, "initial": "identity"},
    {"self_gain": 0.3, "decay_to": "initial", "read_initial": False},
    {
        "self_gain": 0.3,
        "decay_to": "initial",
        "memory": "mlp",
        "adaptive": ("k", "q"),
        "momentum": True,
    },
]


def make_mixer(chunk_size=4, seed=0, **options):
    torch.manual_seed(seed)
    options = SelfModifyingOptions(**options)
    mixer = SelfModifyingTitans(HIDDEN, HEADS, chunk_size=chunk_size, options=options).double()
    # Rates large enough that a wrong write shows.
    torch.nn.init.constant_(mixer.eta_bias, -0.5)
    if mixer.options.retention:
        torch.nn.init.constant_(mixer.alpha_bias, -2.0)
    return mixer


def fresh_state(mixer, batch):
    dtype = mixer.memory_init[0].dtype
    return {
        name: torch.zeros(batch, *shape, dtype=leaf_dtype or dtype)
        for name, (shape, leaf_dtype) in mixer.state_shapes().items()
    }


def tokens_of(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, HIDDEN, generator=generator, dtype=torch.float64)


def assert_same_state(left, right, tolerance=1e-9):
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=tolerance, atol=tolerance)


def feed(mixer, x, pieces):
    """Feed each sequence `pieces[i][b]` tokens at call i, and return the outputs left-aligned."""
    batch = x.shape[0]
    state, done, outputs = fresh_state(mixer, batch), [0] * batch, [[] for _ in range(batch)]
    for piece in pieces:
        # Padding is NaN: it must not matter.
        padded = torch.full((batch, max(piece), HIDDEN), math.nan, dtype=x.dtype)
        padded = padded.masked_scatter(
            (torch.arange(max(piece)) < torch.tensor(piece)[:, None])[..., None],
            torch.cat([x[b, done[b] : done[b] + n] for b, n in enumerate(piece)]),
        )
        y, state = mixer(padded, state, torch.tensor(piece))
        for b, n in enumerate(piece):
            outputs[b].append(y[b, :n])
            done[b] += n
    return [torch.cat(pieces_of_one) for pieces_of_one in outputs], state


pieces_strategy = st.lists(
    st.lists(st.integers(0, 7), min_size=3, max_size=3), min_size=1, max_size=6
)


@settings(deadline=None, max_examples=40)
@given(
    pieces=pieces_strategy,
    chunk_size=st.sampled_from([1, 2, 4, 16]),
    read=st.sampled_from(["running", "chunk"]),
    decay_to=st.sampled_from(["initial", "zero"]),
    kind=st.sampled_from(KINDS),
)
def test_any_split_equals_one_pass(pieces, chunk_size, read, decay_to, kind):
    mixer = make_mixer(chunk_size, read=read, **{"decay_to": decay_to, **kind})
    totals = [sum(column) for column in zip(*pieces, strict=True)]
    x = tokens_of(3, max(totals))
    with torch.no_grad():
        whole, whole_state = feed(mixer, x, [totals])
        split, split_state = feed(mixer, x, pieces)
    for a, b in zip(whole, split, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    assert_same_state(whole_state, split_state)


def test_token_by_token_equals_one_pass():
    mixer = make_mixer()
    x = tokens_of(3, 11)
    whole, whole_state = feed(mixer, x, [[11] * 3])
    split, split_state = feed(mixer, x, [[1] * 3] * 11)
    torch.testing.assert_close(whole, split, rtol=1e-9, atol=1e-9)
    assert_same_state(whole_state, split_state)


def test_gradients_pass_through_the_state_of_a_split():
    mixer = make_mixer()
    x = tokens_of(3, 14)
    gradients = []
    for pieces in ([[14, 9, 6]], [[5, 0, 1], [3, 6, 0], [6, 3, 5]]):
        outputs, state = feed(mixer, x, pieces)
        loss = sum(y.sin().sum() for y in outputs)
        loss = loss + sum(leaf.square().sum() for leaf in state.values())
        gradients.append(torch.autograd.grad(loss, list(mixer.parameters())))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("objective", ["l2", "dot_product"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_scan_inside_equals_the_token_loop(monkeypatch, objective, kind):
    mixer = make_mixer(objective=objective, **kind)
    x, lengths = tokens_of(3, 11), torch.tensor([11, 8, 2])
    results = []
    for _ in range(2):
        y, state = mixer(x, fresh_state(mixer, 3), lengths)
        loss = y.sin().sum() + state["memory.0"].square().sum()
        slopes = torch.autograd.grad(loss, list(mixer.parameters()), materialize_grads=True)
        results.append([y, *state.values(), *slopes])
        monkeypatch.setattr(self_modifying, "self_modifying_scan", self_modifying_loop)
    torch.testing.assert_close(results[0], results[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("read", ["running", "chunk"])
@pytest.mark.parametrize("decay_to", ["initial", "zero"])
@pytest.mark.parametrize("tokens", [0, 3, 11])
def test_no_state_reads_like_a_fresh_state_and_returns_none(read, decay_to, tokens):
    mixer = make_mixer(read=read, decay_to=decay_to)
    x, lengths = tokens_of(3, tokens), torch.tensor([tokens, tokens // 2, 0])
    results = []
    for state in (None, fresh_state(mixer, 3)):
        y, after = mixer(x, state, lengths)
        assert (after is None) is (state is None)
        # The first chunk's reads at its start depend on no rate: no gradient is a gradient of zero.
        gradients = torch.autograd.grad(
            y.sin().sum(), list(mixer.parameters()), materialize_grads=True
        )
        results.append([y, *gradients])
    torch.testing.assert_close(results[0], results[1], rtol=1e-9, atol=1e-9)


def test_padding_is_invisible_without_a_state_too():
    mixer = make_mixer()
    x, lengths = tokens_of(3, 11), torch.tensor([11, 6, 0])
    junk = x.clone()
    for b, length in enumerate(lengths):
        junk[b, length:] = math.nan
    assert torch.equal(mixer(junk, None, lengths)[0], mixer(x, None, lengths)[0])


def test_padding_is_invisible_and_its_outputs_are_finite():
    mixer = make_mixer()
    x, lengths = tokens_of(3, 11), torch.tensor([11, 6, 0])
    junk = x.clone()
    for b, length in enumerate(lengths):
        junk[b, length:] = math.nan
    clean_y, clean_state = mixer(x, fresh_state(mixer, 3), lengths)
    y, state = mixer(junk, fresh_state(mixer, 3), lengths)
    assert torch.equal(y, clean_y)
    assert_same_state(state, clean_state, tolerance=0)
    alone, alone_state = mixer(x[1:2, :6], fresh_state(mixer, 1), lengths[1:2])
    torch.testing.assert_close(alone, y[1:2, :6], rtol=1e-9, atol=1e-9)
    assert_same_state(alone_state, {name: leaf[1:2] for name, leaf in state.items()})


@pytest.mark.parametrize("decay_to", ["initial", "zero"])
def test_a_call_without_tokens_changes_nothing(decay_to):
    mixer = make_mixer(decay_to=decay_to)
    _, state = mixer(tokens_of(2, 6), fresh_state(mixer, 2), torch.tensor([6, 5]))
    for tokens in (0, 3):
        y, after = mixer(tokens_of(2, tokens), state, torch.zeros(2, dtype=torch.int64))
        assert y.shape == (2, tokens, HIDDEN)
        assert_same_state(after, state, tolerance=1e-15)


def test_a_later_token_changes_nothing_before_it():
    mixer = make_mixer()
    x, lengths = tokens_of(1, 13), torch.tensor([13])
    before, _ = mixer(x, fresh_state(mixer, 1), lengths)
    for t in range(13):
        changed = x.clone()
        changed[:, t] += 1
        after, _ = mixer(changed, fresh_state(mixer, 1), lengths)
        torch.testing.assert_close(after[:, :t], before[:, :t], rtol=1e-12, atol=1e-12)
        assert not torch.allclose(after[:, t:], before[:, t:])


def test_sequences_of_a_batch_are_isolated():
    mixer = make_mixer()
    x, lengths = tokens_of(3, 10), torch.tensor([10, 7, 10])
    y, state = mixer(x, fresh_state(mixer, 3), lengths)
    changed = x.clone()
    changed[1] += 1
    other_y, other_state = mixer(changed, fresh_state(mixer, 3), lengths)
    torch.testing.assert_close(other_y[[0, 2]], y[[0, 2]], rtol=1e-12, atol=1e-12)
    for name in state:
        torch.testing.assert_close(
            other_state[name][[0, 2]], state[name][[0, 2]], rtol=1e-12, atol=1e-12
        )


def test_the_state_keeps_its_shapes_and_is_not_mutated():
    mixer = make_mixer()
    state = fresh_state(mixer, 2)
    for tokens in (3, 6):
        copy = {name: leaf.clone() for name, leaf in state.items()}
        _, after = mixer(tokens_of(2, tokens), state, torch.tensor([tokens, 2]))
        assert_same_state(state, copy, tolerance=0)
        for name, leaf in state.items():
            assert after[name].shape == leaf.shape
            assert after[name].dtype == leaf.dtype
        state = after


@pytest.mark.parametrize("chunk_size", [1, 4])
@pytest.mark.parametrize("objective", ["l2", "dot_product"])
@pytest.mark.parametrize("kind", KINDS[:3], ids=str)
def test_every_parameter_gets_a_gradient(chunk_size, objective, kind):
    mixer = make_mixer(chunk_size, objective=objective, **kind)
    y, _ = mixer(tokens_of(2, 9), fresh_state(mixer, 2), torch.tensor([9, 9]))
    y.sin().sum().backward()
    for name, parameter in mixer.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 1e-6, name
    for m, memory in enumerate(MEMORIES[:5]):
        if memory == "alpha" and not mixer.options.retention:
            continue
        for head in range(HEADS):
            for matrix in mixer.memory_init:
                assert matrix.grad[head, m].abs().max() > 1e-6, memory


def test_gates_learn_through_writes_of_an_earlier_chunk():
    mixer = make_mixer(read="chunk")
    y, _ = mixer(tokens_of(1, 8), fresh_state(mixer, 1), torch.tensor([8]))
    gates = [mixer.eta_weight, mixer.eta_bias, mixer.alpha_weight, mixer.alpha_bias]
    before = torch.autograd.grad(y[:, :4].sum(), gates, retain_graph=True)
    after = torch.autograd.grad(y[:, 4:].sum(), gates)
    assert not any(gradient.any() for gradient in before)
    assert all(gradient.abs().min() > 0 for gradient in after)


def test_training_and_evaluation_compute_the_same_numbers():
    mixer = make_mixer()
    x, lengths = tokens_of(2, 9), torch.tensor([9, 4])
    y, state = mixer.train()(x, fresh_state(mixer, 2), lengths)
    other_y, other_state = mixer.eval()(x, fresh_state(mixer, 2), lengths)
    assert torch.equal(y, other_y)
    assert_same_state(state, other_state, tolerance=0)


def memory_after(mixer, tokens):
    """Feed random tokens; return the outputs, and each memory's norm over its initial norm."""
    state = fresh_state(mixer, 1)
    with torch.no_grad():
        x = torch.randn(1, tokens, mixer.hidden_size)
        y, state = mixer(x, state, torch.tensor([tokens]))
        initial = torch.cat([matrix.flatten(2) for matrix in mixer.memory_init], -1)
        places = range(len(mixer.memory_init))
        moved = torch.cat([state[f"memory.{place}"][0].flatten(2) for place in places], -1)
    return y, (initial + moved).norm(dim=-1) / initial.norm(dim=-1)


@pytest.mark.parametrize("scale", [1, 5])
@pytest.mark.parametrize("objective", ["l2", "dot_product"])
@pytest.mark.parametrize("kind", [{}, {"momentum": True}, {"memory": "mlp", "momentum": True}])
def test_memories_neither_fade_nor_grow_over_4000_random_tokens(scale, objective, kind):
    torch.manual_seed(0)
    mixer = SelfModifyingTitans(32, 2, options=SelfModifyingOptions(objective=objective, **kind))
    torch.nn.init.normal_(mixer.input_projection.weight, std=scale * 32**-0.5)
    y, ratio = memory_after(mixer, 4000)
    assert y.isfinite().all()
    assert ratio.min() > 0.3
    assert ratio.max() < 3


def test_to_the_letter_memories_fade_over_4000_random_tokens():
    torch.manual_seed(0)
    options = SelfModifyingOptions(decay_to="zero")
    _, ratio = memory_after(SelfModifyingTitans(32, 2, options=options), 4000)
    # Of the head that forgets soonest; the other one takes a hundred times as long.
    assert ratio[0].max() < 0.1 and ratio[1].max() < 1


@pytest.mark.parametrize("chunk_size", [16, 64])
@pytest.mark.parametrize("objective", ["l2", "dot_product"])
def test_large_initial_memories_and_rates_do_not_diverge(chunk_size, objective):
    torch.manual_seed(0)
    options = SelfModifyingOptions(objective=objective, eta_max=3 / chunk_size)
    mixer = SelfModifyingTitans(32, 2, chunk_size=chunk_size, options=options)
    rate = 3 / chunk_size
    torch.nn.init.constant_(mixer.eta_bias, math.log(rate / (1 - rate)))
    with torch.no_grad():
        mixer.memory_init[0].mul_(2)
    y, ratio = memory_after(mixer, 4000)
    assert y.isfinite().all()
    assert ratio.max() < 3


@pytest.mark.parametrize("chunk_size", [1, 16, 64])
@pytest.mark.parametrize(
    "kind",
    [
        {"momentum": True},
        {"delta": False},
        {"memory": "mlp"},
        {"memory": "mlp", "momentum": True},
        {"memory": "mlp", "delta": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_the_largest_rate_is_stable(chunk_size, kind, momentum):
    torch.manual_seed(0)
    options = SelfModifyingOptions(**kind)
    mixer = SelfModifyingTitans(32, 2, chunk_size=chunk_size, options=options)
    torch.nn.init.zeros_(mixer.eta_weight)
    torch.nn.init.constant_(mixer.eta_bias, 8.0)
    if mixer.options.momentum:
        torch.nn.init.zeros_(mixer.mu_weight)
        torch.nn.init.constant_(mixer.mu_bias, math.log(momentum / (1 - momentum)))
    y, ratio = memory_after(mixer, 1500)
    assert y.isfinite().all()
    assert ratio.max() < 3


def test_an_mlp_starts_near_a_residual_of_length_one():
    torch.manual_seed(0)
    mixer = SelfModifyingTitans(128, 2, options=SelfModifyingOptions(memory="mlp", expansion=4))
    first, second = mixer.memory_init
    z = functional.normalize(torch.randn(1000, 64), dim=-1)
    added = functional.silu(z @ first[0, 0].mT) @ second[0, 0].mT
    assert 0.8 < added.square().sum(-1).mean() < 1.2


@pytest.mark.parametrize(("memory", "last"), [("linear", 1e-5), ("mlp", 5e-3)])
def test_heads_begin_at_rates_of_their_own(memory, last):
    options = SelfModifyingOptions(memory=memory, eta_max=0.05)
    mixer = SelfModifyingTitans(96, 3, chunk_size=32, options=options)
    forgotten = 1 - (-functional.softplus(mixer.alpha_bias.double())).exp()
    torch.testing.assert_close(
        forgotten, torch.tensor([1e-3, (1e-3 * last) ** 0.5, last]).double(), rtol=1e-3, atol=0
    )
    rates = 0.05 * mixer.eta_bias.sigmoid()
    first = torch.tensor(0.5 / 32)
    torch.testing.assert_close(rates, torch.stack([first, first / 50**0.5, first / 50]))
    alone = SelfModifyingTitans(96, 1, chunk_size=32, options=options)
    torch.testing.assert_close(alone.eta_bias, mixer.eta_bias[:1])


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({"objective": "dot_product"}, 0.5),
        ({"objective": "dot_product", "delta": False}, 0.5 / 32),
        ({"objective": "dot_product", "momentum": True}, 0.5 / 32),
        ({"objective": "dot_product", "memory": "mlp"}, 0.05 / 32),
        ({}, 0.5 / 32),
    ],
    ids=str,
)
def test_only_what_goes_stale_in_a_chunk_begins_slowly(options, first):
    options = SelfModifyingOptions(**options)
    mixer = SelfModifyingTitans(96, 3, chunk_size=32, options=options)
    rate = mixer.scheme.eta_max * mixer.eta_bias[0].sigmoid().item()
    assert rate == pytest.approx(first, rel=1e-4)


def test_matrices_begin_as_the_identity_on_request():
    mixer = SelfModifyingTitans(16, 2, options=SelfModifyingOptions(initial="identity"))
    assert all(torch.equal(matrix, torch.eye(8)) for matrix in mixer.memory_init[0].flatten(0, 1))
    with pytest.raises(ValueError, match="an MLP begins near the identity as it is"):
        SelfModifyingOptions(memory="mlp", initial="identity")
    with pytest.raises(ValueError, match=r"initial is one of \('rotation', 'identity'\)"):
        SelfModifyingOptions(initial="zero")


@pytest.mark.parametrize(("adaptive", "memories"), [((), 5), (("k", "q"), 6)])
def test_a_gain_for_every_memory_is_learned_from_where_it_begins(adaptive, memories):
    mixer = make_mixer(self_gain=0.2, adaptive=adaptive)
    torch.testing.assert_close(
        mixer.gain_bias.sigmoid(), torch.full((HEADS, memories), 0.2, dtype=torch.float64)
    )
    y, _ = mixer(tokens_of(1, 9), None, torch.tensor([9]))
    y.sum().backward()
    # The gain of what is not written makes no difference.
    written = [name in ("mem", *adaptive) for name in MEMORIES[:memories]]
    assert mixer.gain_bias.grad.bool().tolist() == [written] * HEADS


def test_a_small_gain_keeps_the_keys_of_training():
    x, lengths = tokens_of(1, 40), torch.tensor([40])
    static = make_mixer(adaptive=(), self_gain=0.01)
    reads = static(x, None, lengths)[0]

    def distance(**options):
        mixer = make_mixer(**options)
        mixer.load_state_dict(static.state_dict(), strict=False)
        return (mixer(x, None, lengths)[0] - reads).norm().item()

    assert distance(self_gain=0.01) < 0.1 * distance()


def test_gates_tell_tokens_apart_by_their_scale():
    """A scale is that of the heads' weights: what training has to learn is so much less."""
    x, lengths = tokens_of(1, 9), torch.tensor([9])
    loud, plain = make_mixer(gate_scale=3.0), make_mixer()
    with torch.no_grad():
        for name in ("eta_weight", "alpha_weight"):
            getattr(plain, name).mul_(3)
    torch.testing.assert_close(loud(x, None, lengths)[0], plain(x, None, lengths)[0])
    assert not torch.allclose(loud(x, None, lengths)[0], make_mixer()(x, None, lengths)[0])


@pytest.mark.parametrize("spread", [1.0, 20.0])
def test_the_rates_of_the_heads_begin_as_far_apart_as_asked(spread):
    mixer = SelfModifyingTitans(32, 4, options=SelfModifyingOptions(eta_spread=spread))
    rates = mixer.eta_bias.sigmoid()
    assert (rates[0] / rates[-1]).item() == pytest.approx(spread, rel=1e-3)


def test_scales_that_cannot_be_are_refused():
    for wrong in ({"gate_scale": 0.0}, {"gate_scale": math.inf}, {"eta_spread": 0.5}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*: it must be"):
            SelfModifyingOptions(**wrong)


def test_a_gain_that_cannot_be_is_refused():
    for gain in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match="self_gain is .* between 0 and 1"):
            SelfModifyingOptions(self_gain=gain)
    for options in ({"self_gain": 0.1}, {"read_initial": False}):
        with pytest.raises(ValueError, match="leave decay_to at 'initial' with them, got 'zero'"):
            SelfModifyingOptions(**options, decay_to="zero")
    with pytest.raises(ValueError, match="an MLP is read as a whole"):
        SelfModifyingOptions(memory="mlp", read_initial=False)


def test_gates_of_the_output_begin_open_on_request():
    torch.manual_seed(0)
    options = SelfModifyingOptions(open_gates=True)
    x = torch.randn(200, 64)
    gates = functional.silu(SelfModifyingTitans(64, 2, options=options).gate_projection(x))
    assert 0.95 < gates.mean() < 1.05
    assert gates.std() < 0.2
    assert functional.silu(SelfModifyingTitans(64, 2).gate_projection(x)).mean() < 0.5


@pytest.mark.parametrize("own", [False, True])
def test_the_value_may_have_an_input_of_its_own(own):
    mixer = make_mixer(own_value_input=own)
    seen = []
    scan = self_modifying.self_modifying_scan

    def watched(*arguments):
        seen.append(arguments[:3])
        return scan(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(self_modifying, "self_modifying_scan", watched)
        mixer(tokens_of(1, 4), None, torch.tensor([4]))
    inputs, contents, queries = seen[0]
    assert not torch.allclose(inputs, queries)
    assert (contents is None) is not own
    if own:
        for x in (inputs, contents, queries):
            torch.testing.assert_close(
                x.norm(dim=-1), torch.ones_like(x[..., 0]), rtol=1e-3, atol=0
            )
        assert not torch.allclose(inputs, contents) and not torch.allclose(contents, queries)


def test_half_precision_parameters_keep_a_float32_memory():
    mixer = make_mixer().bfloat16()
    state = fresh_state(mixer, 2)
    assert state["memory.0"].dtype == torch.float32
    y, after = mixer(tokens_of(2, 9).bfloat16(), state, torch.tensor([9, 5]))
    assert y.dtype == torch.bfloat16
    assert {name: leaf.dtype for name, leaf in after.items()} == {
        name: leaf.dtype for name, leaf in state.items()
    }


@pytest.mark.parametrize(
    ("arguments", "options"),
    [((8, 3), {}), ((8, 0), {}), ((8, 2), {"chunk_size": 0}), ((8, 2), {"conv_width": 0})],
)
def test_wrong_sizes_are_refused(arguments, options):
    with pytest.raises(ValueError, match=r": (it must|make it|use) "):
        SelfModifyingTitans(*arguments, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "deep"}, r"memory is one of \('linear', 'mlp'\), got 'deep'"),
        ({"objective": "cosine"}, "objective is one of"),
        ({"read": "end"}, "read is one of"),
        ({"decay_to": "nothing"}, "decay_to is one of"),
        ({"adaptive": ("k", "mem")}, r"adaptive names some of .*, got \('k', 'mem'\)"),
        ({"expansion": 0}, "it must be at least 1"),
        ({"eta_max": 0.0}, "it must be positive"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SelfModifyingOptions(**options)


@pytest.mark.parametrize("size", [-1, 3, 6])
def test_chunk_sizes_of_which_none_is_a_multiple_are_refused(size):
    options = SelfModifyingOptions(projection_chunk_size=size)
    with pytest.raises(ValueError, match="one of them must be a multiple of the other"):
        SelfModifyingTitans(8, 2, chunk_size=4, options=options)


def test_options_come_back_from_plain_values():
    options = SelfModifyingOptions(memory="mlp", momentum=True, adaptive=("k", "q"))
    assert SelfModifyingOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options
    with pytest.raises(ValueError, match=r"self_modifying has no \['depth'\]; it has "):
        SelfModifyingOptions.from_dict({"depth": 2})


@pytest.mark.parametrize("width", [1, 2, 4])
def test_short_convolution_is_a_causal_depthwise_convolution(width):
    convolution = ShortConvolution(HIDDEN, width).double()
    x = tokens_of(2, 9)
    tail = torch.zeros(2, width - 1, HIDDEN, dtype=x.dtype)
    y, new_tail = convolution(x, tail, torch.tensor([9, 9]))
    expected = functional.conv1d(
        functional.pad(x.mT, (width - 1, 0)), convolution.weight.mT[:, None], groups=HIDDEN
    ).mT
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(new_tail, x[:, 9 - (width - 1) :])


def test_rounding_does_not_grow_over_a_long_document():
    options = VARIANTS["hope"]["self_modifying"]
    torch.manual_seed(0)
    mixer = SelfModifyingTitans(64, 4, chunk_size=8, options=options).double()
    x, lengths = torch.randn(1, 2048, 64, dtype=torch.float64), torch.tensor([2048])
    moved = x.clone()
    moved[0, 0] += 1e-8
    with torch.no_grad():
        last, other = (mixer(tokens, None, lengths)[0][0, -64:] for tokens in (x, moved))
    assert float((last - other).norm() / last.norm()) < 1e-7
