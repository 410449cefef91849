"""Contract 1: any split equals one pass."""

from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nestling.memory.state import MemoryState

close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)
few = settings(
    deadline=None,
    max_examples=3,
    derandomize=True,
    suppress_health_check=[HealthCheck.differing_executors],
)
BATCH, LENGTH = 2, 21


def draw_tokens(*shape, seed=0):
    return torch.randint(20, shape, generator=torch.Generator().manual_seed(seed))


def draw_mask(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6


def used_state(model, batch=BATCH):
    """A state in the middle of things: memories written, pairs waiting, the window half full."""
    state = model.new_state(batch)
    for length in (11, 3):
        tokens = draw_tokens(batch, length, seed=length)
        state = model(tokens, state=state, learn=True).state
    return state


def read_in_pieces(model, tokens, state, cuts, learn):
    logits = []
    edges = [0, *sorted(cuts), tokens.shape[1]]
    for start, stop in pairwise(edges):
        part = learn[:, start:stop] if isinstance(learn, torch.Tensor) else learn
        reading = model(tokens[:, start:stop], state=state, learn=part)
        logits.append(reading.logits)
        state = reading.state
    return torch.cat(logits, 1), state


cuts_strategy = st.sets(st.integers(1, LENGTH - 1), max_size=6)


@pytest.mark.parametrize("learn", ["nothing", "everything", "some"])
@few
@given(cuts=cuts_strategy)
@torch.no_grad()
def test_any_split_equals_one_pass(model, learn, cuts):
    tokens, state = draw_tokens(BATCH, LENGTH), used_state(model)
    learned = {"nothing": False, "everything": True, "some": draw_mask(BATCH, LENGTH)}[learn]
    whole = model(tokens, state=state, learn=learned)
    logits, state = read_in_pieces(model, tokens, state, cuts, learned)
    close(logits, whole.logits)
    close(dict(state), dict(whole.state))


@torch.no_grad()
def test_token_by_token_equals_one_pass_from_a_fresh_start(model):
    tokens, state = draw_tokens(BATCH, LENGTH), model.new_state(BATCH)
    whole = model(tokens, learn=True)
    logits, state = read_in_pieces(model, tokens, state, range(1, LENGTH), True)
    close(logits, whole.logits)
    close(dict(state), dict(whole.state))


@torch.no_grad()
def test_the_memory_takes_part_in_what_is_split(model):
    tokens = draw_tokens(BATCH, LENGTH)
    learned, static = model(tokens, learn=True), model(tokens)
    assert (learned.logits - static.logits)[:, -1].abs().amax() > 1e-2


@pytest.mark.parametrize("side", ["left", "right", "anywhere"])
@few
@given(lengths=st.lists(st.tuples(*[st.integers(0, 8)] * 3), min_size=1, max_size=4))
@torch.no_grad()
def test_padded_pieces_equal_each_sequence_in_one_pass(model, side, lengths):
    lengths = [piece for piece in lengths if max(piece)] or [(3, 0, 1)]
    streams = draw_tokens(3, 40, seed=2)
    learn = draw_mask(3, 40, seed=3)
    state, done, logits = used_state(model, 3), [0] * 3, [[], [], []]
    for number, piece in enumerate(lengths):
        width = max(piece) + 2
        mask = torch.zeros(3, width, dtype=torch.bool)
        ids, learned = draw_tokens(3, width, seed=number), draw_mask(3, width, seed=number)
        for b, length in enumerate(piece):
            place = {
                "left": torch.arange(width - length, width),
                "right": torch.arange(length),
                "anywhere": torch.randperm(width, generator=torch.Generator().manual_seed(number))[
                    :length
                ]
                .sort()
                .values,
            }[side]
            mask[b, place] = True
            ids[b, place] = streams[b, done[b] : done[b] + length]
            learned[b, place] = learn[b, done[b] : done[b] + length]
        reading = model(ids, attention_mask=mask, state=state, learn=learned)
        state = reading.state
        for b, length in enumerate(piece):
            logits[b].append(reading.logits[b, mask[b]])
            done[b] += length
    for b in range(3):
        before = used_state(model, 3).index(b)
        if done[b]:
            stream = slice(b, b + 1), slice(done[b])
            alone = model(streams[stream], state=before, learn=learn[stream])
            close(torch.cat(logits[b]), alone.logits[0])
            before = alone.state
        close(dict(state.index(b)), dict(before))


def read_one_by_one(model, turns, mask, state, learn, write):
    state = state.clear_context()
    for n in range(turns.shape[1]):
        reading = model(turns[:, n], attention_mask=mask[:, n], state=state, learn=learn[:, n])
        state = reading.state
        state = model.end_turn(state) if write == "turn" else state.clear_context()
    return state


def draw_turns(lengths):
    """lengths [B, N] -> turns [B, N, L] and mask, right-padded."""
    lengths = torch.tensor(lengths)
    length = int(lengths.max())
    mask = torch.arange(length) < lengths[..., None]
    return draw_tokens(*mask.shape, seed=4), mask


TURNS = {
    "longer than the periods": [[11, 6, 9], [7, 13, 3]],
    "shorter than the period": [[2, 3, 2], [3, 2, 4]],
    "some empty": [[0, 5, 0, 3], [4, 0, 0, 6]],
    "of one token": [[1, 1, 1], [1, 1, 1]],
    "many": [[3, 9, 1, 0, 4, 2, 6, 3, 3, 12], [0] * 10],
}


@pytest.mark.parametrize("write", ["turn", "period"])
@pytest.mark.parametrize("lengths", TURNS.values(), ids=TURNS.keys())
@pytest.mark.parametrize("start", ["fresh", "used"])
def test_reading_turns_at_once_equals_one_by_one(attention_model, write, lengths, start):
    check_reading_turns(attention_model, write, lengths, start)


@pytest.mark.parametrize("write", ["turn", "period"])
def test_reading_turns_at_once_equals_one_by_one_with_every_mixer(model, write):
    check_reading_turns(model, write, TURNS["many"], "used")


def check_reading_turns(model, write, lengths, start):
    turns, mask = draw_turns(lengths)
    learn = draw_mask(*turns.shape) if start == "used" else torch.ones_like(mask)
    with torch.no_grad():
        state = model.new_state(2) if start == "fresh" else used_state(model)
        state_before = state.fork()
        slow = read_one_by_one(model, turns, mask, state, learn, write)
        hidden, fast = model.read_turns(turns, mask, state, learn=learn, write=write)
    close(dict(fast), dict(slow))
    close(dict(state), dict(state_before), rtol=0, atol=0)
    assert hidden.shape == (*turns.shape, model.settings.hidden_size)


@pytest.mark.parametrize("levels", ["fast_slow", "context"])
def test_turns_read_at_once_give_the_gradients_of_one_by_one(make_model, levels):
    model = make_model("attention", levels)
    turns, mask = draw_turns(TURNS["longer than the periods"])
    everything, fresh = torch.ones_like(mask), model.new_state(2)
    gradients = []
    for state in (
        read_one_by_one(model, turns, mask, fresh, everything, "turn"),
        model.read_turns(turns, mask, fresh)[1],
    ):
        loss = model(draw_tokens(2, 6, seed=5), state=state).logits.sin().sum()
        found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        # A level that was emptied with the context has no say.
        gradients.append([gradient for gradient in found if gradient is not None])
    for fast, slow in zip(*gradients, strict=True):
        size = slow.abs().amax() + 1e-12
        close(fast / size, slow / size)


@torch.no_grad()
def test_the_padding_of_turns_may_hold_any_ids(model):
    turns, mask = draw_turns(TURNS["some empty"])
    _, state = model.read_turns(turns, mask, model.new_state(2))
    for junk in (-100, 7, 10**6):
        _, other = model.read_turns(turns.masked_fill(~mask, junk), mask, model.new_state(2))
        close(dict(other), dict(state), rtol=0, atol=0)


@torch.no_grad()
def test_batches_of_residents_equal_residents_one_by_one(model):
    turns, mask = draw_turns(TURNS["many"])
    _, together = model.read_turns(turns, mask, model.new_state(2))
    alone = [
        model.read_turns(turns[b : b + 1], mask[b : b + 1], model.new_state())[1] for b in range(2)
    ]
    close(dict(MemoryState.stack(alone)), dict(together))
