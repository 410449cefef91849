"""One step of training, as the small models of the benchmarks and a night make it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def take_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, rate: float
) -> None:
    """Descend on `loss` with this learning rate, the gradient clipped to a norm of one."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
