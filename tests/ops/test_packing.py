import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nestling.ops.packing import (
    append_in_room,
    append_rows,
    left_align,
    mask_rows,
    restore_order,
    row_mask,
    slice_rows,
    take_rows,
    using_up_states,
)

torch.set_num_threads(1)


def rows(*shape):
    return torch.arange(1.0, 1.0 + torch.Size(shape).numel(), dtype=torch.float64).reshape(shape)


def test_take_rows_picks_rows_per_sequence():
    x = rows(2, 3, 2)
    taken = take_rows(x, torch.tensor([[2, 0], [1, 1]]))
    assert torch.equal(taken, torch.stack([x[0, [2, 0]], x[1, [1, 1]]]))


def test_take_rows_works_without_trailing_dimensions():
    assert take_rows(torch.tensor([[5, 6, 7]]), torch.tensor([[2, 0]])).tolist() == [[7, 5]]


def test_row_mask_is_true_before_each_length():
    assert row_mask(torch.tensor([0, 2]), 3).int().tolist() == [[0, 0, 0], [1, 1, 0]]


def test_mask_rows_removes_nan_from_values_and_gradients():
    x = torch.full((1, 3), torch.nan, dtype=torch.float64)
    x[0, 0] = 2
    x.requires_grad_()
    y = mask_rows(x, torch.tensor([1]))
    y.square().sum().backward()
    assert y.tolist() == [[2, 0, 0]]
    assert x.grad.tolist() == [[4, 0, 0]]


def test_slice_rows_is_zero_from_stop_on_and_past_the_end():
    x = rows(2, 4)
    sliced = slice_rows(x, torch.tensor([1, 3]), 3, torch.tensor([3, 9]))
    assert sliced[0].tolist() == [2, 3, 0]
    assert sliced[1, 0] == 8


def test_append_rows_puts_new_rows_right_behind_the_buffered_ones():
    buffer, x = rows(3, 2), 10 * rows(3, 3)
    grid, total = append_rows(buffer, torch.tensor([0, 1, 2]), x, torch.tensor([3, 0, 2]))
    assert total.tolist() == [3, 1, 4]
    assert grid.tolist() == [[10, 20, 30, 0], [3, 0, 0, 0], [5, 6, 70, 80]]


def test_append_rows_of_nothing_is_one_empty_row():
    nothing = torch.zeros(2, dtype=torch.int64)
    grid, total = append_rows(rows(2, 2, 3), nothing, rows(2, 0, 3), nothing)
    assert grid.shape == (2, 1, 3)
    assert not grid.any()
    assert not total.any()


def test_append_in_room_is_append_rows_and_slice_rows_where_all_agree():
    buffer, x = rows(2, 5, 3), 10 * rows(2, 2, 3)
    count, lengths = torch.tensor([3, 3]), torch.tensor([2, 2])
    buffer[:, 3:] = 0
    grid, filled = append_in_room(buffer, count, x, lengths)
    wanted, total = append_rows(buffer, count, x, lengths)
    assert torch.equal(grid, wanted)
    assert torch.equal(filled, slice_rows(wanted, torch.zeros_like(total), 5, total))
    assert not buffer[:, 3:].any()


def test_states_that_are_used_up_are_written_over_where_nothing_is_differentiated():
    x, one = rows(2, 1), torch.tensor([1, 1])
    first, _ = append_in_room(rows(2, 5), 3 * one, x, one)
    second, _ = append_in_room(torch.cat([first, rows(2, 1)], 1), 4 * one, x, one)
    with using_up_states():
        given = rows(2, 5)
        recorded = append_in_room(given, 3 * one, x, one)[1]
        with torch.no_grad():
            # What comes from outside is copied, and what was recorded, too.
            grid, filled = append_in_room(given, 3 * one, x, one)
            assert append_in_room(recorded, 4 * one, x, one)[1] is not recorded
            assert torch.equal(given, rows(2, 5)) and torch.equal(grid, first)
            # A view is no buffer that was made.
            assert append_in_room(filled[:], 4 * one, x, one)[1] is not filled
            grid, over = append_in_room(filled, 4 * one, x, one)
            assert over is filled and torch.equal(grid, second)
    with torch.no_grad():
        assert append_in_room(filled, 4 * one, x, one)[1] is not filled


@pytest.mark.parametrize(
    ("count", "lengths"), [([3, 2], [2, 2]), ([3, 3], [2, 1]), ([4, 4], [2, 2]), ([0, 0], [0, 0])]
)
def test_append_in_room_leaves_other_cases_to_append_rows(count, lengths):
    buffer, x = rows(2, 5), rows(2, 2)
    assert append_in_room(buffer, torch.tensor(count), x, torch.tensor(lengths)) is None


def test_append_rows_ignores_what_stands_behind_count_and_lengths():
    buffer, x = torch.full((1, 2), torch.nan), torch.full((1, 3), torch.nan)
    buffer[0, 0], x[0, 0] = 1, 2
    grid, _ = append_rows(buffer, torch.tensor([1]), x, torch.tensor([1]))
    assert grid.tolist() == [[1, 2]]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=3))
def test_left_align_keeps_the_order_and_restore_order_undoes_it(mask):
    mask = torch.tensor(mask)
    x = rows(*mask.shape, 2)
    packed, lengths, index = left_align(x, mask)
    for b in range(len(mask)):
        assert torch.equal(packed[b, : lengths[b]], x[b, mask[b]])
        assert not packed[b, lengths[b] :].any()
    assert torch.equal(restore_order(packed, index), x * mask[..., None])


@pytest.mark.parametrize("offset", [0, 1])
def test_gradients_match_finite_differences(offset):
    count, lengths = torch.tensor([1, 2]), torch.tensor([3, 1])

    def function(buffer, x):
        grid, total = append_rows(buffer, count, x, lengths)
        return slice_rows(grid, count - offset, 3, total)

    torch.autograd.gradcheck(
        function, (rows(2, 2, 2).requires_grad_(), rows(2, 3, 2).requires_grad_())
    )


def test_inputs_are_left_alone():
    buffer, x = rows(2, 2), rows(2, 3)
    append_rows(buffer, torch.tensor([1, 0]), x, torch.tensor([1, 2]))
    left_align(x, torch.tensor([[False, True, True], [True, False, False]]))
    assert torch.equal(buffer, rows(2, 2))
    assert torch.equal(x, rows(2, 3))
