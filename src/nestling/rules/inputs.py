"""The hook that hands layer inputs to rules which need them; without it nothing is recorded."""

from __future__ import annotations

import math
from types import TracebackType

import torch
from torch import Tensor, nn


class LayerInputs:
    """Keeps the inputs of a model's linear layers from one forward pass to the next step.

        inputs = LayerInputs(model)
        optimizer = DeltaGradientDescent(model.parameters(), lr=0.1, inputs=inputs)

    Only layers that run while gradients are recorded are kept, by reference; `step` of the
    optimizer lets them go. Several forward passes before a step are gathered. `close`, or leaving
    a `with` block, removes the hooks.

    Args:
        model: its `nn.Linear` layers are watched where they are called. What takes the weight of a
            layer alone, as the memory of Hope does, is not seen.

    Raises:
        ValueError: the model has no such layer.
    """

    def __init__(self, model: nn.Module) -> None:
        layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
        if not layers:
            raise ValueError(
                "the model has no nn.Linear layer whose inputs could be kept; "
                "use a rule that needs none, for example Momentum"
            )
        self._rows: dict[int, list[Tensor]] = {}
        self._hooks = [layer.register_forward_hook(self._keep) for layer in layers]

    def _keep(self, layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if torch.is_grad_enabled() and isinstance(layer, nn.Linear):
            self._rows.setdefault(id(layer.weight), []).append(args[0].detach())

    def __contains__(self, weight: Tensor) -> bool:
        return id(weight) in self._rows

    def rows(self, weight: Tensor) -> Tensor:
        """The inputs of the layer with this weight, divided by the root of their number: [n, d].

        So their products are means, as the gradient of a mean loss is.

        Raises:
            KeyError: nothing was kept for it.
        """
        rows = torch.cat([part.reshape(-1, part.shape[-1]) for part in self._rows[id(weight)]])
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        return rows / math.sqrt(len(rows))

    def clear(self) -> None:
        """Let go of what was kept."""
        self._rows.clear()

    def close(self) -> None:
        """Remove the hooks."""
        for hook in self._hooks:
            hook.remove()
        self.clear()

    def __enter__(self) -> LayerInputs:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
