"""Levels that are written by training itself, each at its own period (NL §3.3, reading C).

A level of the source "outer" is a plain MLP whose weights take a step only every `period` tokens
of training, with the mean gradient of all tokens since the last. The optimizer's memory of its
gradients moves on at the same moments and at no others.
"""

from __future__ import annotations

from torch import Tensor, nn

from nestling.models.hope import Hope


class MultiRate:
    """Holds back gradients of levels that are not due.

    Use it between the backward pass and the step of any optimizer that leaves parameters without a
    gradient alone, as those of torch and `nestling.rules` do:

        loss.backward()
        multi_rate.hold(tokens)   # all tokens so far
        optimizer.step()

    Args:
        model: of whose settings the levels are; they are the same in every block.
    """

    def __init__(self, model: Hope) -> None:
        self.periods = {
            level.name: level.period for level in model.settings.levels if level.source == "outer"
        }
        self._parameters: dict[str, dict[str, nn.Parameter]] = {
            name: {
                f"{block}.{leaf}": parameter
                for block, layer in enumerate(model.layers)
                for leaf, parameter in layer.memory.mlp(name).named_parameters()
            }
            for name in self.periods
        }
        self._held: dict[str, dict[str, Tensor]] = {name: {} for name in self.periods}
        self._steps = dict.fromkeys(self.periods, 0)
        self._written = dict.fromkeys(self.periods, 0)

    def hold(self, tokens: int) -> list[str]:
        """Take the gradients of levels that are not due; returns the names of those that are.

        Args:
            tokens: of training so far, those of this step among them.
        """
        due = []
        for name, period in self.periods.items():
            self._steps[name] += 1
            held = self._held[name]
            for leaf, parameter in self._parameters[name].items():
                if parameter.grad is not None:
                    held[leaf] = held[leaf] + parameter.grad if leaf in held else parameter.grad
                parameter.grad = None
            if tokens // period == self._written[name]:
                continue
            for leaf, gradient in held.items():
                self._parameters[name][leaf].grad = gradient / self._steps[name]
            self._held[name], self._steps[name] = {}, 0
            self._written[name] = tokens // period
            due.append(name)
        return due

    def state_dict(self) -> dict[str, dict]:
        """What is held, for an exact resume."""
        return {"held": self._held, "steps": self._steps, "written": self._written}

    def load_state_dict(self, values: dict[str, dict]) -> None:
        self._held = {name: dict(held) for name, held in values["held"].items()}
        self._steps, self._written = dict(values["steps"]), dict(values["written"])
