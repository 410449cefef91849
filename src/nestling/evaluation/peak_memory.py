"""How many bytes of tensors lived at a time."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Looking for what is gone takes as long as there are tensors; a peak this little higher is let go.
SLACK = 1.005


class PeakMemory(TorchDispatchMode):
    """The most bytes that tensors made inside held at a time; the backward pass counts as well.

    To within half a percent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}
        # Bytes that live at most: what is gone and not yet missed counts, too.
        self._most = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        known = {
            leaf.untyped_storage()._cdata
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, Tensor)
        }
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if storage._cdata not in known:
                    self._live[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
                    self._most += storage.nbytes()
        if self._most > SLACK * self.peak:
            self._live = {k: (ref, n) for k, (ref, n) in self._live.items() if not ref.expired()}
            self._most = sum(size for _, size in self._live.values())
            self.peak = max(self.peak, self._most)
        return result
