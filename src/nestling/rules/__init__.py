"""Update rules: one definition for every speed at which something is written."""

from collections.abc import Callable
from typing import Any

from nestling.rules.base import UpdateRule
from nestling.rules.gradient_descent import GradientDescent

RULES: dict[str, Callable[[Any], UpdateRule]] = {"gradient_descent": GradientDescent}

__all__ = ["RULES", "GradientDescent", "UpdateRule"]
