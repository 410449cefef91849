"""Rows of a batch whose sequences have different lengths: align, append, slice, mask.

A row is what stands at one place along dimension 1 of `[B, T, ...]`. Every function is
differentiable and leaves its inputs alone, but for `using_up_states`. Where a sequence has no row
stand zeros: what padding holds, be it NaN, reaches neither the result nor a gradient.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor


class _Made:
    """The buffers that were made within a context, which nobody else has."""

    def __init__(self) -> None:
        self._by_id: dict[int, weakref.ref[Tensor]] = {}

    def add(self, buffer: Tensor) -> None:
        self._by_id[id(buffer)] = weakref.ref(buffer)

    def holds(self, buffer: Tensor) -> bool:
        found = self._by_id.get(id(buffer))
        return found is not None and found() is buffer


_MADE: ContextVar[_Made | None] = ContextVar("made where states are used up", default=None)


@contextmanager
def using_up_states() -> Iterator[None]:
    """Inside, a state that a model gives and is given back is not read again, but written over.

    That spares the copy of all that an attention remembers for every token that is read. A state
    from outside, or of chosen rows, is copied once, and so is any where gradients are recorded.
    """
    token = _MADE.set(_Made())
    try:
        yield
    finally:
        _MADE.reset(token)


def row_mask(lengths: Tensor, size: int) -> Tensor:
    """Return `[B, size]`, true at the rows before `lengths [B]`."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def shortest(lengths: Tensor) -> int:
    """The least of `lengths [B]`; 0, never too much, of none and where one waits for a device."""
    return int(lengths.min()) if lengths.device.type == "cpu" and len(lengths) else 0


def mask_rows(x: Tensor, lengths: Tensor) -> Tensor:
    """Return `x [B, T, ...]` with zeros in the rows at or after `lengths [B]`."""
    if shortest(lengths) >= x.shape[1]:
        return x
    return _zero_unless(row_mask(lengths, x.shape[1]), x)


def take_rows(x: Tensor, index: Tensor) -> Tensor:
    """Return `[B, J, ...]`, row `index[b, j]` of `x [B, T, ...]` at `[b, j]`."""
    trailing = x.shape[2:]
    index = index.reshape(*index.shape, *(1 for _ in trailing)).expand(*index.shape, *trailing)
    return x.gather(1, index)


def slice_rows(x: Tensor, start: Tensor, size: int, stop: Tensor) -> Tensor:
    """Return `[B, size, ...]`, rows `start[b] + j` of `x [B, T, ...]`; zeros from `stop[b]` on."""
    first, last = _agreed(start), _agreed(stop)
    if first is not None:
        end = first + size if last is None else max(first, min(last, first + size))
        rows = x[:, first:end]
        if last is None:
            rows = mask_rows(rows, stop - first)
        return torch.cat([rows, x.new_zeros(len(x), size - rows.shape[1], *x.shape[2:])], dim=1)
    index = start[:, None] + torch.arange(size, device=x.device)
    return _zero_unless(index < stop[:, None], take_rows(x, index.clamp(max=x.shape[1] - 1)))


def append_rows(buffer: Tensor, count: Tensor, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Put the first `lengths[b]` rows of `x` right behind the first `count[b]` rows of `buffer`.

    `buffer [B, C, ...]` and `x [B, T, ...]` give a grid `[B, R, ...]` and its lengths
    `total [B] = count + lengths`, where R is the largest total, but at least 1.
    """
    total = count + lengths
    held, new = _agreed(count), _agreed(lengths)
    if held is not None and new is not None and held + new > 0:
        return torch.cat([buffer[:, :held], x[:, :new].to(buffer.dtype)], dim=1), total
    place = torch.arange(max(1, int(total.max())), device=x.device).expand(len(total), -1)
    shift = buffer.shape[1] - count[:, None]
    index = torch.where(place < count[:, None], place, place + shift)
    rows = torch.cat([buffer, x.to(buffer.dtype)], dim=1)
    grid = take_rows(rows, index.clamp(max=rows.shape[1] - 1))
    return mask_rows(grid, total), total


def append_in_room(
    buffer: Tensor, count: Tensor, x: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor] | None:
    """`append_rows` where all sequences agree and `buffer` has room: one copy, and not several.

    None at all where states are used up: then a buffer that was made there takes the rows itself.

    Returns the grid `[B, R, ...]` and the buffer `[B, C, ...]` with the new rows in it, of which
    the grid is a view; None where sequences differ or the room does not suffice.
    """
    held, new = _agreed(count), _agreed(lengths)
    if held is None or new is None or not 0 < held + new <= buffer.shape[1]:
        return None
    made = None if torch.is_grad_enabled() else _MADE.get()
    filled = buffer if made is not None and made.holds(buffer) else buffer.clone()
    if made is not None:
        made.add(filled)
    filled[:, held : held + new] = x[:, :new]
    return filled[:, : held + new], filled


def left_align(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Move the rows where `mask [B, T]` is true to the left, in their order.

    Returns the packed rows `[B, T, ...]`, their number `lengths [B]`, and `index [B, T]`, the place
    each packed row came from; `restore_order` goes back.
    """
    index = mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    lengths = mask.sum(1)
    return mask_rows(take_rows(x, index), lengths), lengths, index


def restore_order(packed: Tensor, index: Tensor) -> Tensor:
    """Undo `left_align`: return `[B, T, ...]` with every packed row at the place it came from."""
    return take_rows(packed, index.argsort(dim=1))


def _agreed(counts: Tensor) -> int | None:
    """The number all sequences agree on, if they do: then a slice does what a gather would."""
    numbers = set(counts.tolist())
    return numbers.pop() if len(numbers) == 1 else None


def _zero_unless(keep: Tensor, x: Tensor) -> Tensor:
    return x.masked_fill(~keep.reshape(*keep.shape, *(1 for _ in x.shape[2:])), 0)
