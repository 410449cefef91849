"""The memory state: everything that changes while a model reads, and nothing else.

A state is a flat, ordered mapping `name -> tensor`, every tensor with the batch first. **All zeros
is the fresh state**: memories are stored as the difference from their learned initial value, so a
state can be reset, compared and stored without the model that made it.

Names start with their scope:

- `context.`  what an emptied context loses: attention windows, self-modifying memories,
  convolution tails, positions;
- `memory.`   what survives it: deltas of the continuum memory, accumulated gradients, and pairs
  that wait for their write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

CONTEXT = "context."
MEMORY = "memory."


class MemoryState(Mapping[str, Tensor]):
    """Constant-size state of a batch of sequences; immutable: every method returns a new one.

    Args:
        leaves: `name -> [B, ...]` tensors with one common batch size B >= 1.

    Raises:
        ValueError: a name has no known scope, or the batch sizes differ.
    """

    def __init__(self, leaves: Mapping[str, Tensor]) -> None:
        sizes = {leaf.shape[0] for leaf in leaves.values() if leaf.dim() > 0}
        if len(sizes) != 1 or 0 in sizes or any(leaf.dim() == 0 for leaf in leaves.values()):
            raise ValueError(
                f"a memory state needs tensors with one common batch size, got {sorted(sizes)}"
            )
        for name in leaves:
            if not name.startswith((CONTEXT, MEMORY)):
                raise ValueError(
                    f"'{name}' has no scope: names start with '{CONTEXT}' or '{MEMORY}'"
                )
        self._leaves = dict(leaves)

    def __getitem__(self, name: str) -> Tensor:
        return self._leaves[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._leaves)

    def __len__(self) -> int:
        return len(self._leaves)

    def __repr__(self) -> str:
        return (
            f"MemoryState(batch_size={self.batch_size}, nbytes={self.nbytes}, leaves={len(self)})"
        )

    @property
    def batch_size(self) -> int:
        return next(iter(self._leaves.values())).shape[0]

    @property
    def device(self) -> torch.device:
        return next(iter(self._leaves.values())).device

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors; the same after one token and after a million."""
        return sum(leaf.numel() * leaf.element_size() for leaf in self._leaves.values())

    def scope(self, prefix: str) -> dict[str, Tensor]:
        """The leaves below `prefix` (ending in a dot), with the prefix removed."""
        return {
            name[len(prefix) :]: leaf
            for name, leaf in self._leaves.items()
            if name.startswith(prefix)
        }

    def replace(self, leaves: Mapping[str, Tensor]) -> MemoryState:
        """A state in which the named leaves are replaced; unknown names are refused."""
        unknown = set(leaves) - set(self._leaves)
        if unknown:
            raise ValueError(f"the state has no leaf {sorted(unknown)}")
        return MemoryState({**self._leaves, **leaves})

    def equals(self, other: MemoryState) -> bool:
        """Whether both have the same leaves, in the same order and to the bit."""
        return list(self) == list(other) and all(torch.equal(self[n], other[n]) for n in self)

    def _map(self, function: Callable[[Tensor], Tensor]) -> MemoryState:
        return MemoryState({name: function(leaf) for name, leaf in self._leaves.items()})

    def detach(self) -> MemoryState:
        """The same numbers, cut from the graph that wrote them.

        Of a state that was written under `torch.inference_mode` it is a copy, which may be read
        and learned into while gradients are recorded; the state itself may not.
        """
        recorded = not torch.is_inference_mode_enabled()
        return self._map(lambda x: x.clone() if recorded and x.is_inference() else x.detach())

    def fork(self) -> MemoryState:
        """An independent copy: writing into one never changes the other."""
        return self._map(Tensor.clone)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None):
        """Move; `dtype` applies to floating leaves. A model reads those of its own dtypes alone."""
        return self._map(
            lambda leaf: leaf.to(device=device, dtype=dtype if leaf.is_floating_point() else None)
        )

    def index(self, rows: int | Sequence[int] | Tensor) -> MemoryState:
        """The chosen sequences of the batch, repeated or reordered as asked.

        Raises:
            IndexError: a row does not exist, or a mask is not as long as the batch.
        """
        chosen = torch.as_tensor(rows, device=self.device).reshape(-1)
        if chosen.dtype == torch.bool:
            if len(chosen) != self.batch_size:
                raise IndexError(
                    f"a mask of {len(chosen)} for a state with {self.batch_size} sequences"
                )
            chosen = chosen.nonzero()[:, 0]
        if not chosen.numel():
            raise IndexError("index needs at least one row; a state holds at least one sequence")
        if not -self.batch_size <= int(chosen.min()) <= int(chosen.max()) < (self.batch_size):
            raise IndexError(f"rows {chosen.tolist()} of a state with {self.batch_size} sequences")
        return self._map(
            lambda leaf: (
                shared(leaf).expand(len(chosen), *leaf.shape[1:])
                if is_shared(leaf)
                else leaf[chosen]
            )
        )

    def repeat(self, count: int) -> MemoryState:
        """The one sequence of this state as `count` equal ones that share their storage.

        What is written afterwards is each one's own; what only is read is never copied.

        Raises:
            ValueError: the state holds several sequences.
        """
        if self.batch_size != 1:
            raise ValueError(
                f"repeat takes a state of one sequence, and this one holds {self.batch_size}; "
                "choose one with state.index(...)"
            )
        return self._map(lambda leaf: leaf.expand(count, *leaf.shape[1:]))

    @staticmethod
    def stack(states: Sequence[MemoryState]) -> MemoryState:
        """Join the sequences of several states into one batch, in order.

        Raises:
            ValueError: no state, or states of different models.
        """
        if not states:
            raise ValueError("stack needs at least one state")
        names = states[0].keys()
        for state in states:
            if state.keys() != names or any(
                state[name].shape[1:] != states[0][name].shape[1:] for name in names
            ):
                raise ValueError("these states come from different models and cannot be stacked")
        return MemoryState({name: torch.cat([state[name] for state in states]) for name in names})

    def reset(self, mask: Tensor | None = None) -> MemoryState:
        """Fresh memory for the sequences where `mask` [B] is true (all, if it is not given)."""
        if mask is None:
            return self._map(torch.zeros_like)
        return self._map(lambda leaf: _zero_rows(leaf, mask))

    def clear_context(self) -> MemoryState:
        """Empty the context and keep the memories: what follows is read with no text before it."""
        return MemoryState(
            {
                name: leaf.new_zeros(leaf.shape) if name.startswith(CONTEXT) else leaf
                for name, leaf in self._leaves.items()
            }
        )


def is_shared(leaf: Tensor) -> bool:
    """Whether all sequences of a leaf are one and the same storage."""
    return leaf.shape[0] > 1 and leaf.stride(0) == 0


def shared(leaf: Tensor) -> Tensor:
    """The one sequence that all of a shared leaf are: [1, ...]."""
    return leaf[:1]


def _zero_rows(leaf: Tensor, mask: Tensor) -> Tensor:
    if mask.shape != leaf.shape[:1]:
        raise ValueError(f"reset needs a mask of shape [{leaf.shape[0]}], got {list(mask.shape)}")
    keep = ~mask.to(device=leaf.device, dtype=torch.bool)
    return torch.where(keep.view(-1, *[1] * (leaf.dim() - 1)), leaf, torch.zeros_like(leaf))
