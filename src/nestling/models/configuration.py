"""`HopeConfig`: the settings of a Hope model as Hugging Face expects them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from transformers import PreTrainedConfig

from nestling.memory.level import Level
from nestling.mixers.self_modifying import SelfModifyingOptions
from nestling.models.settings import HopeSettings

FIELDS = tuple(item.name for item in fields(HopeSettings))


class HopeConfig(PreTrainedConfig):
    """Configuration of `HopeForCausalLM`; its fields and checks are those of `HopeSettings`.

    Levels may be given as `Level` objects or as dictionaries.

    Raises:
        ValueError: a field out of range.
    """

    model_type = "hope"

    def __init__(self, **values: Any) -> None:
        settings = HopeSettings.from_dict(values)
        others = {name: value for name, value in values.items() if name not in FIELDS}
        super().__init__(**others)
        for name, value in settings.to_dict().items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        # A configuration is plain values, whenever they are set.
        if name == "levels":
            value = [level.to_dict() if isinstance(level, Level) else level for level in value]
        if isinstance(value, SelfModifyingOptions):
            value = value.to_dict()
        super().__setattr__(name, value)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> HopeConfig:
        """A named configuration, `HopeConfig.preset("hope-340m")`; see `nestling.models.presets`.

        Raises:
            ValueError: an unknown name, or a field out of range.
        """
        from nestling.models.presets import build_settings

        return cls(**build_settings({**changes, "preset": name}).to_dict())

    @property
    def settings(self) -> HopeSettings:
        """The fields, checked, as the plain model takes them."""
        return HopeSettings.from_dict({name: getattr(self, name) for name in FIELDS})
