"""How the learner of a method is made, and which of its settings is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

L = TypeVar("L")
Setting = dict[str, Any]


@dataclass(frozen=True)
class Method(Generic[L]):
    """How a learner L is made with each of `settings`, of which the best is taken."""

    make: Callable[..., L]
    settings: tuple[Setting, ...] = ({},)
    levels: int = 0
    sleeps: bool = False

    def best(self, score: Callable[[Setting], float]) -> Setting:
        """The first of the settings with the highest score; one alone is not tried."""
        return self.settings[0] if len(self.settings) == 1 else max(self.settings, key=score)
