"""The rules as optimizers by name; what each does, and its options, stands at its rule."""

from nestling.rules.deep_momentum import DeepMomentumRule
from nestling.rules.delta_gradient_descent import DeltaGradientDescentRule
from nestling.rules.delta_momentum import DeltaMomentumRule
from nestling.rules.gradient_descent import GradientDescentRule
from nestling.rules.m3 import M3Rule
from nestling.rules.momentum import (
    AdamWRule,
    HigherOrderMomentumRule,
    MomentumRule,
    PreconditionedMomentumRule,
)
from nestling.rules.muon import MuonRule
from nestling.rules.optimizer import RuleOptimizer


class GradientDescent(RuleOptimizer):
    """`GradientDescent(params, lr)`: see `GradientDescentRule`."""

    RULE = GradientDescentRule


class Momentum(RuleOptimizer):
    """`Momentum(params, lr, alpha=0.9, nesterov=False)`: see `MomentumRule`."""

    RULE = MomentumRule


class HigherOrderMomentum(RuleOptimizer):
    """`HigherOrderMomentum(params, lr, alpha=0.9, order=0.5)`: see `HigherOrderMomentumRule`."""

    RULE = HigherOrderMomentumRule


class PreconditionedMomentum(RuleOptimizer):
    """`PreconditionedMomentum(params, lr, alpha=0.9, beta=0.99)`: see its rule."""

    RULE = PreconditionedMomentumRule


class AdamW(RuleOptimizer):
    """`AdamW(params, lr, beta1=0.9, beta2=0.999)`: the rule of `torch.optim.AdamW`."""

    RULE = AdamWRule


class DeltaMomentum(RuleOptimizer):
    """`DeltaMomentum(params, lr, alpha=0.9, delta_rate=0.2)`: see `DeltaMomentumRule`."""

    RULE = DeltaMomentumRule


class DeepMomentum(RuleOptimizer):
    """`DeepMomentum(params, lr, alpha=0.9, hidden=16)`, DMGD: see `DeepMomentumRule`."""

    RULE = DeepMomentumRule


class DeltaGradientDescent(RuleOptimizer):
    """`DeltaGradientDescent(params, lr, inputs=LayerInputs(model))`, DGD: see its rule."""

    RULE = DeltaGradientDescentRule


class Muon(RuleOptimizer):
    """`Muon(params, lr, alpha=0.95)`: see `MuonRule`."""

    RULE = MuonRule


class M3(RuleOptimizer):
    """`M3(params, lr, slow=0.2, period=32)`: see `M3Rule`."""

    RULE = M3Rule
