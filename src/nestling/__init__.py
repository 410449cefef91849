"""nestling: language models that keep learning after training.

The names below are imported when first used, so that `import nestling` costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Answer": "nestling.resident",
    "HopeConfig": "nestling.models.configuration",
    "HopeForCausalLM": "nestling.models.causal_lm",
    "HopeSettings": "nestling.models.settings",
    "Level": "nestling.memory.level",
    "MemoryState": "nestling.memory.state",
    "Resident": "nestling.resident",
}

__all__ = ["__version__", *sorted(_HOME)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'nestling' has no attribute {name!r}; it has {sorted(_HOME)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
