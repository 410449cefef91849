"""Contract 8: short turns are learned."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from nestling.memory.level import Level

close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)
GENTLE = (
    Level("fast", period=4, rate=0.5, written=("gate", "up", "down")),
    Level("slow", period=8, rate=0.5),
)


def draw_tokens(*shape, seed=0):
    return torch.randint(20, shape, generator=torch.Generator().manual_seed(seed))


def turn_loss(model, turn, state):
    logits = model(turn, state=state.clear_context()).logits
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), turn[:, 1:].flatten()).item()


def memories(state):
    return {name: leaf for name, leaf in state.items() if name.startswith("memory.")}


@pytest.mark.parametrize("mixer", ["attention", "self_modifying"])
@torch.no_grad()
def test_a_turn_of_two_tokens_waits_and_is_learned_at_its_end(make_model, mixer):
    model = make_model(mixer, GENTLE)
    turn = draw_tokens(2, 2)
    waiting = model(turn, learn=True).state
    assert waiting["memory.pending.count"].tolist() == [1, 1]
    assert not any(bool(d.any()) for d in model.writer.deltas(waiting)["fast"].values())
    learned = model.end_turn(waiting)
    for delta in model.writer.deltas(learned)["fast"].values():
        assert (delta.flatten(1).abs().amax(1) > 1e-6).all()
    assert turn_loss(model, turn, learned) < turn_loss(model, turn, waiting) - 1e-3


@torch.no_grad()
def test_nothing_waits_after_the_end_of_a_turn(model):
    state = model.end_turn(model(draw_tokens(2, 7), learn=True).state)
    assert not any(
        bool(leaf.any()) for name, leaf in state.items() if name.startswith("memory.pending.")
    )


@torch.no_grad()
def test_what_waits_is_written_even_if_nothing_more_is_learned(model):
    """Waiting pairs survive text that is only read, and an emptied context."""
    learned = model(draw_tokens(2, 3), learn=True).state
    later = model(draw_tokens(2, 6, seed=1), state=learned).state.clear_context()
    at_once, in_the_end = model.end_turn(learned), model.end_turn(later)
    assert any(bool(x.any()) for name, x in memories(at_once).items() if ".delta." in name)
    close(memories(in_the_end), memories(at_once))


@torch.no_grad()
def test_a_turn_of_one_token_learns_nothing_and_breaks_nothing(model):
    start = model.end_turn(model(draw_tokens(2, 6), learn=True).state)
    reading = model(draw_tokens(2, 1), state=start, learn=True)
    after = model.end_turn(reading.state)
    assert bool(reading.logits.isfinite().all())
    close(dict(after), dict(start), rtol=0, atol=0)


@torch.no_grad()
def test_turns_of_one_token_at_once_learn_nothing(model):
    start = model.end_turn(model(draw_tokens(2, 6), learn=True).state)
    turns = draw_tokens(2, 3, 1)
    for write in ("turn", "period"):
        _, state = model.read_turns(turns, torch.ones_like(turns), start, write=write)
        close(dict(state), dict(start), rtol=0, atol=0)


def gradient_at(model, turn, pairs, state):
    """Summed gradient of the pairs (before, after) of one turn, by hand: [1, T] -> [1, V, K]."""
    delta = state["memory.delta.fast.down"].clone().requires_grad_()
    hidden, _ = model.below_memory(turn, model.new_state(), torch.tensor([turn.shape[1]]))
    loss = 0.0
    for t in pairs:
        known = hidden[:, t - 1 : t]
        logits = model.head(model.above_mixers(known, {"fast": {"down": delta}}))[0]
        strength = 2 * torch.sigmoid(model.writer.strength(known))[0, 0, 0]
        loss = loss + strength * F.cross_entropy(logits, turn[0, t : t + 1])
    return torch.autograd.grad(loss, delta)[0]


def step(model, gradient, state):
    rate = model.writer.log_rate["fast_down"].exp() / gradient.shape[-1]
    name = "memory.delta.fast.down"
    return state.replace({name: (state[name] - rate * gradient).detach()})


@pytest.mark.parametrize("at_once", [True, False])
def test_every_short_turn_is_one_write(make_model, at_once):
    model = make_model("attention", "fast")
    turns = draw_tokens(1, 5, 3)
    expected = model.new_state()
    for n in range(5):
        gradient = gradient_at(model, turns[:, n], (1, 2), expected)
        expected = step(model, gradient, expected)
    with torch.no_grad():
        state = model.new_state()
        if at_once:
            _, state = model.read_turns(turns, torch.ones_like(turns), state)
        else:
            for n in range(5):
                state = model.end_turn(model(turns[:, n], state=state, learn=True).state)
    close(dict(state), dict(expected))


def test_short_turns_share_a_write_where_only_periods_are_written(make_model):
    model = make_model("attention", "fast")
    turns = draw_tokens(1, 3, 3)
    fresh = model.new_state()
    gradient = sum(gradient_at(model, turns[:, n], (1, 2), fresh) for n in range(2))
    expected = step(model, gradient, fresh)
    with torch.no_grad():
        _, state = model.read_turns(turns, torch.ones_like(turns), fresh, write="period")
    close(state["memory.delta.fast.down"], expected["memory.delta.fast.down"])
    assert state["memory.pending.count"].item() == 2


@torch.no_grad()
def test_short_turns_add_up_to_a_write_of_a_slower_level(make_model):
    model = make_model("attention", "fast_slow")
    state, is_written = model.new_state(), []
    for n in range(5):
        state = model.end_turn(model(draw_tokens(1, 3, seed=n), state=state, learn=True).state)
        is_written.append(bool(state["memory.delta.slow.down"].any()))
    # Two pairs a turn, a period of eight.
    assert is_written == [False, False, False, True, True]
    assert state["memory.gathered.slow"].item() == 2


@torch.no_grad()
def test_the_end_of_a_session_writes_the_slower_levels(make_model):
    model = make_model("attention", GENTLE)
    learned = model(draw_tokens(2, 2), learn=True).state
    turn_over, session_over = model.end_turn(learned), model.end_turn(learned, slow=True)
    assert not bool(turn_over["memory.delta.slow.down"].any())
    assert (session_over["memory.delta.slow.down"].flatten(1).abs().amax(1) > 1e-6).all()
    assert not bool(session_over["memory.gathered.slow"].any())
    assert not bool(session_over["memory.gradient.slow.down"].any())
    # A second end has nothing left to write.
    close(dict(model.end_turn(session_over, slow=True)), dict(session_over), rtol=0, atol=0)
