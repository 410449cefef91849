"""How fast each mixer reads, trains, writes and decodes, side by side in one run.

- `forward`, `train`: a stack of mixers with pre-norm residuals and nothing else.
- `model forward`, `model train`, `model write`: whole models with MLPs; `write` reads with
  in-context writes of the continuum memory.
- `decode`: one token after a context of so many, and the bytes of the state it needs.
- `titans forward`, `titans train`: our Titans beside titans-pytorch (`speed_titans`).

Those who read a length take turns, so that a noisy machine is noisy for all of them.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nestling.evaluation.finished import Finished
from nestling.evaluation.peak_memory import PeakMemory
from nestling.evaluation.rows import Progress, Row
from nestling.evaluation.speed_titans import (
    EQUAL,
    ONE_STATE,
    TheirStack,
    titans_pytorch_is_here,
)
from nestling.memory.level import Level
from nestling.models.block import make_mixer
from nestling.models.hope import Hope
from nestling.models.settings import MIXERS, HopeSettings

Action = Callable[[], Any]

MODES = (
    "forward",
    "train",
    "model forward",
    "model train",
    "model write",
    "decode",
    "titans forward",
    "titans train",
)
WRITTEN = (Level(period=64, rate=1.0),)
STATIC = (Level(period=0),)
# Tokens from which on a sequence is read once.
LONG = 16_384


@dataclass(frozen=True)
class Course:
    """Shapes and lengths.

    Args:
        window: tokens that attention beside a memory sees, and any attention in decoding.
        model_lengths: tokens of a sequence that a whole model reads.
        titans_chunks: chunk sizes of the comparison with titans-pytorch, on the first length.
        contexts: tokens that stand before a decoded one, multiples of 1,024.
        tokens: read at a time by the longest batch; shorter sequences come in batches of them.
        rounds: turns of each contestant, of which the median counts; one turn of long sequences.
    """

    width: int = 256
    layers: int = 4
    heads: int = 4
    chunk_size: int = 64
    vocabulary: int = 4096
    window: int = 512
    lengths: tuple[int, ...] = (512, 2048, 4096, 16_384)
    model_lengths: tuple[int, ...] = (512, 4096)
    titans_chunks: tuple[int, ...] = (16, 64)
    contexts: tuple[int, ...] = (1024, 65_536)
    tokens: int = 1024
    rounds: int = 3

    def settings(self, mixer: str, length: int, *, written: bool = False) -> HopeSettings:
        """Attention sees the whole length, beside a memory the window; a memory has its chunks."""
        beside = mixer in ("titans_mag", "titans_mal")
        return HopeSettings(
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            intermediate_size=2 * self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            mixer=mixer,
            levels=WRITTEN if written else STATIC,
            sliding_window=min(length, self.window) if beside else length,
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

    The modes of Titans are left out where titans-pytorch is not installed.

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
            for part in _parts(mode, mixers, course):

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


def _parts(mode: str, mixers: Sequence[str], course: Course) -> Sequence[Any]:
    """What is measured, and kept, by itself: a mixer, a chunk size or a length."""
    if mode == "decode":
        return mixers
    if mode.startswith("titans"):
        return course.titans_chunks if titans_pytorch_is_here() else ()
    return course.model_lengths if mode.startswith("model") else course.lengths


def _reading(
    mode: str, mixers: Sequence[str], part: int, device: str, course: Course
) -> Iterator[Row]:
    """Everyone's tokens a second at one length; with titans-pytorch, at one chunk size."""
    own = mode.startswith("titans")
    length = course.lengths[0] if own else part
    batch = max(1, course.tokens // length)
    base, more = "attention", {}
    if own:
        base, more = EQUAL, {"chunk": part}
        actions = _titans_actions(mode, part, batch, device, course)
    else:
        actions = {name: _action(mode, name, batch, length, device, course) for name in mixers}
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(1 + (course.rounds if length < LONG else 1)):
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
            **more,
            "tokens": length,
            "batch": batch,
            "tokens_per_second": round(batch * length / medians[name]),
            "to_theirs" if own else "to_attention": _ratio(medians, name, base),
            "peak_bytes": memory.peak,
        }


def _action(mode: str, name: str, batch: int, length: int, device: str, course: Course) -> Action:
    """What a mixer does in a mode."""
    torch.manual_seed(0)
    if mode in ("forward", "train"):
        module = Stack(course.settings(name, length)).to(device)
        x = torch.randn(batch, length, course.width, device=device)
        return stack_actions(module, x, mode)
    model = Hope(course.settings(name, length, written=mode == "model write")).to(device)
    ids = torch.randint(course.vocabulary, (batch, length), device=device)
    return model_action(model, ids, mode)


def _titans_actions(
    mode: str, chunk: int, batch: int, device: str, course: Course
) -> dict[str, Action]:
    """Our Titans, theirs at the same gradients, and theirs as it is by default."""
    torch.manual_seed(0)
    length, heads = course.lengths[0], course.heads
    x = torch.randn(batch, length, course.width, device=device)
    stacks: dict[str, nn.Module] = {
        "titans": Stack(replace(course, chunk_size=chunk).settings("titans", length))
    }
    for name, fresh in ((EQUAL, True), (ONE_STATE, False)):
        stacks[name] = TheirStack(course.width, heads, course.layers, chunk, fresh=fresh)
    kind = mode.removeprefix("titans ")
    return {name: stack_actions(stack.to(device), x, kind) for name, stack in stacks.items()}


def _decoding(name: str, device: str, course: Course) -> Iterator[Row]:
    torch.manual_seed(0)
    model = Hope(course.settings(name, course.window, written=True)).to(device).eval()
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


def _ratio(medians: dict[str, float], name: str, base: str) -> float | None:
    seconds = medians.get(base)
    return None if seconds is None else round(seconds / medians[name], 3)


def timed(action: Action, device: str) -> float:
    """Seconds of one call."""
    if device != "cpu":
        torch.cuda.synchronize()
    started = time.perf_counter()
    action()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - started
