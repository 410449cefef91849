"""Update rules: how a memory is written.

A rule is a pure pair over dictionaries of tensors. It keeps no state of its own, is differentiable
through its update, and treats every leading batch dimension as independent memories.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

Tensors = Mapping[str, Tensor]


class UpdateRule(Protocol):
    """What every rule offers (NL §2)."""

    def init(self, params: Tensors) -> dict[str, Tensor]:
        """The rule's state for fresh `params`; zeros, so that a zero state is a fresh one."""
        ...

    def update(
        self, grads: Tensors, rule_state: Tensors, params: Tensors, inputs: Tensors | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One write: `(new_params, new_rule_state)`; `inputs` are layer inputs, if a rule asks."""
        ...
