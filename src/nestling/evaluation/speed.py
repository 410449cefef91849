"""How fast each mixer reads, trains, writes and decodes, side by side in one run.

- `forward`, `train`: a stack of mixers with pre-norm residuals and nothing else.
- `model forward`, `model train`, `model write`: whole models with MLPs; `write` reads with
  in-context writes of the continuum memory.
- `decode`: one token after a context of so many, and the bytes of the state it needs.

Those who read a length take turns, so that a noisy machine is noisy for all of them.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nestling.evaluation.finished import Finished
from nestling.evaluation.peak_memory import PeakMemory
from nestling.evaluation.rows import Progress, Row
from nestling.memory.level import Level
from nestling.models.block import make_mixer
from nestling.models.hope import Hope
from nestling.models.settings import MIXERS, HopeSettings

Action = Callable[[], Any]

OTHERS = "titans-pytorch, MLP memory"
MODES = ("forward", "train", "model forward", "model train", "model write", "decode")
WRITTEN = (Level(period=64, rate=1.0),)
STATIC = (Level(period=0),)


@dataclass(frozen=True)
class Course:
    """Shapes and lengths.

    Args:
        contexts: tokens that stand before a decoded one, multiples of 1,024.
        tokens: read at a time by the longest batch; shorter sequences come in batches of them.
        rounds: turns of each contestant; the median counts.
    """

    width: int = 256
    layers: int = 4
    heads: int = 4
    chunk_size: int = 64
    vocabulary: int = 4096
    lengths: tuple[int, ...] = (512, 2048, 4096, 16_384)
    contexts: tuple[int, ...] = (1024, 65_536)
    tokens: int = 1024
    rounds: int = 3

    def settings(self, mixer: str, length: int, *, written: bool = False) -> HopeSettings:
        """Attention sees the whole length; a memory has its chunks."""
        return HopeSettings(
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            intermediate_size=2 * self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            mixer=mixer,
            levels=WRITTEN if written else STATIC,
            sliding_window=length,
            chunk_size=self.chunk_size,
        )


class Stack(nn.Module):
    """Mixers alone: `x + mixer(norm(x))`, layer by layer."""

    def __init__(self, settings: HopeSettings) -> None:
        super().__init__()
        layers = range(settings.num_hidden_layers)
        self.norms = nn.ModuleList(nn.RMSNorm(settings.hidden_size) for _ in layers)
        self.mixers = nn.ModuleList(make_mixer(settings, layer) for layer in layers)

    def forward(self, x: Tensor) -> Tensor:
        lengths = torch.full((len(x),), x.shape[1], device=x.device)
        for norm, mixer in zip(self.norms, self.mixers, strict=True):
            x = x + mixer(norm(x), None, lengths)[0]
        return x


class TheirStack(nn.Module):
    """Memories of titans-pytorch with the heads, chunk and memory of ours; they hold their norms.

    Raises:
        ModuleNotFoundError: the package is not installed; it comes with the extra "benchmark".
    """

    def __init__(self, course: Course) -> None:
        super().__init__()
        theirs = import_module("titans_pytorch")
        self.memories = nn.ModuleList(
            theirs.NeuralMemory(
                dim=course.width,
                chunk_size=course.chunk_size,
                dim_head=course.width // course.heads,
                heads=course.heads,
                default_model_kwargs={"depth": 2, "expansion_factor": 2.0},
            )
            for _ in range(course.layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        for memory in self.memories:
            x = x + memory(x)[0]
        return x


def titans_pytorch_is_here() -> bool:
    return find_spec("titans_pytorch") is not None


def stack_actions(module: nn.Module, x: Tensor, mode: str) -> Action:
    """What is timed: a forward pass without gradients, or one with its backward pass."""

    def forward() -> None:
        with torch.inference_mode():
            module(x)

    def train() -> None:
        module.zero_grad(set_to_none=True)
        module(x).square().mean().backward()

    return forward if mode == "forward" else train


def model_action(model: Hope, ids: Tensor, mode: str) -> Action:
    learn = mode == "model write"

    def forward() -> None:
        with torch.no_grad():
            model(ids, learn=learn)

    def train() -> None:
        model.zero_grad(set_to_none=True)
        logits = model(ids[:, :-1]).logits
        nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()

    return train if mode == "model train" else forward


def measure_speed(
    *,
    mixers: Sequence[str] = MIXERS,
    modes: Sequence[str] = MODES,
    threads: Sequence[int] = (1, 2),
    device: str = "cpu",
    course: Course | None = None,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/speed_cpu.json`: tokens a second, and the ratio to attention in that turn.

    titans-pytorch takes part where it is installed.

    Args:
        run_file: of finished turns, in each of which all models have a length in common; a later
            start goes on from it.

    Raises:
        ValueError: an unknown mixer or mode.
    """
    course = course or Course()
    for kind, names, known in (("mixer", mixers, MIXERS), ("mode", modes, MODES)):
        if unknown := set(names) - set(known):
            raise ValueError(f"there is no {kind} {sorted(unknown)}; there are {list(known)}")
    finished = Finished(run_file, course)
    before = torch.get_num_threads()
    try:
        for count, mode in itertools.product(threads, modes):
            torch.set_num_threads(count)
            for part in mixers if mode == "decode" else course.lengths:

                def measured(mode: str = mode, part: Any = part) -> Row:
                    if mode == "decode":
                        return {"rows": list(_decoding(part, device, course))}
                    return {"rows": list(_reading(mode, mixers, part, device, course))}

                common: Row = {"mode": mode, "threads": count, "device": device}
                found = finished({**common, "models": list(mixers), "of": part}, measured)
                for of_model in found["rows"]:
                    row = {**common, **of_model}
                    progress("  ".join(f"{key} {value}" for key, value in row.items()))
                    yield row
    finally:
        torch.set_num_threads(before)


def _reading(
    mode: str, mixers: Sequence[str], length: int, device: str, course: Course
) -> Iterator[Row]:
    batch = max(1, course.tokens // length)
    actions = {
        name: action
        for name in (*mixers, OTHERS)
        if (action := _action(mode, name, batch, length, device, course)) is not None
    }
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(course.rounds + 1):
        for name, action in actions.items():
            elapsed = timed(action, device)
            if turn:
                seconds[name].append(elapsed)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, action in actions.items():
        with PeakMemory() as memory:
            action()
        yield {
            "model": name,
            "tokens": length,
            "batch": batch,
            "tokens_per_second": round(batch * length / medians[name]),
            "to_attention": _ratio(medians, name),
            "peak_bytes": memory.peak,
        }


def _action(
    mode: str, name: str, batch: int, length: int, device: str, course: Course
) -> Action | None:
    """What a contestant does in a mode; None where it does not take part."""
    torch.manual_seed(0)
    if mode in ("forward", "train"):
        if name == OTHERS:
            if not titans_pytorch_is_here():
                return None
            module: nn.Module = TheirStack(course)
        else:
            module = Stack(course.settings(name, length))
        x = torch.randn(batch, length, course.width, device=device)
        return stack_actions(module.to(device), x, mode)
    if name == OTHERS:
        return None
    model = Hope(course.settings(name, length, written=mode == "model write")).to(device)
    ids = torch.randint(course.vocabulary, (batch, length), device=device)
    return model_action(model, ids, mode)


def _decoding(name: str, device: str, course: Course) -> Iterator[Row]:
    """Attention keeps the window that the models are trained with, 512 tokens."""
    torch.manual_seed(0)
    model = Hope(course.settings(name, 512, written=True)).to(device).eval()
    token = torch.randint(course.vocabulary, (1, 1), device=device)
    for context in course.contexts:
        state = model.new_state(1)
        with torch.no_grad():
            for _ in range(context // 1024):
                ids = torch.randint(course.vocabulary, (1, 1024), device=device)
                state = model(ids, state=state).state
                assert state is not None
            step = partial(model, token, state=state)
            times = [timed(step, device) for _ in range(30)][5:]
        yield {
            "model": name,
            "tokens": context,
            "milliseconds": round(1000 * statistics.median(times), 3),
            "state_bytes": state.nbytes,
        }


def _ratio(medians: dict[str, float], name: str) -> float | None:
    base = medians.get("attention")
    return None if base is None else round(base / medians[name], 3)


def timed(action: Action, device: str) -> float:
    """Seconds of one call."""
    if device != "cpu":
        torch.cuda.synchronize()
    started = time.perf_counter()
    action()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - started
