"""What a step of each optimizer costs: time and memory beside `torch.optim`, in one run.

The parameters are those of one block of a model of 340M (width 1,024, MLP 2,816): a step costs the
same for every block, and one fits everywhere. All optimizers take turns, so that a noisy machine is
noisy for all of them; ratios are of medians.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from nestling.evaluation.peak_memory import PeakMemory
from nestling.evaluation.rows import Progress, Row
from nestling.evaluation.speed import timed
from nestling.rules import (
    M3,
    AdamW,
    DeepMomentum,
    DeltaGradientDescent,
    DeltaMomentum,
    GradientDescent,
    LayerInputs,
    Momentum,
    Muon,
    RuleOptimizer,
)

WIDTH, INNER = 1024, 2816
INPUTS = 512
PRODUCTS = "bfloat16"


def block(device: str, width: int = WIDTH, inner: int = INNER) -> nn.ModuleDict:
    """The matrices of one block of a Transformer, with gradients."""
    torch.manual_seed(0)
    shapes = {name: (width, width) for name in ("query", "key", "value", "output")}
    shapes |= {"gate": (width, inner), "up": (width, inner), "down": (inner, width)}
    layers = {name: nn.Linear(*shape, bias=False, device=device) for name, shape in shapes.items()}
    for layer in layers.values():
        layer.weight.grad = torch.randn_like(layer.weight) * 1e-3
    return nn.ModuleDict(layers)


def contestants(model: nn.ModuleDict) -> dict[str, tuple[torch.optim.Optimizer, Callable[[], Any]]]:
    """Optimizers of their own copies of the block, and what stands before each step."""

    def new() -> list[nn.Parameter]:
        copies = []
        for parameter in model.parameters():
            copies.append(nn.Parameter(parameter.detach().clone()))
            copies[-1].grad = parameter.grad
        return copies

    watched = block(str(next(model.parameters()).device), WIDTH, INNER)
    inputs = LayerInputs(watched)

    def forward() -> None:
        for layer in watched.values():
            assert isinstance(layer, nn.Linear)
            rows = torch.ones(INPUTS, layer.in_features, device=layer.weight.device)
            layer(rows.normal_())

    def nothing() -> None:
        pass

    quintic: dict[str, Any] = {"coefficients": "quintic", "products": PRODUCTS}
    return {
        "torch AdamW": (torch.optim.AdamW(new()), nothing),
        "torch AdamW, fused": (torch.optim.AdamW(new(), fused=True), nothing),
        "torch SGD with momentum": (torch.optim.SGD(new(), momentum=0.9), nothing),
        "torch Muon": (torch.optim.Muon(new()), nothing),
        "gradient descent": (GradientDescent(new()), nothing),
        "momentum": (Momentum(new()), nothing),
        "adamw": (AdamW(new()), nothing),
        "delta momentum": (DeltaMomentum(new()), nothing),
        "deep momentum": (DeepMomentum(new()), nothing),
        "delta gradient descent": (
            DeltaGradientDescent(watched.parameters(), inputs=inputs),
            forward,
        ),
        "muon": (Muon(new(), **quintic), nothing),
        "m3": (M3(new(), **quintic), nothing),
    }


def measure_cost(
    *, rounds: int = 9, device: str = "cpu", progress: Progress = lambda line: None
) -> Iterator[Row]:
    """Rows for `results/rule_cost.json`: one for each optimizer.

    The slow memory of M3 is written once in a period of steps: its time is the median step, plus
    what the slow step costs more, spread over the period.
    """
    model = block(device)
    entries = contestants(model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    seconds: dict[str, list[float]] = {name: [] for name in entries}
    for number in range(rounds + 1):
        for name, (optimizer, before) in entries.items():
            before()
            elapsed = timed(optimizer.step, device)
            if number:
                seconds[name].append(elapsed)
        progress(f"round {number} of {rounds}")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    medians["m3"] += slow_step(entries["m3"][0], medians["m3"], device)
    for name, (optimizer, before) in entries.items():
        before()
        with PeakMemory() as memory:
            optimizer.step()
        state = sum(
            value.numel() * value.element_size()
            for values in optimizer.state.values()
            for value in values.values()
            if isinstance(value, Tensor)
        )
        room = optimizer.workspace.nbytes if isinstance(optimizer, RuleOptimizer) else 0
        yield {
            "optimizer": name,
            "device": device,
            "threads": torch.get_num_threads(),
            "parameters": parameters,
            "milliseconds": round(1000 * medians[name], 2),
            "to_adamw": round(medians[name] / medians["torch AdamW"], 3),
            "to_muon": round(medians[name] / medians["torch Muon"], 3),
            "state_bytes_per_parameter": round(state / parameters, 2),
            "peak_bytes_per_parameter": round((state + room + memory.peak) / parameters, 2),
        }


def slow_step(optimizer: torch.optim.Optimizer, median: float, device: str) -> float:
    """What a step that writes the slow memory costs more, spread over its period."""
    period = optimizer.param_groups[0]["period"]
    extra = []
    for _ in range(3):
        for values in optimizer.state.values():
            values["step"].fill_(period - 1)
        extra.append(timed(optimizer.step, device) - median)
    return max(0.0, statistics.median(extra)) / period
