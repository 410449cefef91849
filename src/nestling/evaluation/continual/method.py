"""How the learner of a method is made, and which of its settings is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

L = TypeVar("L")
Setting = dict[str, Any]


@dataclass(frozen=True)
class Method(Generic[L]):
    """How a learner L is made with each of `settings`, of which the best is taken.

    Args:
        for_classes: the same where classes are asked; none for the same ones.
    """

    make: Callable[..., L]
    settings: tuple[Setting, ...] = ({},)
    levels: int = 0
    sleeps: bool = False
    for_classes: tuple[Setting, ...] = ()

    def best(self, score: Callable[[Setting], float], *, classes: bool = False) -> Setting:
        """The first of the settings with the highest score; one alone is not tried."""
        settings = self.for_classes if classes and self.for_classes else self.settings
        return settings[0] if len(settings) == 1 else max(settings, key=score)
