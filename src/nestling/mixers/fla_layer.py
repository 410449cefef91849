"""Any layer of flash-linear-attention as a mixer: `mixer="fla:RWKV7Attention"`.

For comparing architectures on a GPU: such a layer is trained and read like every mixer, but it
reads each sequence from its start and carries no state from one call to the next. In every block it
is made as the first of its kind; what some layers hand on from block to block is left out.
"""

from __future__ import annotations

import importlib
import inspect

from torch import Tensor, nn

State = dict[str, Tensor]

PREFIX = "fla:"


class FlaLayer(nn.Module):
    """A layer of `fla.layers` by its name, in the sizes of the block.

    Args:
        name: of the class, such as "RWKV7Attention", "Comba" or "Mamba2".

    Raises:
        ValueError: flash-linear-attention is not installed, or has no such layer.
    """

    def __init__(self, name: str, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        try:
            layers = importlib.import_module("fla.layers")
        except ImportError as error:
            raise ValueError(
                f"the mixer '{PREFIX}{name}' needs flash-linear-attention and a GPU: "
                "pip install 'nestling[fla]'"
            ) from error
        known = getattr(layers, "__all__", ())
        if name not in known:
            raise ValueError(
                f"flash-linear-attention has no layer {name!r}; it has {sorted(known)}"
            )
        make = getattr(layers, name)
        asked = inspect.signature(make).parameters
        sizes = {
            "hidden_size": hidden_size,
            "head_dim": hidden_size // num_heads,
            "layer_idx": 0,
            # A layer that widens its input has as many heads as that takes.
            **({} if "expand" in asked else {"num_heads": num_heads}),
        }
        self.name = name
        self.inner = make(**{key: value for key, value in sizes.items() if key in asked})

    def reset_parameters(self) -> None:
        """The layer has its own initial weights."""

    def state_shapes(self) -> dict[str, tuple[tuple[int, ...], None]]:
        return {}

    def forward(
        self, x: Tensor, state: State | None, lengths: Tensor
    ) -> tuple[Tensor, State | None]:
        """x [B, T, d] -> (y [B, T, d], None); what stands behind `lengths` is never seen before it.

        Raises:
            ValueError: a state is given, which would have to be carried on.
        """
        if state is not None:
            raise ValueError(
                f"the layer {self.name} of flash-linear-attention carries no memory state here; "
                "read whole sequences without a state, or take a mixer of nestling"
            )
        return self.inner(x)[0], None
