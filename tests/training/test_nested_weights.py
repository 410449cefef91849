"""Nested levels of a model's weights against the words of their definition."""

import pytest
import torch
from torch import nn

from nestling.training.nested_weights import NestedWeights


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def move(model, by):
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(by)


def values(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def test_a_slower_level_goes_its_share_and_the_faster_one_begins_there(model):
    start = values(model)
    levels = NestedWeights(model, (2,), share=0.25)
    move(model, 1.0)
    assert levels.stepped() == []
    move(model, 1.0)
    assert levels.stepped() == [0]
    for name, weight in values(model).items():
        torch.testing.assert_close(weight, start[name] + 0.5)
        torch.testing.assert_close(levels.slowest[name], weight)


def test_three_levels_hand_over_one_after_the_other(model):
    start = values(model)
    levels = NestedWeights(model, (1, 2), share=0.5)
    found = []
    for _ in range(2):
        move(model, 1.0)
        found.append(levels.stepped())
    assert found == [[0], [0, 1]]
    # Fast: 1 -> 0.5, then 1.5 -> 1 in the second level; the third takes half of that.
    for name, weight in values(model).items():
        torch.testing.assert_close(levels.slower[1][name], start[name] + 0.5)
        torch.testing.assert_close(levels.slower[0][name], start[name] + 0.5)
        torch.testing.assert_close(weight, start[name] + 0.5)


def test_a_share_of_one_changes_nothing(model):
    levels = NestedWeights(model, (1, 3), share=1.0)
    for _ in range(7):
        move(model, 0.1)
        before = values(model)
        levels.stepped()
        assert all(torch.equal(weight, before[name]) for name, weight in values(model).items())


def test_the_level_of_sleep_is_not_written_awake(model):
    start = values(model)
    levels = NestedWeights(model, (1, 0))
    for _ in range(5):
        move(model, 1.0)
        assert levels.stepped() == [0]
    assert all(torch.equal(levels.slowest[name], start[name]) for name in start)
    levels.settle({name: weight + 7 for name, weight in start.items()})
    for level in (values(model), *levels.slower):
        for name in start:
            torch.testing.assert_close(level[name], start[name] + 7)


@pytest.mark.parametrize("periods", [(4, 4), (8, 2), (4, 6), (0, 4), (-2,), (2.5,)])
def test_levels_that_do_not_get_slower_are_refused(model, periods):
    with pytest.raises(ValueError, match="a slower level is written less often"):
        NestedWeights(model, periods)


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_out_of_range_is_refused(model, share):
    with pytest.raises(ValueError, match="share is above 0"):
        NestedWeights(model, (2,), share)


def test_bytes_are_those_of_all_levels(model):
    assert NestedWeights(model, ()).nbytes == 8 * 4
    assert NestedWeights(model, (2, 0)).nbytes == 3 * 8 * 4
