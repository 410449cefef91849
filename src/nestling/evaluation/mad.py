"""The five synthetic tasks of Mechanistic Architecture Design (Poli et al. 2024; NL §6.5).

| task              | what is asked                                                               |
|-------------------|-----------------------------------------------------------------------------|
| recall            | the value that followed this key before, in the same sequence               |
| fuzzy recall      | the same, where keys and values are one to three tokens long                |
| selective copying | the tokens scattered among blanks, in their order                           |
| compression       | a whole sequence, decoded from what stands at its last token                |
| memorisation      | the value of a key, by a table that is the same for all sequences           |

Sequences are drawn anew for every step; those that are asked are drawn from other seeds. Accuracy
is the share of scored tokens that are right.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nestling.evaluation.finished import Finished
from nestling.memory.level import Level
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings

Row = dict[str, Any]
Progress = Callable[[str], None]
Draw = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
"""(sequences, generator) -> ids and targets [B, T]; a target of IGNORED is not scored."""

IGNORED = -100


@dataclass(frozen=True)
class Task:
    """A task: its ids, how its sequences are drawn, and whether it decodes the last token."""

    vocabulary: int
    draw: Draw
    decodes: bool = False


def draw_recall(
    count: int, generator: torch.Generator, *, pairs: int = 64, vocabulary: int = 16
) -> tuple[Tensor, Tensor]:
    """Keys and values in turn; a key that was there before is asked."""
    half = vocabulary // 2
    keys = torch.randint(half, (count, pairs), generator=generator)
    table = torch.randint(half, vocabulary, (count, half), generator=generator)
    values = table.gather(1, keys)
    # A key is asked from its second time on.
    seen = (keys[:, :, None] == keys[:, None, :]).tril(-1).any(-1)
    ids = torch.stack([keys, values], -1).flatten(1)
    targets = torch.full_like(ids, IGNORED)
    targets[:, 0::2] = values.where(seen, IGNORED)
    return ids, targets


def draw_fuzzy_recall(
    count: int,
    generator: torch.Generator,
    *,
    length: int = 128,
    vocabulary: int = 16,
    entries: int = 8,
    longest: int = 3,
) -> tuple[Tensor, Tensor]:
    """Keys and values of one to `longest` tokens; all tokens of a value told before are asked.

    The keys of a sequence begin with different tokens, and so no key begins another. Every value
    stands between its key and the next one, so that what is asked is the next token.
    """
    half = vocabulary // 2
    ids = torch.zeros(count, length, dtype=torch.int64)
    targets = torch.full_like(ids, IGNORED)

    def numbers(low: int, high: int, size: int) -> list[int]:
        return torch.randint(low, high, (size,), generator=generator).tolist()

    for row in range(count):
        firsts = torch.randperm(half, generator=generator)[:entries].tolist()
        sizes = numbers(1, longest + 1, 2 * entries)
        table = [
            (
                [first, *numbers(0, half, sizes[2 * i] - 1)],
                numbers(half, vocabulary, sizes[2 * i + 1]),
            )
            for i, first in enumerate(firsts)
        ]
        place, told = 0, set()
        while True:
            entry = numbers(0, entries, 1)[0]
            key, value = table[entry]
            if place + len(key) + len(value) > length:
                break
            words = key + value
            ids[row, place : place + len(words)] = torch.tensor(words)
            if entry in told:
                start = place + len(key) - 1
                targets[row, start : start + len(value)] = torch.tensor(value)
            told.add(entry)
            place += len(words)
    return ids, targets


def draw_selective_copying(
    count: int,
    generator: torch.Generator,
    *,
    length: int = 128,
    tokens: int = 16,
    vocabulary: int = 16,
) -> tuple[Tensor, Tensor]:
    """Tokens among blanks, then a mark; from the mark on they are asked, one at each blank."""
    blank, mark = vocabulary - 2, vocabulary - 1
    words = torch.randint(vocabulary - 2, (count, tokens), generator=generator)
    room = length - tokens
    noise = torch.rand(count, room, generator=generator)
    places = noise.topk(tokens, -1).indices.sort(-1).values
    body = torch.full((count, room), blank).scatter(1, places, words)
    answer = torch.full((count, tokens), blank)
    answer[:, 0] = mark
    ids = torch.cat([body, answer], 1)
    targets = torch.full_like(ids, IGNORED)
    targets[:, room:] = words
    return ids, targets


def draw_compression(
    count: int, generator: torch.Generator, *, length: int = 32, vocabulary: int = 16
) -> tuple[Tensor, Tensor]:
    """Random tokens that end with a mark; all of them are asked of the last position."""
    ids = torch.randint(vocabulary - 1, (count, length), generator=generator)
    ids[:, -1] = vocabulary - 1
    targets = ids.clone()
    targets[:, -1] = IGNORED
    return ids, targets


def draw_memorisation(
    count: int, generator: torch.Generator, *, length: int = 32, vocabulary: int = 256
) -> tuple[Tensor, Tensor]:
    """Keys, each with a mark behind it, at which its value is asked."""
    half, mark = vocabulary // 2, vocabulary - 1
    table = torch.randint(half, mark, (half,), generator=torch.Generator().manual_seed(0))
    keys = torch.randint(half, (count, length // 2), generator=generator)
    ids = torch.stack([keys, torch.full_like(keys, mark)], -1).flatten(1)
    targets = torch.full_like(ids, IGNORED)
    targets[:, 1::2] = table[keys]
    return ids, targets


TASKS: dict[str, Task] = {
    "compression": Task(16, draw_compression, decodes=True),
    "recall": Task(16, draw_recall),
    "fuzzy recall": Task(16, draw_fuzzy_recall),
    "selective copying": Task(16, draw_selective_copying),
    "memorisation": Task(256, draw_memorisation),
}

_STATIC = (Level(period=0),)
MODELS: dict[str, dict[str, Any]] = {
    "hope": {"mixer": "self_modifying"},
    "titans": {"mixer": "titans"},
    "delta_net": {"mixer": "delta_net"},
    "transformer": {"mixer": "attention"},
}


@dataclass(frozen=True)
class Course:
    """The size of the benchmark.

    Args:
        rates: learning rates; the best on the first seed is taken for the others.
        asked: sequences at the end.
    """

    width: int = 64
    layers: int = 2
    heads: int = 4
    chunk_size: int = 8
    steps: int = 1500
    batch: int = 32
    rates: tuple[float, ...] = (1e-3, 3e-3)
    asked: int = 256

    def model(self, name: str, task: Task, seed: int) -> SequenceModel:
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
        return SequenceModel(replace(settings, **MODELS[name]), task.decodes)


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
        lengths = torch.full((len(ids),), ids.shape[1], device=ids.device)
        hidden, _ = self.hope.below_memory(ids, None, lengths)
        last = self.hope.above_mixers(hidden, {})[:, -1:]
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
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100) * (1 - step / course.steps)
        ids, targets = task.draw(course.batch, generator_of("train", seed, step))
        loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 200 == 0:
            report(f"step {step}  loss {loss.item():.4f}")


@torch.no_grad()
def accuracy(model: SequenceModel, task: Task, course: Course, seed: int) -> float:
    """Share of the scored tokens that are right."""
    model.eval()
    ids, targets = task.draw(course.asked, generator_of("asked", seed))
    scored = targets != IGNORED
    return (model(ids).argmax(-1) == targets)[scored].float().mean().item()


def measure_mad(
    *,
    models: Sequence[str] = tuple(MODELS),
    tasks: Sequence[str] = tuple(TASKS),
    seeds: Sequence[int] = (0, 1, 2),
    course: Course | None = None,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/mad.json`: one for each model, task and seed, at the best rate."""
    course = course or Course()
    finished = Finished(run_file, course)

    def run(name: str, task: str, rate: float, seed: int) -> Row:
        def measured() -> Row:
            model = course.model(name, TASKS[task], seed)
            started = time.perf_counter()

            def report(line: str) -> None:
                progress(f"{name}  {task}  rate {rate}  seed {seed}  {line}")

            train(model, TASKS[task], course, rate, seed, report)
            return {
                "parameters": sum(p.numel() for p in model.parameters()),
                "seconds": round(time.perf_counter() - started, 1),
                "accuracy": round(accuracy(model, TASKS[task], course, seed), 4),
            }

        row = finished({"model": name, "task": task, "rate": rate, "seed": seed}, measured)
        progress("  ".join(f"{key} {value}" for key, value in row.items()))
        return row

    for name in models:
        for task in tasks:
            tried = {rate: run(name, task, rate, seeds[0])["accuracy"] for rate in course.rates}
            best = max(tried, key=lambda rate: tried[rate])
            for seed in seeds:
                yield run(name, task, best, seed)
