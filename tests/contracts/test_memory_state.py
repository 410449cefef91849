"""Contract 6: the memory state has a constant size and does what it is asked."""

from functools import partial

import pytest
import torch

from nestling.memory.level import Level
from nestling.memory.state import MemoryState

close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)


def draw_tokens(*shape, seed=0):
    return torch.randint(20, shape, generator=torch.Generator().manual_seed(seed))


def used_state(model, batch=2):
    """Every leaf that can be is different from zero."""
    state = model.new_state(batch)
    with torch.no_grad():
        return model(draw_tokens(batch, 15), state=state, learn=True).state


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


@pytest.fixture
def small() -> MemoryState:
    return MemoryState(
        {
            "context.window": torch.arange(12.0).view(3, 4) + 1,
            "context.count": torch.tensor([1, 2, 3]),
            "memory.delta": torch.arange(6.0).view(3, 2, 1) + 1,
        }
    )


@pytest.mark.parametrize("mixer", ["attention", "self_modifying"])
@torch.no_grad()
def test_a_thousand_tokens_take_no_more_room_than_one(make_model, mixer):
    model = make_model(mixer, "fast_slow")
    fresh = model.new_state()
    one = model(draw_tokens(1, 1), state=fresh, learn=True).state
    many = model(draw_tokens(1, 1000), state=one, learn=True).state
    assert many.nbytes == one.nbytes == fresh.nbytes > 0
    assert all(bool(leaf.isfinite().all()) for leaf in many.values())


@torch.no_grad()
def test_no_leaf_holds_on_to_more_memory_than_it_shows(model):
    state = model.end_turn(used_state(model))
    for _ in range(2):
        state = model(draw_tokens(2, 11), state=state, learn=True).state
    fork = state.fork()
    assert sum(leaf.untyped_storage().nbytes() for leaf in fork.values()) == fork.nbytes


def test_a_fresh_state_is_all_zeros(model):
    assert not any(bool(leaf.any()) for leaf in model.new_state(2).values())


@torch.no_grad()
def test_reading_with_a_fresh_state_equals_reading_without(model):
    tokens = draw_tokens(2, 13)
    mask = torch.arange(13) < torch.tensor([13, 9])[:, None]
    with_state = model(tokens, attention_mask=mask, state=model.new_state(2))
    without = model(tokens, attention_mask=mask)
    assert without.state is None
    close(with_state.logits[mask], without.logits[mask])


def test_nothing_changes_the_state_it_is_given(model):
    state = used_state(model)
    before = state.fork()
    turns = draw_tokens(2, 3, 6)
    mask = torch.ones_like(turns, dtype=torch.bool)
    for learn in (False, True):
        model(draw_tokens(2, 9), state=state, learn=learn)
    model.end_turn(state, slow=True)
    model.read_turns(turns, mask, state)
    model.read_turns(turns, mask, state, write="period")
    state.clear_context(), state.reset(), state.reset(torch.tensor([True, False]))
    assert same(state, before)


@pytest.mark.parametrize("mixer", ["attention", "self_modifying", "both"])
@torch.no_grad()
def test_rate_zero_is_exactly_the_static_model(make_model, mixer):
    levels = (
        Level("fast", period=4, rate=0.0, written=("gate", "up", "down")),
        Level("slow", period=8, rate=0.0),
    )
    model = make_model(mixer, levels)
    learned = model.end_turn(used_state(model), slow=True)
    for parts in model.writer.deltas(learned).values():
        assert not any(bool(delta.any()) for delta in parts.values())
    tokens = draw_tokens(2, 9, seed=3)
    static = model(tokens, state=model.new_state(2)).logits
    assert torch.equal(model(tokens, state=learned).logits, static)
    close(model(tokens, learn=True).logits, static)


@torch.no_grad()
def test_a_static_level_is_never_written(make_model):
    model = make_model("attention", (Level(period=0),))
    state = model(draw_tokens(2, 9), learn=True).state
    assert not any(name.startswith("memory.") for name in state)
    assert same(model.end_turn(state, slow=True), model.new_state(2))
    close(model(draw_tokens(2, 9), learn=True).logits, model(draw_tokens(2, 9)).logits)


def test_a_state_of_another_model_is_refused(make_model):
    model = make_model("attention", "fast")
    for other in (
        make_model("self_modifying", "fast"),
        make_model("attention", "fast_slow"),
        make_model("attention", "fast", intermediate_size=32),
    ):
        for read in (
            lambda state: model(draw_tokens(1, 4), state=state),
            lambda state: model.read_turns(draw_tokens(1, 1, 4), torch.ones(1, 1, 4), state),
        ):
            with pytest.raises(ValueError, match=r"another shape .*model\.new_state\(\)"):
                read(other.new_state())


def test_a_state_of_another_batch_size_is_refused(make_model):
    model = make_model()
    with pytest.raises(ValueError, match=r"holds 3 sequences, the input 2; .*index.*stack"):
        model(draw_tokens(2, 4), state=model.new_state(3))


def test_a_learn_mask_of_another_shape_is_refused(make_model):
    with pytest.raises(ValueError, match=r"learn is True, False or a mask of shape \[2, 4\]"):
        make_model()(draw_tokens(2, 4), learn=torch.ones(2, 3, dtype=torch.bool))


def test_an_input_without_tokens_is_refused(make_model):
    with pytest.raises(ValueError, match="at least one token"):
        make_model()(draw_tokens(2, 0))


def test_an_unknown_scope_is_refused():
    with pytest.raises(ValueError, match=r"'elsewhere.x' has no scope: .*'context\.'.*'memory\.'"):
        MemoryState({"elsewhere.x": torch.zeros(1, 2)})


@pytest.mark.parametrize(
    "leaves",
    [
        {},
        {"memory.a": torch.tensor(1.0)},
        {"memory.a": torch.zeros(2), "memory.b": torch.zeros(3)},
        {"memory.a": torch.zeros(0, 3)},
    ],
    ids=["none", "without a batch", "different batches", "empty batch"],
)
def test_leaves_without_a_common_batch_are_refused(leaves):
    with pytest.raises(ValueError, match="one common batch size"):
        MemoryState(leaves)


def test_detach_keeps_the_numbers_and_cuts_the_graph(make_model):
    model = make_model()
    state = model(draw_tokens(2, 9), learn=True).state
    detached = state.detach()
    assert state["memory.delta.fast.down"].requires_grad
    assert not any(leaf.requires_grad for leaf in detached.values())
    assert same(detached, state)


def test_a_fork_is_independent(small):
    fork = small.fork()
    before = small.fork()
    for leaf in fork.values():
        leaf.add_(1)
    assert same(small, before)
    assert not any(torch.equal(fork[name], small[name]) for name in small)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (1, [1]),
        (-1, [2]),
        ([2, 0, 2], [2, 0, 2]),
        (range(2), [0, 1]),
        (torch.tensor(1), [1]),
        (torch.tensor([0, 2]), [0, 2]),
        (torch.tensor([True, False, True]), [0, 2]),
    ],
    ids=str,
)
def test_index_chooses_and_repeats_sequences(small, rows, expected):
    chosen = small.index(rows)
    for name, leaf in small.items():
        assert torch.equal(chosen[name], torch.stack([leaf[row] for row in expected]))


@pytest.mark.parametrize("rows", [3, -4, [0, 5], [], [False] * 3])
def test_a_row_that_does_not_exist_is_refused(small, rows):
    with pytest.raises(IndexError, match="row"):
        small.index(rows)


def test_a_mask_of_another_length_chooses_nothing(small):
    with pytest.raises(IndexError, match="a mask of 2 for a state with 3 sequences"):
        small.index([True, False])


@torch.no_grad()
def test_a_state_of_another_precision_is_refused(model):
    state = model.new_state(2).to(dtype=torch.float16)
    with pytest.raises(ValueError, match=r"is in torch.float16, and this model keeps it in"):
        model(draw_tokens(2, 5), state=state)
    with pytest.raises(ValueError, match=r"is in torch.float16, and this model keeps it in"):
        model.end_turn(state)


@torch.no_grad()
def test_a_repeated_state_reads_and_learns_like_copies_and_shares_its_storage(model):
    one = model.end_turn(used_state(model, 1))
    shared, copies = one.repeat(3), one.index([0, 0, 0])
    delta = next(name for name in one if name.startswith("memory.delta."))
    assert shared[delta].untyped_storage().nbytes() == one[delta].untyped_storage().nbytes()
    tokens = draw_tokens(3, 9, seed=5)
    close(model(tokens, state=shared).logits, model(tokens, state=copies).logits)
    chosen = shared.index([2, 0])
    close(
        model(tokens[:2], state=chosen).logits, model(tokens[:2], state=copies.index([2, 0])).logits
    )
    learned = [model(tokens, state=start, learn=True).state for start in (shared, copies)]
    close(dict(learned[0]), dict(learned[1]))
    with pytest.raises(ValueError, match="repeat takes a state of one sequence"):
        copies.repeat(2)


def test_stacking_the_rows_gives_the_batch_back(small):
    assert same(MemoryState.stack([small.index(row) for row in range(3)]), small)


def test_stacking_goes_by_name_and_not_by_order(small):
    backwards = MemoryState(dict(reversed(list(small.items()))))
    assert same(MemoryState.stack([small, backwards]), small.index([0, 1, 2, 0, 1, 2]))


def test_states_of_different_models_are_not_stacked(small):
    other = MemoryState({**small, "memory.delta": torch.zeros(3, 5, 1)})
    less = MemoryState({"memory.delta": small["memory.delta"]})
    for states in ([small, other], [small, less], [less, small]):
        with pytest.raises(ValueError, match="different models"):
            MemoryState.stack(states)
    with pytest.raises(ValueError, match="at least one"):
        MemoryState.stack([])


def test_reset_empties_the_chosen_sequences_alone(small):
    reset = small.reset(torch.tensor([False, True, False]))
    assert same(reset.index([0, 2]), small.index([0, 2]))
    assert not any(bool(leaf.any()) for leaf in reset.index(1).values())
    assert not any(bool(leaf.any()) for leaf in small.reset().values())
    with pytest.raises(ValueError, match=r"mask of shape \[3\], got \[2\]"):
        small.reset(torch.tensor([True, False]))


@torch.no_grad()
def test_a_reset_sequence_reads_like_a_fresh_one(model):
    tokens = draw_tokens(2, 9, seed=5)
    state = used_state(model).reset(torch.tensor([True, False]))
    after = model(tokens, state=state, learn=True)
    fresh = model(tokens[:1], learn=True)
    close(after.logits[:1], fresh.logits)
    close(dict(after.state.index(0)), dict(fresh.state))


def test_to_changes_the_type_of_floating_leaves_alone(small):
    double = small.to(dtype=torch.float64)
    assert double["memory.delta"].dtype == double["context.window"].dtype == torch.float64
    assert double["context.count"].dtype == torch.int64
    assert same(double.to("cpu", torch.float32), small)


@torch.no_grad()
def test_clear_context_empties_the_context_and_keeps_the_memories(model):
    state = used_state(model)
    cleared = state.clear_context()
    for name, leaf in state.items():
        if name.startswith("memory."):
            assert torch.equal(cleared[name], leaf)
        else:
            assert not bool(cleared[name].any())
    assert any(bool(x.any()) for name, x in cleared.items() if name.startswith("memory.delta."))
    assert bool(state["context.last.hidden"].any())


def test_states_are_equal_to_the_bit_or_not_at_all(small):
    assert small.equals(small.fork())
    one_more = small["memory.delta"].clone()
    one_more[0, 0, 0] = torch.nextafter(one_more[0, 0, 0], torch.tensor(10.0))
    assert not small.equals(small.replace({"memory.delta": one_more}))
    assert not small.equals(MemoryState(dict(reversed(list(small.items())))))
    assert not small.equals(MemoryState({"memory.delta": small["memory.delta"]}))


def test_scope_shortens_names(small):
    assert set(small.scope("context.")) == {"window", "count"}


def test_replacing_an_unknown_leaf_is_refused(small):
    with pytest.raises(ValueError, match=r"no leaf \['memory\.other'\]"):
        small.replace({"memory.other": torch.zeros(3)})
    assert torch.equal(
        small.replace({"context.count": torch.zeros(3)})["context.count"], torch.zeros(3)
    )


def test_a_state_cannot_be_assigned_to(small):
    with pytest.raises(TypeError):
        small["memory.delta"] = torch.zeros(3, 2, 1)


def test_a_learn_mask_may_be_a_list(make_model):
    model, tokens = make_model(), draw_tokens(2, 5)
    mask = [[True, False, True, True, False], [False] * 5]
    listed = model(tokens, learn=mask).state
    close(dict(listed), dict(model(tokens, learn=torch.tensor(mask)).state))
    nothing = model(tokens, learn=[[False] * 5] * 2).state
    close(dict(nothing), dict(model(tokens, state=model.new_state(2)).state))


def test_ids_of_one_sequence_without_a_batch_are_refused(make_model):
    with pytest.raises(
        ValueError, match=r"input_ids is \[sequences, tokens\], got the shape \[4\]"
    ):
        make_model()(draw_tokens(1, 4)[0])


def test_a_state_of_inference_goes_on_where_gradients_are_recorded(model):
    with torch.inference_mode():
        state = model(draw_tokens(2, 9), learn=True).state
    model(draw_tokens(2, 9), state=state.detach(), learn=True).logits.sum().backward()


def test_what_a_level_learns_begins_where_it_was_set(make_model):
    options = {"alpha": 0.0, "delta_rate": 1.5}
    level = Level("fast", period=4, rule="delta_momentum", rule_options=options)
    model = make_model("attention", (level,))
    assert not any("delta_rate" in name or "alpha" in name for name, _ in model.named_parameters())
    rule = model.writer.rule("fast", "down")
    assert (rule.alpha, rule.delta_rate) == (0.0, 1.5)
