"""Update rules: how a memory is written.

A rule is a pure pair `(init, update)` over dictionaries of tensors. It keeps nothing itself, is
differentiable through its update, and treats every leading batch dimension as independent
memories, so the same definition serves as the inner rule of a memory level (one state per
sequence) and, in `optimizer.py`, as an ordinary optimizer.

Letters: o rows (outputs) and d columns (inputs) of a matrix W [..., o, d]; g its gradient;
x [..., n, d] the inputs of the layer it belongs to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol

import torch
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


class Workspace:
    """Memory for what is used up within one write, kept by an optimizer from write to write.

    A pass over fresh memory costs several over old: every page is cleared first.
    """

    def __init__(self) -> None:
        self._rooms: dict[Any, Tensor] = {}

    def room(self, like: Tensor) -> Tensor:
        """An uninitialised tensor like `like`, the same one whenever it is asked for."""
        name = (like.shape, like.dtype, like.device)
        if name not in self._rooms:
            self._rooms[name] = torch.empty_like(like, memory_format=torch.contiguous_format)
        return self._rooms[name]

    @property
    def nbytes(self) -> int:
        """What is held."""
        return sum(room.nbytes for room in self._rooms.values())


@dataclass(frozen=True)
class Rule:
    """What the rules share: a rule of one tensor, mapped over a dictionary of them.

    The state of parameter "w" is held under "w.<leaf>". A subclass writes `init_one` and
    `direction`; the parameter then moves by `-rate * direction` after decoupled decay.

    Args:
        rate: learning rate; a number, or a tensor that broadcasts (learned rates).
        weight_decay: decoupled: `W <- (1 - rate * weight_decay) W` before the step.
        workspace: of an optimizer that owns state and parameter: both are then written over, and
            the direction lives until the next write. The numbers are the same.

    Raises:
        ValueError: a number out of range; or at an update, inputs that the rule needs are missing.
    """

    rate: float | Tensor
    weight_decay: float | Tensor = 0.0
    workspace: Workspace | None = field(default=None, kw_only=True, compare=False, repr=False)

    # Numbers that a memory level may learn, and how: "positive" or "share" (between 0 and 1).
    LEARNED: ClassVar[Mapping[str, str]] = {"rate": "positive"}
    # Only matrices have the geometry that the rule is about.
    MATRICES_ONLY: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.require("rate", self.rate, 0.0)
        self.require("weight_decay", self.weight_decay, 0.0)

    @property
    def needs_inputs(self) -> bool:
        """Whether `update` must be given the inputs of the layers."""
        return False

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """What can be set beside the rate."""
        return tuple(item.name for item in fields(cls) if item.name not in ("rate", "workspace"))

    def require(self, name: str, value: Any, low: float, high: float = math.inf) -> None:
        """Raise ValueError unless `low <= value < high`; learned tensors are bounded as made."""
        if isinstance(value, Tensor):
            return
        if not low <= value < high:
            allowed = f"{low:g} or more" + (f" and below {high:g}" if high < math.inf else "")
            raise ValueError(f"{type(self).__name__}: {name} is {allowed}, got {value}")

    # -- one tensor ----------------------------------------------------------------------------

    def init_one(self, param: Tensor) -> dict[str, Tensor]:
        """Zero state of one tensor."""
        return {}

    def direction(
        self, grad: Tensor, state: Tensors, param: Tensor, inputs: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What the parameter moves against, and the new state."""
        raise NotImplementedError

    def update_one(
        self, grad: Tensor, state: Tensors, param: Tensor, inputs: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One write of one tensor: (new parameter, new state)."""
        direction, state = self.direction(grad, state, param, inputs)
        return scaled_sum(self.decayed(param), direction, -self.rate, self.own(param)), state

    def decayed(self, param: Tensor) -> Tensor:
        if isinstance(self.weight_decay, Tensor) or self.weight_decay:
            return torch.mul(param, 1 - self.rate * self.weight_decay, out=self.own(param))
        return param

    def own(self, tensor: Tensor) -> Tensor | None:
        """`tensor`, if the result of an operation may be written over it."""
        return None if self.workspace is None else tensor

    def room(self, like: Tensor) -> Tensor | None:
        """Memory for a result that is used up within this write, if there is any."""
        return None if self.workspace is None else self.workspace.room(like)

    # -- dictionaries --------------------------------------------------------------------------

    def init(self, params: Tensors) -> dict[str, Tensor]:
        """The state of all `params`, all zeros."""
        return {
            f"{name}.{leaf}": value
            for name, param in params.items()
            for leaf, value in self.init_one(param).items()
        }

    def update(
        self, grads: Tensors, rule_state: Tensors, params: Tensors, inputs: Tensors | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One write of all `params`: (new params, new state), new tensors without a workspace."""
        new: dict[str, Tensor] = {}
        new_state: dict[str, Tensor] = {}
        states: dict[str, dict[str, Tensor]] = {name: {} for name in params}
        for key, value in rule_state.items():
            name, _, leaf = key.rpartition(".")
            if name in states:
                states[name][leaf] = value
        for name, param in params.items():
            rows = None if inputs is None else inputs.get(name)
            if self.needs_inputs and rows is None:
                raise ValueError(
                    f"{type(self).__name__} needs the inputs of the layer of '{name}'; pass "
                    "inputs={name: rows [..., n, d]}, or use LayerInputs with an optimizer"
                )
            new[name], state = self.update_one(grads[name], states[name], param, rows)
            new_state |= {f"{name}.{leaf}": value for leaf, value in state.items()}
        return new, new_state


def step_of(param: Tensor) -> Tensor:
    """A zero count of steps for each memory of the batch: [...] for a parameter [..., o, d]."""
    return torch.zeros(param.shape[:-2], dtype=torch.int64, device=param.device)


def per_matrix(values: Tensor) -> Tensor:
    """Numbers [...] as they broadcast over matrices [..., o, d]."""
    return values[..., None, None] if values.dim() else values


def scaled_sum(x: Tensor, y: Tensor, factor: float | Tensor, out: Tensor | None = None) -> Tensor:
    """x + factor * y; in one pass where the factor is a number and not learned."""
    if isinstance(factor, Tensor):
        return x + factor * y
    return torch.add(x, y, alpha=factor, out=out)


def blend(old: Tensor, new: Tensor, share: float | Tensor, out: Tensor | None = None) -> Tensor:
    """share * old + (1 - share) * new, an exponential average."""
    if isinstance(share, Tensor):
        return share * old + (1 - share) * new
    return torch.lerp(old, new, 1 - share, out=out)


def norm(x: Tensor, dim: int | tuple[int, int]) -> Tensor:
    """Euclidean norm over `dim`, kept as 1, never 0 and with a finite slope there."""
    if x.requires_grad:
        return x.square().sum(dim, keepdim=True).clamp_min(1e-38).sqrt()
    return torch.linalg.vector_norm(x, dim=dim, keepdim=True).clamp_min(1e-19)


def root(square: Tensor, out: Tensor | None = None) -> Tensor:
    """Square root with a finite slope at zero, so that the outer gradient never becomes NaN."""
    if not square.requires_grad:
        return torch.sqrt(square, out=out)
    tiny = square <= 0
    return torch.where(tiny, 0.0, torch.where(tiny, 1.0, square).sqrt())


def rms(x: Tensor, eps: float = 1e-12) -> Tensor:
    """Root mean square of each matrix: [..., o, d] -> [..., 1, 1]."""
    return x.square().mean((-2, -1), keepdim=True).clamp_min(eps * eps).sqrt()
