"""The outer loop: optimizers, schedule, log, checkpoints and exact resume.

A run lives in one folder: `options.json`, `curve.jsonl` (one line per logged step), `checkpoint.pt`
(weights, optimizer, task, step). Data depends on (seed, step) alone, so a run that was stopped and
resumed gives the same weights as one that was not.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from nestling.models.hope import Hope
from nestling.rules import Muon
from nestling.training.multi_rate import MultiRate
from nestling.training.options import LoopOptions


class Task(Protocol):
    """What is trained: a loss for each step, and what must survive a stop."""

    def loss(
        self, model: Hope, step: int, precision: torch.dtype
    ) -> tuple[Tensor, dict[str, float]]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, values: dict[str, Any]) -> None: ...


Report = Callable[[int, dict[str, float]], None]


class Trainer:
    """Trains one model on one task.

    Args:
        folder: of the run; created, and resumed from if it holds a checkpoint.
        report: called after each logged step with the step and its numbers.
    """

    def __init__(
        self,
        model: Hope,
        task: Task,
        options: LoopOptions,
        folder: str | Path,
        report: Report | None = None,
    ) -> None:
        self.model, self.task, self.options = model, task, options
        self.folder, self.report = Path(folder), report
        self.folder.mkdir(parents=True, exist_ok=True)
        self.optimizers = make_optimizers(model, options)
        self.multi_rate = MultiRate(model)
        self.step = 0
        if self.checkpoint.is_file():
            self.resume()

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def resume(self) -> None:
        """Go on from the folder's checkpoint; lines of the curve after it are dropped.

        Raises:
            ValueError: the checkpoint is of other optimizers.
        """
        saved = torch.load(self.checkpoint, weights_only=True)
        if [*map(_kind, saved["optimizers"])] != [_kind(o.state_dict()) for o in self.optimizers]:
            raise ValueError(
                f"{self.checkpoint} was written with another optimizer, by another recipe or an "
                "earlier version; choose another folder with --run"
            )
        self.model.load_state_dict(saved["model"])
        for optimizer, values in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        self.task.load_state_dict(saved["task"])
        if "multi_rate" in saved:
            self.multi_rate.load_state_dict(saved["multi_rate"])
        self.step = saved["step"]
        curve = self.folder / "curve.jsonl"
        if curve.is_file():
            lines = [line for line in curve.read_text().splitlines() if line.endswith("}")]
            kept = [line for line in lines if json.loads(line)["step"] < self.step]
            curve.write_text("".join(line + "\n" for line in kept))

    def save(self) -> None:
        """Write the checkpoint; a crash while writing leaves the one before."""
        temporary = self.checkpoint.with_suffix(".part")
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "task": self.task.state_dict(),
                "multi_rate": self.multi_rate.state_dict(),
                "step": self.step,
            },
            temporary,
        )
        os.replace(temporary, self.checkpoint)

    def run(self, until: int | None = None) -> None:
        """Train to step `until` (default: all steps), logging and saving on the way.

        Raises:
            FloatingPointError: the loss is no longer finite; the last checkpoint stays.
        """
        until = min(until or self.options.steps, self.options.steps)
        precision = getattr(torch, self.options.precision)
        self.model.train()
        started = time.perf_counter()
        first = self.step
        with (self.folder / "curve.jsonl").open("a") as curve:
            while self.step < until:
                numbers = self.one_step(precision)
                if self.step % self.options.log_every == 0 or self.step == until - 1:
                    numbers["seconds"] = (time.perf_counter() - started) / (self.step - first + 1)
                    curve.write(json.dumps({"step": self.step, **numbers}) + "\n")
                    curve.flush()
                    if self.report:
                        self.report(self.step, numbers)
                self.step += 1
                if self.step % self.options.checkpoint_every == 0 or self.step == until:
                    self.save()

    def one_step(self, precision: torch.dtype) -> dict[str, float]:
        factor = schedule(self.step, self.options)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.options.learning_rate * factor * group.get("multiplier", 1.0)
        loss, numbers = self.task.loss(self.model, self.step, precision)
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.step}; "
                f"lower the learning rate and resume from {self.checkpoint}"
            )
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        if self.multi_rate.periods:
            if "tokens" not in numbers:
                raise ValueError(
                    "this task does not count its tokens, and levels of the source 'outer' are "
                    "written by them; train such a model on text"
                )
            self.multi_rate.hold(int(numbers["tokens"]))
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        return {"loss": loss.item(), **numbers, "gradient_norm": norm.item()}


def schedule(step: int, options: LoopOptions) -> float:
    """Factor on the learning rate: linear warm-up, times what `options.schedule` says."""
    warm = min(1.0, (step + 1) / max(1, options.warmup))
    share = step / options.steps
    before, after = options.schedule[0], options.schedule[-1]
    if share <= before[0]:
        return warm * before[1]
    for one, other in pairwise(options.schedule):
        if one[0] <= share < other[0]:
            along = (share - one[0]) / (other[0] - one[0])
            return warm * (one[1] + along * (other[1] - one[1]))
    return warm * after[1]


def make_optimizers(model: Hope, options: LoopOptions) -> list[torch.optim.Optimizer]:
    """Matrices with weight decay, by Muon or AdamW; the rest by AdamW, inner rates faster."""
    matrices, plain, inner = [], [], []
    for name, parameter in model.named_parameters():
        if name.startswith("writer."):
            inner.append(parameter)
        elif parameter.dim() == 2 and "embedding" not in name:
            matrices.append(parameter)
        else:
            plain.append(parameter)
    decayed = {"params": matrices, "weight_decay": options.weight_decay}
    groups = [
        {"params": plain, "weight_decay": 0.0},
        {"params": inner, "weight_decay": 0.0, "multiplier": options.rate_multiplier},
    ]
    rate, betas = options.learning_rate, options.betas
    if options.optimizer == "adamw":
        return [torch.optim.AdamW([decayed, *groups], lr=rate, betas=betas, fused=True)]
    return [
        # Scaled so that an update is as large as one of AdamW at the same rate.
        Muon([decayed], lr=rate, coefficients="quintic", products=options.precision),
        torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True),
    ]


def _kind(optimizer: dict[str, Any]) -> list[set[str]]:
    """What tells the states of different optimizers apart: the options of their groups."""
    return [set(group) for group in optimizer["param_groups"]]
