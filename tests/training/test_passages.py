"""Passages: what is given, what is asked, and what padding must not change."""

import pytest
import torch

from nestling.training import passages as module
from nestling.training.passages import (
    IGNORED,
    TOGETHER,
    asked_logits,
    joined,
    losses_of,
    mean_loss,
    passages_of,
)

LONG = [3 + i % 8 for i in range(40)]
ROWS = [([5, 6, 7, 8], 1), ([9, 10, 11], 2), ([3, 4, 5, 6, 7, 8], 5)]


def test_what_is_asked_begins_at_the_first_answer():
    passages = passages_of(ROWS)
    assert passages.ids[0].tolist() == [5, 6, 7, 0, 0]
    assert passages.targets[0].tolist() == [6, 7, 8, IGNORED, IGNORED]
    assert passages.targets[1].tolist() == [IGNORED, 11, IGNORED, IGNORED, IGNORED]
    assert [passages.given(row) for row in range(3)] == [[5], [9, 10], [3, 4, 5, 6, 7]]
    assert [passages.whole(row) for row in range(3)] == [row for row, _ in ROWS]


def test_a_slice_is_no_wider_than_what_it_asks():
    assert passages_of(ROWS)[:2].ids.shape == (2, 3)
    assert passages_of(ROWS)[torch.tensor([1])].ids.tolist() == [[9, 10]]


def test_lots_are_joined_at_the_width_of_the_widest():
    whole = passages_of(ROWS)
    again = joined([whole[:2], whole[2:]])
    assert torch.equal(again.ids, whole.ids) and torch.equal(again.targets, whole.targets)


def test_losses_are_those_of_every_passage_alone(tiny_hope):
    passages = passages_of(ROWS)
    together = losses_of(tiny_hope, passages)
    alone = torch.cat([losses_of(tiny_hope, passages[row : row + 1]) for row in range(3)])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(mean_loss(tiny_hope, passages), together.mean())


def test_losses_come_back_in_the_order_of_the_passages(tiny_hope):
    rows = [([3 + i % 5, *range(4, 5 + (7 * i) % 11)], 1) for i in range(2 * TOGETHER + 3)]
    alone = torch.cat([losses_of(tiny_hope, passages_of([row])) for row in rows])
    torch.testing.assert_close(losses_of(tiny_hope, passages_of(rows)), alone)


@pytest.mark.parametrize("more", [[], [(LONG, 7)], [(LONG, 1), ([4, 5], 1)]])
def test_what_is_predicted_where_it_is_asked_is_what_a_reading_says(tiny_hope, more):
    passages = passages_of([*more, *ROWS])
    read = tiny_hope(passages.ids).logits[passages.asked]
    torch.testing.assert_close(asked_logits(tiny_hope, passages), read)


def test_short_and_long_passages_are_read_apart_where_that_spares_a_third():
    assert len(module._read_apart(torch.tensor([10, 9, 10]))) == 1
    assert len(module._read_apart(torch.tensor([7]))) == 1
    short, long = module._read_apart(torch.tensor([5, 40, 4, 38, 6]))
    assert sorted(short.tolist()) == [0, 2, 4] and sorted(long.tolist()) == [1, 3]


def test_behind_a_context_the_same_is_asked(tiny_hope):
    passages = passages_of(ROWS)
    contexts = [[1, 2], [], [3]]
    behind = passages.behind(contexts)
    assert int(behind.asked.sum()) == int(passages.asked.sum())
    for row, context in enumerate(contexts):
        tokens, first = ROWS[row]
        own = passages_of([([*context, *tokens], len(context) + first)])
        torch.testing.assert_close(losses_of(tiny_hope, behind)[row], losses_of(tiny_hope, own)[0])
