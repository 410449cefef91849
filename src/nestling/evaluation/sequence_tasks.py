"""Models trained on synthetic sequences, one small model for each task, and asked on new ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nestling.evaluation.finished import Finished
from nestling.evaluation.rows import Progress, Row
from nestling.memory.level import Level
from nestling.mixers.self_modifying import SelfModifyingOptions
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings
from nestling.training.steps import take_step

Draw = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
"""(sequences, generator) -> ids and targets [B, T]; a target of IGNORED is not scored."""

IGNORED = -100
_STATIC = (Level(period=0),)
# The models that are compared, by the settings in which they differ. What is told once must be
# known at once: Hope writes with the plain delta rule, whose rate may be 1 in chunks of any size,
# and keys and values have inputs of their own.
PEERS: dict[str, dict[str, Any]] = {
    "hope": {
        "mixer": "self_modifying",
        "self_modifying": SelfModifyingOptions(
            objective="dot_product", own_value_input=True, open_gates=True
        ),
    },
    "titans": {"mixer": "titans"},
    "gated_delta_net": {"mixer": "gated_delta_net"},
    "delta_net": {"mixer": "delta_net"},
    "retention": {"mixer": "retention"},
    "transformer": {"mixer": "attention"},
}
# The same where nothing but recall is asked. The matrices of Hope begin as the identity. What is
# written is read alone, and counts little in what they make of a token; all heads begin fast, and
# selective.
_RECALLS = replace(
    PEERS["hope"]["self_modifying"],
    initial="identity",
    self_gain=0.1,
    read_initial=False,
    gate_scale=8.0,
    eta_spread=1.0,
)


def _recalling(**parts: Any) -> dict[str, Any]:
    return {**PEERS["hope"], "self_modifying": replace(_RECALLS, **parts)}


RECALLING: dict[str, dict[str, Any]] = {
    **PEERS,
    "hope": _recalling(),
    "hope, initial value read": _recalling(read_initial=True),
    "hope, all writes count": _recalling(self_gain=None),
}


@dataclass(frozen=True)
class Task:
    """A task: its ids, how its sequences are drawn, and whether it decodes the last token.

    Args:
        asked: what a model is asked in the end, by name; without it the same as it is trained on.
    """

    vocabulary: int
    draw: Draw
    decodes: bool = False
    asked: Mapping[str, Draw] = field(default_factory=dict)


@dataclass(frozen=True)
class Course:
    """The size of the benchmark.

    Args:
        rates: learning rates; the best on the first seed is taken for the others.
        solved: share that is right, with which no further rate is tried.
        asked: sequences at the end.
    """

    width: int = 64
    layers: int = 2
    heads: int = 4
    chunk_size: int = 8
    steps: int = 1500
    batch: int = 32
    rates: tuple[float, ...] = (1e-3, 3e-3)
    solved: float = 1.0
    asked: int = 256

    def model(
        self, name: str, task: Task, seed: int, peers: Mapping[str, dict[str, Any]] = PEERS
    ) -> SequenceModel:
        """A small model of `peers`."""
        settings = HopeSettings(
            vocab_size=task.vocabulary,
            hidden_size=self.width,
            intermediate_size=2 * self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            levels=_STATIC,
            sliding_window=512,
            chunk_size=self.chunk_size,
            tie_word_embeddings=False,
        )
        torch.manual_seed(seed)
        return SequenceModel(replace(settings, **peers[name]), task.decodes)


class SequenceModel(nn.Module):
    """A model of sequences; with `decodes`, its last position is read by an MLP for each place."""

    def __init__(self, settings: HopeSettings, decodes: bool) -> None:
        super().__init__()
        self.hope = Hope(settings)
        self.decoder: nn.Module | None = None
        if decodes:
            width = settings.hidden_size
            self.places = nn.Parameter(torch.randn(settings.sliding_window, width) * 0.02)
            self.decoder = nn.Sequential(
                nn.Linear(width, 4 * width),
                nn.GELU(),
                nn.Linear(4 * width, settings.vocab_size),
            )

    def forward(self, ids: Tensor) -> Tensor:
        """Logits [B, T, V] of ids [B, T]."""
        if self.decoder is None:
            return self.hope(ids).logits
        last = self.hope.read_fresh(ids)[:, -1:]
        return self.decoder(last + self.places[: ids.shape[1]])


def generator_of(*parts: object) -> torch.Generator:
    """A generator that depends on the parts alone."""
    seed = 0
    for part in repr(parts).encode():
        seed = (seed * 257 + part) % (2**61 - 1)
    return torch.Generator().manual_seed(seed)


def train(
    model: SequenceModel, task: Task, course: Course, rate: float, seed: int, report: Progress
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    model.train()
    for step in range(course.steps):
        ids, targets = task.draw(course.batch, generator_of("train", seed, step))
        loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        factor = min(1.0, (step + 1) / 100) * (1 - step / course.steps)
        take_step(model, optimizer, loss, rate * factor)
        if step % 200 == 0:
            report(f"step {step}  loss {loss.item():.4f}")


@torch.no_grad()
def accuracy(
    model: SequenceModel, draw: Draw, course: Course, seed: int, of: str = "asked"
) -> float:
    """Share of the scored tokens that are right, in the sequences `of` a name."""
    model.eval()
    ids, targets = draw(course.asked, generator_of(of, seed))
    scored = targets != IGNORED
    return (model(ids).argmax(-1) == targets)[scored].float().mean().item()


def measure_tasks(
    tasks: Mapping[str, Task],
    *,
    models: Sequence[str] = tuple(PEERS),
    seeds: Sequence[int] = (0, 1, 2),
    course: Course | None = None,
    peers: Mapping[str, dict[str, Any]] = PEERS,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """One row for each model, seed and what is asked.

    The rate is the best of the first seed, on other sequences than those of the row.

    Args:
        models: some of `peers`.
        peers: what the models differ in.
        run_file: of finished runs; a later start goes on from it.
    """
    course = course or Course()
    finished = Finished(run_file, course, peers, form=3)

    def run(name: str, task: str, rate: float, seed: int) -> Row:
        asked = tasks[task].asked or {task: tasks[task].draw}

        def measured() -> Row:
            model = course.model(name, tasks[task], seed, peers)
            started = time.perf_counter()

            def report(line: str) -> None:
                progress(f"{name}  {task}  rate {rate}  seed {seed}  {line}")

            train(model, tasks[task], course, rate, seed, report)
            return {
                "parameters": sum(p.numel() for p in model.parameters()),
                "seconds": round(time.perf_counter() - started, 1),
                "tried": fmean(
                    accuracy(model, draw, course, seed, "tried") for draw in asked.values()
                ),
                "right": {
                    what: round(accuracy(model, draw, course, seed), 4)
                    for what, draw in asked.items()
                },
            }

        row = finished({"model": name, "task": task, "rate": rate, "seed": seed}, measured)
        progress("  ".join(f"{key} {value}" for key, value in row.items()))
        return row

    for name in models:
        for task in tasks:
            tried: dict[float, float] = {}
            for rate in course.rates:
                tried[rate] = run(name, task, rate, seeds[0])["tried"]
                if tried[rate] >= course.solved:
                    break
            best = max(tried, key=lambda rate: tried[rate])
            for seed in seeds:
                row = run(name, task, best, seed)
                del row["tried"]
                for asked, right in row.pop("right").items():
                    yield {**row, "task": asked, "accuracy": right}
