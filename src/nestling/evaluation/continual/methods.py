"""The methods that live through streams, and the settings of which the best is taken."""

from __future__ import annotations

from typing import Any

from nestling.evaluation.continual.baselines import (
    ElasticWeights,
    InContext,
    LoRAPerTask,
    Replay,
    Retrieval,
)
from nestling.evaluation.continual.learners import FineTuning, Fixed, HopeLearner, Learner
from nestling.evaluation.continual.method import Method
from nestling.training.night import NightOptions

RATE = 1e-3


# Who sleeps takes smaller steps by day, and learns at night what is left, from the weights of the
# evening on. Dreams hold the base; of before as many passages are recalled in a step as of the day.
_NIGHT = {
    "rate": RATE / 3,
    "awake": 8,
    "share": 1.0,
    "steps": 45,
    "batch": 24,
    "dreamed": 8,
    "dream_weight": 4.0,
    "recalled": 24,
}


def _hope(levels: int, *, sleeps: bool) -> Method[Learner]:
    def make(
        *args: Any, seed: int = 0, rate: float = RATE, awake: int = 0, **night: Any
    ) -> Learner:
        options = NightOptions(**night) if sleeps else None
        return HopeLearner(*args, rate=rate, levels=levels, seed=seed, night=options, awake=awake)

    return Method(make, (_NIGHT,) if sleeps else ({},), levels=levels, sleeps=sleeps)


# Slower levels are slower learners: the same is open to fine-tuning and replay.
_RATES = ({"rate": RATE / 3}, {"rate": RATE})
# Learners are made of (model, stream, seed=) and a setting.
METHODS: dict[str, Method[Learner]] = {
    # One level is fine-tuning.
    "fine-tuning": Method(FineTuning, _RATES, levels=1),
    **{f"hope, levels {n}": _hope(n, sleeps=False) for n in (2, 3, 4)},
    **{f"hope, levels {n}, sleep": _hope(n, sleeps=True) for n in (2, 3, 4)},
    "replay": Method(Replay, _RATES),
    "replay, half its room for the base": Method(Replay, ({"rate": RATE, "base_room": 0.5},)),
    # Day and night of who sleeps read five times as many passages as replay does.
    "replay, five steps a lot": Method(Replay, ({"rate": RATE / 3, "steps": 5},)),
    "ewc": Method(
        ElasticWeights,
        tuple({**rate, "anchor": anchor} for rate in _RATES for anchor in (1e2, 1e4)),
    ),
    "lora per task": Method(LoRAPerTask, tuple({"rate": rate} for rate in (1e-3, 5e-3))),
    "in context": Method(InContext),
    "retrieval (bm25)": Method(Retrieval),
    "frozen": Method(Fixed),
}
