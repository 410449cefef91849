"""The models that every contract is tested with: each kind of mixer, each kind of level."""

from collections.abc import Callable

import pytest
import torch

from nestling.memory.level import Level
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings

torch.set_num_threads(1)

MIXERS = {
    "attention": "attention",
    "self_modifying": "self_modifying",
    "self_modifying_mlp": "self_modifying",
    "self_modifying_momentum": "self_modifying",
    "both": ("self_modifying", "attention"),
    "retention": "retention",
    "delta_net": "delta_net",
    "gated_delta_net": "gated_delta_net",
    "ttt_linear": "ttt_linear",
    "ttt_mlp": "ttt_mlp",
    "titans": "titans",
    "titans_mac": "titans_mac",
    "titans_mag": "titans_mag",
    "titans_mal": "titans_mal",
}
SELF_MODIFYING = {
    "self_modifying_mlp": {
        "memory": "mlp",
        "adaptive": ("k", "v", "eta", "alpha", "q"),
        "projection_chunk_size": 6,
    },
    "self_modifying_momentum": {
        "momentum": True,
        "retention": False,
        "delta": False,
        "adaptive": ("v", "eta"),
        "objective": "dot_product",
        "read": "chunk",
        "projection_chunk_size": 1,
    },
}
LEVELS = {
    "fast": (Level("fast", period=4, rate=4.0),),
    "fast_slow": (Level("fast", period=4, rate=4.0), Level("slow", period=8, rate=2.0)),
    "context": (
        Level("moment", period=4, rate=4.0, reset="context"),
        Level("scene", period=8, rate=2.0, reset="context"),
        Level("fast", period=4, rate=4.0),
    ),
    "rules_with_inputs": (
        Level(
            "fast", period=4, rule="delta_gradient_descent", rate=2.0, rule_options={"scale": 3.0}
        ),
        Level("other", period=4, rule="delta_momentum", rate=2.0, rule_options={"key": "input"}),
        Level("slow", period=8, rule="momentum", rate=1.0),
    ),
    "rules_orthogonal": (
        Level("fast", period=4, rule="muon", rate=0.3),
        Level("other", period=4, rule="m3", rate=0.3, rule_options={"period": 2}),
        Level("slow", period=8, rule="adamw", rate=0.3),
    ),
    "rules_deep": (
        Level("fast", period=4, rule="deep_momentum", rate=2.0, rule_options={"hidden": 3}),
        Level("other", period=4, rule="delta_momentum", rate=2.0),
        Level("slow", period=8, rule="preconditioned_momentum", rate=0.1),
        Level("slower", period=8, rule="higher_order_momentum", rate=1.0),
    ),
    "all_parts": (Level("fast", period=4, rate=2.0, written=("gate", "up", "down")),),
    "low_rank": (
        Level("fast", period=4, rate=2.0, rank=2, written=("up", "down")),
        Level("slow", period=8, rule="momentum", rate=1.0, rank=3),
    ),
    "local": (
        Level("fast", period=4, rate=0.5, source="next_token"),
        Level("other", period=4, rate=0.5, source="associative"),
        Level("thin", period=8, rate=0.2, source="associative", rank=2),
        Level("slow", period=8, rate=2.0),
    ),
    "independent": (Level("fast", period=4, rate=4.0), Level("slow", period=8, rate=2.0)),
    "nested": (
        Level("fast", period=4, rate=4.0),
        Level("slow", period=8, rule="momentum", rate=0.8),
        Level("slower", period=16, rate=0.9),
    ),
}
# How levels of these names are put together; the others follow one another.
CONTINUA = {"independent": "independent", "nested": "nested"}

ModelMaker = Callable[..., Hope]


def build(mixer: str = "attention", levels: str | tuple[Level, ...] = "fast", **options) -> Hope:
    """A double precision model in which nothing stands at a neutral initial value.

    Window, chunk and period are pairwise different, so that no phase agrees by accident.
    """
    torch.manual_seed(0)
    settings = HopeSettings(
        **{
            "vocab_size": 20,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "mixer": MIXERS[mixer],
            "self_modifying": SELF_MODIFYING.get(mixer, {}),
            "levels": LEVELS[levels] if isinstance(levels, str) else levels,
            "continuum": CONTINUA.get(str(levels), "sequential"),
            "sliding_window": 5,
            "chunk_size": 3,
            "conv_width": 3,
            "initializer_range": 0.3,
            **options,
        }
    )
    model = Hope(settings).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        model.writer.strength.weight += 0.3 * torch.randn_like(model.writer.strength.weight)
    return model


@pytest.fixture(scope="session")
def make_model() -> ModelMaker:
    """`make_model(mixer, levels, **settings)`: a new model of the named kinds."""
    return build


CASES = [f"attention-{levels}" for levels in LEVELS] + [
    "self_modifying-all_parts",
    "self_modifying-fast_slow",
    "self_modifying_mlp-fast",
    "self_modifying_momentum-fast",
    "both-context",
    "retention-fast",
    "delta_net-fast",
    "gated_delta_net-fast_slow",
    "ttt_linear-fast",
    "ttt_mlp-fast",
    "titans-fast",
    "titans_mac-fast",
    "titans_mag-fast",
    "titans_mal-fast",
]


@pytest.fixture(scope="session", params=CASES)
def model(request: pytest.FixtureRequest) -> Hope:
    """A model of every mixer and every kind of level; tests leave it as it is."""
    return build(*request.param.split("-"))


@pytest.fixture(scope="session", params=list(LEVELS))
def attention_model(request: pytest.FixtureRequest) -> Hope:
    """Every kind of level above attention, for what does not depend on the mixer."""
    return build("attention", request.param)
