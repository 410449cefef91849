"""One block of Hope: a mixer, then the continuum memory; pre-norm residuals around both."""

from __future__ import annotations

from torch import Tensor, nn

from nestling.memory.continuum import ContinuumMemory
from nestling.memory.level import Level
from nestling.mixers.attention import Attention
from nestling.mixers.fla_layer import PREFIX, FlaLayer
from nestling.mixers.gradient_memory import TTTMLP, GradientMemory, Titans, TTTLinear
from nestling.mixers.linear_memory import DeltaNet, GatedDeltaNet, LinearMemory, Retention
from nestling.mixers.self_modifying import SelfModifyingTitans
from nestling.mixers.titans import TitansMAC, TitansMAG, TitansMAL
from nestling.models.settings import HopeSettings

Mixer = (
    Attention
    | SelfModifyingTitans
    | LinearMemory
    | GradientMemory
    | TitansMAC
    | TitansMAG
    | TitansMAL
    | FlaLayer
)
LINEAR: dict[str, type[LinearMemory]] = {
    "retention": Retention,
    "delta_net": DeltaNet,
    "gated_delta_net": GatedDeltaNet,
}
GRADIENT: dict[str, type[GradientMemory]] = {
    "ttt_linear": TTTLinear,
    "ttt_mlp": TTTMLP,
    "titans": Titans,
}
BESIDE: dict[str, type[TitansMAG] | type[TitansMAL]] = {
    "titans_mag": TitansMAG,
    "titans_mal": TitansMAL,
}


def make_mixer(settings: HopeSettings, layer: int) -> Mixer:
    """The mixer of block `layer`; every mixer has the signature described in `nestling.mixers`."""
    name, d, heads = settings.mixers[layer], settings.hidden_size, settings.num_attention_heads
    chunk, width, theta = settings.chunk_size, settings.conv_width, settings.rope_theta
    if name == "attention":
        return Attention(d, heads, window=settings.sliding_window, theta=theta)
    if name == "self_modifying":
        options = settings.self_modifying
        return SelfModifyingTitans(d, heads, chunk_size=chunk, conv_width=width, options=options)
    if name.startswith(PREFIX):
        return FlaLayer(name.removeprefix(PREFIX), d, heads)
    if name in BESIDE:
        return BESIDE[name](
            d,
            heads,
            window=settings.sliding_window,
            theta=theta,
            chunk_size=chunk,
            conv_width=width,
        )
    if name == "titans_mac":
        return TitansMAC(d, heads, theta=theta, chunk_size=chunk, conv_width=width)
    if name in GRADIENT:
        return GRADIENT[name](d, heads, chunk_size=chunk, conv_width=width)
    return LINEAR[name](d, heads, chunk_size=chunk, conv_width=width, theta=theta)


class Block(nn.Module):
    """`h = x + mixer(norm(x))`, then the chain of levels (NL eq. 94-97)."""

    def __init__(self, settings: HopeSettings, layer: int) -> None:
        super().__init__()
        last = layer == settings.num_hidden_layers - 1
        width = settings.intermediate_size
        if last and settings.memory_intermediate_size is not None:
            width = settings.memory_intermediate_size
        self.norm = nn.RMSNorm(settings.hidden_size, eps=settings.rms_norm_eps)
        self.mixer = make_mixer(settings, layer)
        levels, variant = settings.levels, settings.continuum
        if not last:
            # The same MLPs, none of them written: nested levels are one MLP to begin with.
            levels = tuple(Level(level.name, period=0) for level in levels)
            if variant == "nested":
                levels, variant = levels[:1], "sequential"
        self.memory = ContinuumMemory(
            levels, settings.hidden_size, width, settings.rms_norm_eps, variant
        )

    def mix(
        self, x: Tensor, state: dict[str, Tensor] | None, lengths: Tensor
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        """x [B, T, d] -> (x + what the mixer says, the mixer's new state)."""
        y, new = self.mixer(self.norm(x), state, lengths)
        return x + y, new
