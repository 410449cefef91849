"""A picture of the rules: their paths over curved valleys of two dimensions (NL §2.5, Fig. 4).

    psi(r, t) = r^2 + k (r - t + a sin(w r))^2,   from (-3.5, 2) to the minimum at (0, 0)

The paper prints neither k nor a nor w. Two valleys are walked, since the order of the rules depends
on them: a gentle one and a steep, winding one. Every rule has the rate, out of one grid, with which
it comes below TARGET for good in the fewest steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nestling.evaluation.rows import Row
from nestling.rules import AdamWRule, DeepMomentumRule, DeltaMomentumRule, MomentumRule, Rule

START = (-3.5, 2.0)
STEPS = 250
TARGET = 1e-2
RULES: dict[str, type[Rule]] = {
    "momentum": MomentumRule,
    "delta momentum": DeltaMomentumRule,
    "deep momentum": DeepMomentumRule,
    "Adam": AdamWRule,
}
RATES = tuple(10 ** (-3 + i / 4) for i in range(15))


@dataclass(frozen=True)
class Valley:
    """The constants of psi."""

    k: float
    a: float
    w: float

    def height(self, point: Tensor) -> Tensor:
        """psi of points [..., 2]."""
        r, t = point.unbind(-1)
        return r.square() + self.k * (r - t + self.a * torch.sin(self.w * r)).square()

    def walk(self, rule: Rule, steps: int = STEPS) -> Tensor:
        """The points of a path, the start included: [steps + 1, 2]."""
        point = torch.tensor([START], dtype=torch.float64)
        state, path = rule.init_one(point), [point]
        for _ in range(steps):
            point = point.detach().requires_grad_()
            grad = torch.autograd.grad(self.height(point).sum(), point)[0]
            with torch.no_grad():
                point, state = rule.update_one(grad, state, point)
            path.append(point)
        return torch.cat(path).detach()

    def steps_to_target(self, path: Tensor) -> int:
        """The step from which on a path stays below TARGET; its length if it never does."""
        above = (~(self.height(path) < TARGET)).nonzero()
        return int(above[-1]) + 1 if len(above) else 0


VALLEYS = {"gentle": Valley(k=2.0, a=1.0, w=1.0), "steep": Valley(k=5.0, a=1.0, w=2.0)}


def measure_landscape() -> Iterator[Row]:
    """Rows for `results/rule_landscape.json`: one for each point of a path up to the target."""
    for place, valley in VALLEYS.items():
        for name, kind in RULES.items():
            paths = {rate: valley.walk(kind(rate=rate)) for rate in RATES}
            best = min(paths, key=lambda rate: (valley.steps_to_target(paths[rate]), rate))
            path = paths[best]
            needed = valley.steps_to_target(path)
            path = path[: needed + 1]
            heights = valley.height(path).tolist()
            for step, (point, value) in enumerate(zip(path.tolist(), heights, strict=True)):
                yield {
                    "valley": place,
                    "rule": name,
                    "rate": round(best, 6),
                    "steps_to_target": needed if needed <= STEPS else None,
                    "step": step,
                    "r": round(point[0], 5),
                    "t": round(point[1], 5),
                    "height": round(value, 8),
                }
