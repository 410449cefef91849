"""Contract 5: training, streaming, evaluation and use write with the same code."""

from contextlib import nullcontext
from functools import partial

import pytest
import torch

from nestling.memory.state import MemoryState

close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)


def draw_tokens(*shape, seed=0):
    return torch.randint(20, shape, generator=torch.Generator().manual_seed(seed))


def draw_turns():
    """turns [2, 3, 7] and their mask, right-padded."""
    mask = torch.arange(7) < torch.tensor([[7, 2, 5], [3, 0, 6]])[..., None]
    return draw_tokens(2, 3, 7, seed=3), mask


def live(model, state=None):
    """Everything that writes: reading, ending a turn, reading turns at once, ending a session."""
    reading = model(draw_tokens(2, 11, seed=1), state=state, learn=True)
    state = model.end_turn(reading.state)
    logits = [reading.logits, model(draw_tokens(2, 5, seed=2), state=state).logits]
    _, state = model.read_turns(*draw_turns(), state, write="period")
    _, state = model.read_turns(*draw_turns(), state)
    state = model(draw_tokens(2, 3, seed=4), state=state, learn=True).state
    return logits, model.end_turn(state, slow=True)


def test_training_and_evaluation_mode_compute_the_same_numbers(model):
    results = []
    for mode in (True, False):
        model.train(mode)
        logits, state = live(model)
        results.append([*logits, *state.values()])
    model.train()
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("state_from", ["inside", "outside", "a graph"])
def test_writes_without_a_graph_equal_those_with_one(model, mode, state_from):
    with nullcontext() if state_from == "a graph" else torch.no_grad():
        start = live(model)[1]
    expected_logits, expected = live(model, start)
    assert any(x.requires_grad for name, x in expected.items() if ".delta." in name)
    with mode():
        if state_from == "inside":
            start = start.fork()
        logits, state = live(model, start)
    assert not any(leaf.requires_grad for leaf in state.values())
    close(logits, expected_logits)
    close(dict(state), dict(expected))


def test_a_state_read_under_inference_mode_can_be_learned_from_later(model):
    with torch.inference_mode():
        _, state = live(model)
    with torch.no_grad():
        _, plain = live(model)
    tokens = draw_tokens(2, 9, seed=7)
    results = []
    for start in (state.fork(), plain):
        loss = model(tokens, state=start, learn=True).logits.sin().sum()
        parameters = list(model.parameters())
        results.append(torch.autograd.grad(loss, parameters, materialize_grads=True))
    for a, b in zip(*results, strict=True):
        size = b.abs().amax() + 1e-12
        close(a / size, b / size)


@torch.no_grad()
def test_a_batch_learns_as_each_of_its_sequences_alone(model):
    tokens, lengths = draw_tokens(3, 13), [13, 2, 8]
    mask = torch.arange(13) < torch.tensor(lengths)[:, None]
    together = model(tokens, attention_mask=mask, learn=True)
    alone = [model(tokens[b : b + 1, :n], learn=True) for b, n in enumerate(lengths)]
    for b, length in enumerate(lengths):
        close(together.logits[b, :length], alone[b].logits[0])
    close(dict(together.state), dict(MemoryState.stack([one.state for one in alone])))


def test_streaming_token_by_token_equals_the_forward_pass_of_training(model):
    tokens = draw_tokens(2, 13)
    trained = model.train()(tokens, learn=True)
    state, logits = None, []
    with torch.inference_mode():
        model.eval()
        for token in tokens.split(1, dim=1):
            reading = model(token, state=state, learn=True)
            state = reading.state
            logits.append(reading.logits)
    model.train()
    close(torch.cat(logits, 1), trained.logits)
    close(dict(state), dict(trained.state))


@torch.no_grad()
def test_asking_with_the_hidden_of_a_turn_equals_reading_it(model):
    turns, mask = draw_turns()
    hidden, state = model.read_turns(turns, mask, model.new_state(2))
    deltas = model.writer.deltas(state)
    for n in range(turns.shape[1]):
        asked = model.head(model.above_mixers(hidden[:, n], deltas))
        read = model(turns[:, n], attention_mask=mask[:, n], state=state).logits
        close(asked[mask[:, n]], read[mask[:, n]])


@torch.no_grad()
def test_hidden_at_hand_gives_the_same_writes(model):
    turns, mask = draw_turns()
    hidden, state = model.read_turns(turns, mask, model.new_state(2))
    _, again = model.read_turns(turns, mask, model.new_state(2), hidden=hidden)
    close(dict(again), dict(state))
