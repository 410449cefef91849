"""Update rules: one definition for every speed at which something is written.

A rule (`MomentumRule`, ...) is a pure pair `(init, update)`: the inner rule of a memory level. The
same rule as a `torch.optim.Optimizer` has the plain name (`Momentum`, ...).
"""

from nestling.rules.base import Rule, UpdateRule
from nestling.rules.deep_momentum import DeepMomentumRule
from nestling.rules.delta_gradient_descent import DeltaGradientDescentRule
from nestling.rules.delta_momentum import DeltaMomentumRule
from nestling.rules.gradient_descent import GradientDescentRule
from nestling.rules.inputs import LayerInputs
from nestling.rules.m3 import M3Rule
from nestling.rules.momentum import (
    AdamWRule,
    HigherOrderMomentumRule,
    MomentumRule,
    PreconditionedMomentumRule,
)
from nestling.rules.muon import MuonRule
from nestling.rules.newton_schulz import newton_schulz
from nestling.rules.optimizer import RuleOptimizer, as_optimizer, parameter_groups
from nestling.rules.optimizers import (
    M3,
    AdamW,
    DeepMomentum,
    DeltaGradientDescent,
    DeltaMomentum,
    GradientDescent,
    HigherOrderMomentum,
    Momentum,
    Muon,
    PreconditionedMomentum,
)

RULES: dict[str, type[Rule]] = {
    "gradient_descent": GradientDescentRule,
    "momentum": MomentumRule,
    "higher_order_momentum": HigherOrderMomentumRule,
    "preconditioned_momentum": PreconditionedMomentumRule,
    "adamw": AdamWRule,
    "delta_momentum": DeltaMomentumRule,
    "deep_momentum": DeepMomentumRule,
    "delta_gradient_descent": DeltaGradientDescentRule,
    "muon": MuonRule,
    "m3": M3Rule,
}

__all__ = [
    "M3",
    "RULES",
    "AdamW",
    "AdamWRule",
    "DeepMomentum",
    "DeepMomentumRule",
    "DeltaGradientDescent",
    "DeltaGradientDescentRule",
    "DeltaMomentum",
    "DeltaMomentumRule",
    "GradientDescent",
    "GradientDescentRule",
    "HigherOrderMomentum",
    "HigherOrderMomentumRule",
    "LayerInputs",
    "M3Rule",
    "Momentum",
    "MomentumRule",
    "Muon",
    "MuonRule",
    "PreconditionedMomentum",
    "PreconditionedMomentumRule",
    "Rule",
    "RuleOptimizer",
    "UpdateRule",
    "as_optimizer",
    "newton_schulz",
    "parameter_groups",
]
