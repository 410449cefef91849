"""Settings of a Hope model: the fields, their defaults and what is allowed, checked once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from nestling.memory.continuum import Variant, check_variant
from nestling.memory.level import Level, is_whole
from nestling.mixers.fla_layer import PREFIX
from nestling.mixers.self_modifying import SelfModifyingOptions

MIXERS = (
    "self_modifying",
    "attention",
    "retention",
    "delta_net",
    "gated_delta_net",
    "ttt_linear",
    "ttt_mlp",
    "titans",
    "titans_mac",
    "titans_mag",
    "titans_mal",
)


@dataclass(frozen=True)
class HopeSettings:
    """What a Hope model is made of; `HopeConfig` carries the same fields for Hugging Face.

    Args:
        vocab_size: number of token ids.
        hidden_size: width d of the residual stream.
        intermediate_size: width of a block's MLP chain, shared evenly among its levels.
        memory_intermediate_size: the same for the last block, whose levels are written; None for
            `intermediate_size`.
        num_hidden_layers: number of blocks.
        num_attention_heads: heads of every mixer.
        mixer: "self_modifying" (Hope), "attention" (Hope-Attention), or a peer, "retention"
            (RetNet), "delta_net", "gated_delta_net", "ttt_linear", "ttt_mlp", "titans" (LMM),
            "titans_mac", "titans_mag", "titans_mal", or "fla:" and a layer of
            flash-linear-attention, for every block; or one name per block.
        levels: the continuum memory, fast first. Levels with a delta are written in the last
            block; in the blocks below the same levels are static.
        continuum: how the levels are put together, "sequential", "nested" or "independent".
        sliding_window: tokens that attention sees.
        chunk_size: tokens of a chunk of a memory mixer; the same in training and use.
        conv_width: taps of the local convolution of a memory mixer.
        self_modifying: what the memories of "self_modifying" are and how they are written; the
            fields of `SelfModifyingOptions`.
        rope_theta, rms_norm_eps, initializer_range: as usual in the field.
        tie_word_embeddings: the output layer is the embedding.
        pad_token_id, bos_token_id, eos_token_id: ids of special tokens, or None.

    Raises:
        ValueError: a field out of range.
    """

    vocab_size: int = 2048
    hidden_size: int = 256
    intermediate_size: int = 768
    memory_intermediate_size: int | None = None
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    mixer: str | tuple[str, ...] = "self_modifying"
    levels: tuple[Level, ...] = field(default_factory=lambda: (Level(),))
    continuum: Variant = "sequential"
    sliding_window: int = 128
    chunk_size: int = 64
    conv_width: int = 4
    self_modifying: SelfModifyingOptions = field(default_factory=SelfModifyingOptions)
    rope_theta: float = 10_000.0
    rms_norm_eps: float = 1e-6
    initializer_range: float = 0.02
    tie_word_embeddings: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None

    def __post_init__(self) -> None:
        levels = tuple(
            level if isinstance(level, Level) else Level.from_dict(dict(level))
            for level in self.levels
        )
        object.__setattr__(self, "levels", levels)
        if not isinstance(self.mixer, str):
            object.__setattr__(self, "mixer", tuple(self.mixer))
        if isinstance(self.self_modifying, Mapping):
            options = SelfModifyingOptions.from_dict(self.self_modifying)
            object.__setattr__(self, "self_modifying", options)
        self._check()

    def _check(self) -> None:
        for name in (
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "sliding_window",
            "chunk_size",
            "conv_width",
        ):
            if not is_whole(getattr(self, name), 1):
                raise ValueError(
                    f"{name} is a whole number, 1 or more, got {getattr(self, name)!r}"
                )
        width = self.memory_intermediate_size
        if width is not None and not is_whole(width, 1):
            raise ValueError(f"memory_intermediate_size is 1 or more, or None, got {width!r}")
        for name in ("rope_theta", "rms_norm_eps"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is positive and finite, got {getattr(self, name)}")
        if not 0 <= self.initializer_range < math.inf:
            raise ValueError(f"initializer_range is 0 or more, got {self.initializer_range}")
        for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
            token = getattr(self, name)
            if token is not None and not (is_whole(token, 0) and token < self.vocab_size):
                raise ValueError(
                    f"{name} is None or a token, 0 to {self.vocab_size - 1}, got {token!r}"
                )
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} does not divide into {self.num_attention_heads} "
                "heads of even width; choose a multiple of twice the number of heads"
            )
        self.self_modifying.scheme(self.chunk_size)
        mixers = self.mixers
        unknown = {name for name in mixers if name not in MIXERS and not name.startswith(PREFIX)}
        if len(mixers) != self.num_hidden_layers or unknown:
            raise ValueError(
                f"mixer is one of {MIXERS} or '{PREFIX}' and a layer of flash-linear-attention, or "
                f"one of them for each of the {self.num_hidden_layers} blocks, got {self.mixer!r}"
            )
        if not self.levels:
            raise ValueError("levels needs at least one level; Level(period=0) is a static MLP")
        names = [level.name for level in self.levels]
        if len(set(names)) != len(names):
            raise ValueError(f"levels need different names, got {names}")
        check_variant(self.continuum, self.levels)
        periods = [level.period for level in self.levels if level.is_written]
        if any(period % min(periods) for period in periods):
            raise ValueError(f"every period is a multiple of the fastest one, got {periods}")
        for level in (level for level in self.levels if level.is_written):
            if level.period > min(periods) and level.make_rule(1.0).needs_inputs:
                raise ValueError(
                    f"level '{level.name}': the rule '{level.rule}' needs the layer's inputs, "
                    f"which are gone when a slower level is written; give it the fastest period, "
                    f"{min(periods)}, or another rule"
                )

    @property
    def mixers(self) -> tuple[str, ...]:
        """The mixer of every block."""
        if isinstance(self.mixer, str):
            return (self.mixer,) * self.num_hidden_layers
        return self.mixer

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values = asdict(self)
        values["levels"] = [level.to_dict() for level in self.levels]
        values["self_modifying"] = self.self_modifying.to_dict()
        values["mixer"] = self.mixer if isinstance(self.mixer, str) else list(self.mixer)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> HopeSettings:
        """Settings from the fields it knows; others (as Hugging Face adds) are left alone."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})
