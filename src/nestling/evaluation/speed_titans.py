"""The neural memory of titans-pytorch with the shapes of our Titans, to be timed beside it.

The package computes all gradients at the state before the sequence unless it is told after how many
tokens to take a new one; ours are taken at the start of their chunk.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from torch import Tensor, nn

EQUAL = "titans-pytorch"
ONE_STATE = "titans-pytorch, gradients at one state"


def titans_pytorch_is_here() -> bool:
    return find_spec("titans_pytorch") is not None


class TheirStack(nn.Module):
    """Memories, MLPs of two layers and twice the width of a head; they hold their norms.

    Args:
        width, heads, layers, chunk: as in a stack of ours.
        fresh: gradients are taken at the state where their chunk starts.

    Raises:
        ModuleNotFoundError: the package is not installed; it comes with the extra "benchmark".
    """

    def __init__(self, width: int, heads: int, layers: int, chunk: int, *, fresh: bool) -> None:
        super().__init__()
        theirs = import_module("titans_pytorch")
        self.memories = nn.ModuleList(
            theirs.NeuralMemory(
                dim=width,
                chunk_size=chunk,
                batch_size=chunk if fresh else None,
                dim_head=width // heads,
                heads=heads,
                default_model_kwargs={"depth": 2, "expansion_factor": 2.0},
            )
            for _ in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        for memory in self.memories:
            x = x + memory(x)[0]
        return x
