"""Contract 3: causal, isolated, blind to padding."""

from functools import partial

import pytest
import torch

close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)
LENGTH = 14


def draw_tokens(*shape, seed=0):
    return torch.randint(20, shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def used_state(model, batch):
    state = model.new_state(batch)
    for length in (10, 3):
        state = model(draw_tokens(batch, length, seed=length), state=state, learn=True).state
    return state


@torch.no_grad()
def test_a_token_changes_no_answer_before_it(model):
    tokens = draw_tokens(1, LENGTH)
    logits = model(tokens, learn=True).logits
    for t in range(LENGTH):
        changed = tokens.clone()
        changed[0, t] = (changed[0, t] + 1) % 20
        after = model(changed, learn=True).logits
        close(after[:, :t], logits[:, :t])
        assert (after[:, t] - logits[:, t]).abs().amax() > 1e-6


@torch.no_grad()
def test_learning_a_token_changes_no_answer_up_to_it(model):
    tokens, state = draw_tokens(1, LENGTH), used_state(model, 1)
    everything = torch.ones(1, LENGTH, dtype=torch.bool)
    logits = model(tokens, state=state, learn=everything).logits
    for t in range(LENGTH):
        without = everything.clone()
        without[0, t] = False
        after = model(tokens, state=state, learn=without).logits
        close(after[:, : t + 1], logits[:, : t + 1])
        # The waiting pairs are written once more at the least before the end.
        if t < LENGTH - 5:
            assert (after - logits).abs().amax() > 1e-6


@pytest.mark.parametrize("change", ["tokens", "length", "learned"])
@torch.no_grad()
def test_a_sequence_changes_nothing_in_its_neighbours(model, change):
    tokens, state = draw_tokens(3, LENGTH), used_state(model, 3)
    mask = torch.arange(LENGTH) < torch.tensor([LENGTH, 11, LENGTH - 1])[:, None]
    learn = torch.ones_like(mask)
    before = model(tokens, attention_mask=mask, state=state, learn=learn)
    tokens, mask, learn = tokens.clone(), mask.clone(), learn.clone()
    if change == "tokens":
        tokens[1] = (tokens[1] + 3) % 20
    elif change == "length":
        mask[1] = torch.arange(LENGTH) < 2
    else:
        learn[1] = False
    after = model(tokens, attention_mask=mask, state=state, learn=learn)
    for b in (0, 2):
        close(after.logits[b, mask[b]], before.logits[b, mask[b]])
        close(dict(after.state.index(b)), dict(before.state.index(b)))
    changed, was = after.state.index(1), before.state.index(1)
    assert any(not torch.equal(changed[name], was[name]) for name in was)


@pytest.mark.parametrize("junk", [0, 13, -100, 10**6])
@pytest.mark.parametrize("sides", ["left", "right", "both"])
@torch.no_grad()
def test_padding_is_invisible_whatever_it_holds(model, sides, junk):
    tokens, state = draw_tokens(2, LENGTH), used_state(model, 2)
    plain = model(tokens, state=state, learn=True)
    left = torch.full((2, 3), junk)[:, : 0 if sides == "right" else 3]
    right = torch.full((2, 4), junk)[:, : 0 if sides == "left" else 4]
    ids = torch.cat([left, tokens, right], dim=1)
    mask = torch.zeros_like(ids)
    mask[:, left.shape[1] : left.shape[1] + LENGTH] = 1
    padded = model(ids, attention_mask=mask, state=state, learn=True)
    close(padded.logits[mask.bool()].view_as(plain.logits), plain.logits)
    close(dict(padded.state), dict(plain.state))


@pytest.mark.parametrize("learn", [True, False])
@torch.no_grad()
def test_padding_alone_leaves_a_state_as_it_is(model, learn):
    state = used_state(model, 2)
    mask = torch.tensor([[1] * 6, [0] * 6])
    after = model(draw_tokens(2, 6), attention_mask=mask, state=state, learn=learn).state
    close(dict(after.index(1)), dict(state.index(1)))
    assert not torch.equal(after["context.last.hidden"][0], state["context.last.hidden"][0])


@torch.no_grad()
def test_padding_is_invisible_without_a_state(model):
    tokens = draw_tokens(2, LENGTH)
    plain = model(tokens).logits
    for before, after in ((3, 0), (0, 3), (2, 5)):
        ids = torch.cat([draw_tokens(2, before), tokens, draw_tokens(2, after)], dim=1)
        mask = torch.zeros_like(ids)
        mask[:, before : before + LENGTH] = 1
        close(model(ids, attention_mask=mask).logits[:, before : before + LENGTH], plain)
