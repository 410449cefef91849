"""Hope without one of its parts at a time, as in the paper's ablation (NL §6.7, [L] Table 6).

Every variant has as many parameters as the Transformer of `language_modeling`, the same data,
batch order, optimizer and schedule. "hope" has all that the paper names: delta gradient descent,
momentum, weight decay (retention), the continuum memory written while reading, and memories that
make the key, the value and the query.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nestling.evaluation.language_modeling import MODELS, measure_language_modeling
from nestling.evaluation.rows import Row
from nestling.memory.level import Level

TOKENS = 200_000
_WHOLE = {"momentum": True, "adaptive": ("k", "v", "eta", "alpha", "q")}
_WITHOUT: dict[str, dict[str, Any]] = {
    "hope": {},
    "without DGD": {"delta": False},
    "without momentum": {"momentum": False},
    "without weight decay": {"retention": False},
    "static k": {"adaptive": ("v", "eta", "alpha", "q")},
    "static v": {"adaptive": ("k", "eta", "alpha", "q")},
    "static q": {"adaptive": ("k", "v", "eta", "alpha")},
}
VARIANTS: dict[str, dict[str, Any]] = {
    name: {**MODELS["hope"], "self_modifying": {**_WHOLE, **options}}
    for name, options in _WITHOUT.items()
} | {
    "without CMS": {**MODELS["hope"], "self_modifying": _WHOLE, "levels": (Level(period=0),)},
}


def measure_ablation(data: Path, **options: Any) -> Iterator[Row]:
    """Rows for `results/ablation.json`: those of `measure_language_modeling` for every variant."""
    return measure_language_modeling(data, variants=VARIANTS, tokens=TOKENS, **options)
