"""Settings by name: Hope and its peers in the sizes of the papers, equal in parameters.

    hope-340m, transformer-760m, titans-1.3b, delta_net-small, ...

The large sizes are those that the sibling papers agree on (NL §5.2); `tiny` and `small` are for two
cores. The width of the MLPs is chosen so that every model of a size has as many parameters as its
Transformer++, to within 2 %.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from nestling.memory.level import Level
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings


@dataclass(frozen=True)
class Size:
    """The shape that all models of a size share."""

    layers: int
    width: int
    heads: int
    vocabulary: int = 32_000
    window: int = 4096
    periods: tuple[int, int] = (512, 2048)
    # Width of a SwiGLU in units of the width: 8/3 has as many parameters as a plain MLP of 4.
    expansion: float = 8 / 3


SIZES = {
    "tiny": Size(2, 64, 2, vocabulary=4096, window=256, periods=(64, 256)),
    "small": Size(4, 256, 4, vocabulary=4096, window=512, periods=(64, 256)),
    "340m": Size(24, 1024, 16),
    "760m": Size(24, 1536, 16),
    "1.3b": Size(18, 2048, 8, expansion=4.0),
}
# Which mixer a model has, and whether its MLPs are a continuum memory.
MODELS: dict[str, tuple[str, bool]] = {
    "hope": ("self_modifying", True),
    "hope_attention": ("attention", True),
    "transformer": ("attention", False),
    "retnet": ("retention", False),
    "delta_net": ("delta_net", False),
    "gated_delta_net": ("gated_delta_net", False),
    "ttt_linear": ("ttt_linear", False),
    "ttt_mlp": ("ttt_mlp", False),
    "titans": ("titans", False),
    "titans_mac": ("titans_mac", False),
    "titans_mag": ("titans_mag", False),
    "titans_mal": ("titans_mal", False),
}
PRESETS = tuple(f"{model}-{size}" for size in SIZES for model in MODELS)


@lru_cache(maxsize=64)
def preset(name: str) -> HopeSettings:
    """The settings called `<model>-<size>`.

    Raises:
        ValueError: an unknown name; the message lists models and sizes.
    """
    model, _, size = name.rpartition("-")
    if model not in MODELS or size not in SIZES:
        raise ValueError(
            f"there is no preset {name!r}; a preset is <model>-<size> with a model of "
            f"{', '.join(MODELS)} and a size of {', '.join(SIZES)}"
        )
    base = _settings("transformer", SIZES[size])
    return matched(_settings(model, SIZES[size]), parameter_count(base))


def _settings(model: str, size: Size) -> HopeSettings:
    mixer, written = MODELS[model]
    fast, slow = size.periods
    levels: tuple[Level, ...] = (Level("mlp", period=0),)
    if written:
        levels = (Level("fast", fast), Level("slow", slow), Level("still", period=0))
    inner = 64 * round(size.expansion * size.width / 64)
    return HopeSettings(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        intermediate_size=inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        mixer=mixer,
        levels=levels,
        sliding_window=size.window,
    )


def matched(settings: HopeSettings, wanted: int) -> HopeSettings:
    """The same settings with the MLP width that brings the parameters closest to `wanted`.

    Raises:
        ValueError: the mixers alone have more.
    """
    levels = len(settings.levels)
    step = replace(settings, intermediate_size=settings.intermediate_size + levels)
    have = parameter_count(settings)
    units = round((wanted - have) / (parameter_count(step) - have))
    width = settings.intermediate_size + levels * units
    if width < levels:
        raise ValueError(
            f"{have:,} parameters cannot become {wanted:,} by narrowing the MLPs; "
            "take fewer layers or a narrower model"
        )
    return replace(settings, intermediate_size=width)


def parameter_count(settings: HopeSettings) -> int:
    """Parameters, tied ones once; nothing is allocated."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Hope(settings).parameters())


def build_settings(values: dict[str, Any]) -> HopeSettings:
    """Settings from plain fields; `preset` names those that the other fields change.

    Raises:
        ValueError: an unknown preset, or a field out of range.
    """
    values = dict(values)
    if (name := values.pop("preset", None)) is None:
        return HopeSettings(**values)
    return replace(preset(name), **values)
