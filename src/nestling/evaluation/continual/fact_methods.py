"""The methods that are told a stream of facts, and the settings of which the best is taken."""

from __future__ import annotations

from typing import Any

from nestling.evaluation.continual.fact_baselines import (
    FineTuning,
    FineTuningAll,
    InContext,
    LoRAPerSession,
    Retrieval,
)
from nestling.evaluation.continual.fact_learners import Frozen, HopeLearner, Learner
from nestling.evaluation.continual.method import Method
from nestling.models.bundle import ModelBundle

REPLAYED = 8


def _hope(levels: int, sleeps: bool) -> Method[Learner]:
    def make(bundle: ModelBundle, **_: Any) -> Learner:
        return HopeLearner(bundle, levels, sleeps=sleeps)

    return Method(make, levels=levels, sleeps=sleeps)


RATES = tuple({"rate": rate} for rate in (3e-4, 1e-3, 3e-3))
METHODS: dict[str, Method[Learner]] = {
    **{f"hope, levels {n}": _hope(n, False) for n in (1, 2, 3, 4)},
    **{f"hope, levels {n}, sleep": _hope(n, True) for n in (2, 3, 4)},
    "fine-tuning, all weights": Method(
        FineTuningAll, tuple({"rate": rate} for rate in (1e-5, 1e-4, 1e-3))
    ),
    "fine-tuning": Method(FineTuning, RATES),
    "fine-tuning, replay": Method(FineTuning, tuple({**r, "replayed": REPLAYED} for r in RATES)),
    "fine-tuning, ewc": Method(
        FineTuning,
        tuple({**rate, "anchor": anchor} for rate in RATES[:2] for anchor in (1.0, 100.0)),
    ),
    "lora per session": Method(
        LoRAPerSession, tuple({"rate": rate} for rate in (3e-3, 1e-2, 3e-2))
    ),
    "in context": Method(InContext),
    "retrieval (bm25)": Method(Retrieval),
    "frozen": Method(Frozen),
}
