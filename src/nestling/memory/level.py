"""A level of the continuum memory: when it is written, by which rule, and when emptied."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from torch import nn

WRITABLE = ("gate", "up", "down")


@dataclass(frozen=True)
class Level:
    """One MLP of the chain and its speed (NL §3.1).

    Args:
        name: unique, used in the names of parameters and of the state.
        period: learned tokens between two writes; 0 means never written while reading (static).
        rule: update rule by name (`nestling.rules.RULES`).
        rate: inner learning rate at the start of training; it is learned from there.
        reset: `"never"` keeps the delta when the context is emptied, `"context"` empties it too.
        written: which projections of the MLP carry a delta, of "gate", "up", "down".

    Raises:
        ValueError: a value out of range; the message says what is allowed.
    """

    name: str = "fast"
    period: int = 64
    rule: str = "gradient_descent"
    rate: float = 1.0
    reset: Literal["never", "context"] = "never"
    written: tuple[str, ...] = ("down",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "written", tuple(self.written))
        if not self.name.isidentifier():
            raise ValueError(f"a level's name is a plain word such as 'fast', got {self.name!r}")
        if hasattr(nn.ModuleDict(), self.name):
            raise ValueError(f"a level cannot be called {self.name!r}; torch uses that name itself")
        if self.period < 0:
            raise ValueError(
                f"level '{self.name}': period is 0 (static) or more, got {self.period}"
            )
        if not 0 <= self.rate < math.inf:
            raise ValueError(f"level '{self.name}': rate is 0 or more and finite, got {self.rate}")
        if self.reset not in ("never", "context"):
            raise ValueError(
                f"level '{self.name}': reset is 'never' or 'context', got {self.reset!r}"
            )
        if self.period and (not self.written or set(self.written) - set(WRITABLE)):
            raise ValueError(
                f"level '{self.name}': written names some of {WRITABLE}, got {self.written}"
            )

    @property
    def is_written(self) -> bool:
        return self.period > 0

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "written": list(self.written)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Level:
        known = {field.name for field in fields(cls)}
        unknown = set(values) - known
        if unknown:
            raise ValueError(f"a level has no {sorted(unknown)}; it has {sorted(known)}")
        return cls(**values)
