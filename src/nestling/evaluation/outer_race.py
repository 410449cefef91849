"""The outer race: the rules as optimizers of the same small models on real text.

Every optimizer trains the matrices inside the blocks; embeddings, vectors and scalars are left to
the same AdamW at the same rate, so that only the rule differs. Each has the best of at least four
rates (more, where the best one lies at the edge), then two more seeds at that rate.

- `measure_outer_race`: WikiText-2, a small Transformer and a small Hope, equal tokens.
- `measure_outer_race_stream`: books in four languages, one after the other: the loss on every
  language at the end of each. Long memories of gradients are said to help where the stream changes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nestling.evaluation.finished import DIVERGED, Finished, loss_or_diverged
from nestling.evaluation.language_modeling import MODELS
from nestling.evaluation.rows import Progress, Row
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings
from nestling.rules import (
    M3,
    AdamW,
    DeepMomentum,
    DeltaMomentum,
    Momentum,
    Muon,
    RuleOptimizer,
    parameter_groups,
)
from nestling.training.options import TextOptions
from nestling.training.text_task import TextTask, encode, held_out_loss, read_texts, window_loss
from nestling.training.tokenizer import train_tokenizer

REST_RATE = 3e-3
MODELS_RACED = ("transformer", "hope")
STREAM = ("en_novels", "de_books", "fr_books", "es_books")
STREAM_VOCABULARY = 4096


@dataclass(frozen=True)
class Entry:
    """One optimizer of the race, with the rates that it starts from."""

    kind: type[RuleOptimizer]
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2)
    options: dict[str, Any] = field(default_factory=dict)
    weight_decay: float = 0.05


def _raw(kind: type[RuleOptimizer]) -> Entry:
    """Sums of raw gradients need rates a hundred times those of updates of unit size.

    What a step takes off a weight is the rate times the decay, so the decay is a hundredth.
    """
    return Entry(kind, (0.1, 0.3, 1.0, 3.0), weight_decay=0.0005)


OPTIMIZERS: dict[str, Entry] = {
    "momentum": _raw(Momentum),
    "adamw": Entry(AdamW, options={"beta2": 0.95}),
    "muon": Entry(Muon),
    "delta momentum": _raw(DeltaMomentum),
    "deep momentum": _raw(DeepMomentum),
    "deep momentum, orthogonal output": Entry(
        DeepMomentum, options={"output": "newton_schulz", "alpha": 0.95}
    ),
    "m3": Entry(M3),
    "m3, literal": Entry(M3, options={"mode": "literal"}),
}


@dataclass(frozen=True)
class Course:
    """The size of a race: models, steps and batches."""

    width: int = 128
    layers: int = 2
    vocabulary: int = 2048
    batch: int = 8
    length: int = 128
    steps: int = 300
    windows: int = 64

    @property
    def tokens(self) -> int:
        return self.steps * self.batch * self.length

    def model(self, name: str, seed: int) -> Hope:
        """A small model of `language_modeling.MODELS`, from this seed."""
        settings = HopeSettings(
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            intermediate_size=3 * self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=4,
            sliding_window=self.length,
            chunk_size=32,
        )
        torch.manual_seed(seed)
        return Hope(replace(settings, **MODELS[name]))


def make_optimizer(entry: Entry, model: Hope, rate: float) -> RuleOptimizer:
    groups = parameter_groups(model, weight_decay=entry.weight_decay)
    return entry.kind(groups, lr=rate, adamw_scale=REST_RATE / rate, **entry.options)


def key_of(rule: str, rate: float, seed: int) -> Row:
    decay = OPTIMIZERS[rule].weight_decay
    return {"optimizer": rule, "lr": rate, "weight_decay": decay, "seed": seed}


def train(
    model: Hope,
    optimizer: RuleOptimizer,
    batches: Callable[[int], Tensor],
    steps: range,
    factor: Callable[[int], float],
    learn: bool,
) -> float:
    """Train on `batches(step)`; returns seconds a step. A loss that is not finite ends it."""
    model.train()
    rates = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
    started = time.perf_counter()
    for step in steps:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor(step)
        loss = window_loss(model, batches(step), learn)
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError("the loss is no longer finite")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return (time.perf_counter() - started) / max(1, len(steps))


def best_rate(
    rates: Sequence[float], loss_at: Callable[[float], float], extensions: int = 3
) -> tuple[float, list[float]]:
    """The rate with the lowest loss, and all rates tried; the grid grows while its edge is best."""
    tried = {rate: loss_at(rate) for rate in rates}
    for _ in range(extensions):
        ordered = sorted(tried)
        best = min(ordered, key=lambda rate: tried[rate])
        step = math.sqrt(ordered[-1] / ordered[-3])
        if best == ordered[0]:
            new = best / step
        elif best == ordered[-1]:
            new = best * step
        else:
            break
        new = float(f"{new:.3g}")
        tried[new] = loss_at(new)
    return min(tried, key=lambda rate: tried[rate]), sorted(tried)


def measure_outer_race(
    data: Path,
    *,
    models: Sequence[str] = MODELS_RACED,
    optimizers: Sequence[str] = tuple(OPTIMIZERS),
    seeds: Sequence[int] = (0, 1, 2),
    course: Course | None = None,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/outer_race.json`: one for each run, `best` marks the lr of all seeds."""
    course = course or Course()
    finished = Finished(run_file, course)
    texts = read_texts(["lm/wikitext2_train.txt.gz"], data)
    tokenizer = train_tokenizer(texts, course.vocabulary)
    ids = encode(tokenizer, texts)
    validation = encode(tokenizer, read_texts(["lm/wikitext2_valid.txt.gz"], data))

    def run(name: str, rule: str, rate: float, seed: int) -> Row:
        def measured() -> Row:
            model = course.model(name, seed)
            learn = any(level.is_written for level in model.settings.levels)
            options = TextOptions(batch=course.batch, length=course.length)
            task = TextTask(ids, None, options, seed)
            loss, seconds = DIVERGED, None
            with suppress(FloatingPointError):
                seconds = train(
                    model,
                    make_optimizer(OPTIMIZERS[rule], model, rate),
                    task.batch,
                    range(course.steps),
                    lambda step: warm_up_and_decay(step, course.steps),
                    learn,
                )
                model.eval()
                loss = held_out_loss(
                    model, validation, length=course.length, learn=learn, windows=course.windows
                )
            return {
                "tokens": course.tokens,
                "validation_loss": loss_or_diverged(loss),
                "seconds_per_step": None if seconds is None else round(seconds, 4),
            }

        key = {"model": name, **key_of(rule, rate, seed)}
        row = finished(key, measured)
        progress("  ".join(f"{key} {value}" for key, value in row.items()))
        return row

    def loss_at(name: str, rule: str) -> Callable[[float], float]:
        return lambda rate: run(name, rule, rate, seeds[0])["validation_loss"]

    for name in models:
        for rule in optimizers:
            best, rates = best_rate(OPTIMIZERS[rule].rates, loss_at(name, rule))
            runs = [(rate, seeds[0]) for rate in rates] + [(best, seed) for seed in seeds[1:]]
            for rate, seed in runs:
                yield {**run(name, rule, rate, seed), "best": rate == best}


def measure_outer_race_stream(
    data: Path,
    *,
    optimizers: Sequence[str] = tuple(OPTIMIZERS),
    domains: Sequence[str] = STREAM,
    seeds: Sequence[int] = (0, 1, 2),
    course: Course | None = None,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/outer_race_stream.json`: the loss on each domain at the end of each.

    The rate of an optimizer is the one with the lowest mean loss of every domain at its own end.
    """
    course = replace(course or Course(), vocabulary=STREAM_VOCABULARY)
    finished = Finished(run_file, course)
    parts = {
        split: [read_texts([f"domains/{name}.jsonl.gz#{split}"], data) for name in domains]
        for split in ("train", "valid")
    }
    texts = [text for texts in parts["train"] for text in texts]
    tokenizer = train_tokenizer(texts, course.vocabulary)
    ids = [encode(tokenizer, texts) for texts in parts["train"]]
    validation = [encode(tokenizer, texts) for texts in parts["valid"]]

    def run(rule: str, rate: float, seed: int) -> Row:
        def measured() -> Row:
            model = course.model("transformer", seed)
            optimizer = make_optimizer(OPTIMIZERS[rule], model, rate)
            options = TextOptions(batch=course.batch, length=course.length)
            losses: dict[str, float] = {}
            diverged = False
            for place, stream in enumerate(ids):
                task = TextTask(stream, None, options, seed)
                steps = range(place * course.steps, (place + 1) * course.steps)
                try:
                    if not diverged:
                        train(model.train(), optimizer, task.batch, steps, warm_up, False)
                except FloatingPointError:
                    diverged = True
                for other, held in enumerate(validation):
                    loss = DIVERGED
                    if not diverged:
                        loss = held_out_loss(
                            model.eval(),
                            held,
                            length=course.length,
                            learn=False,
                            windows=course.windows,
                        )
                    losses[f"{place}/{other}"] = loss_or_diverged(loss)
            return losses

        row = finished(key_of(rule, rate, seed), measured)
        progress(f"{rule}  rate {rate}  seed {seed}  mean {own_loss(row, len(domains)):.4f}")
        return row

    for rule in optimizers:
        best, _ = best_rate(
            OPTIMIZERS[rule].rates,
            lambda rate, rule=rule: own_loss(run(rule, rate, seeds[0]), len(domains)),
        )
        for seed in seeds:
            row = run(rule, best, seed)
            for place, learned in enumerate(domains):
                for other, asked in enumerate(domains):
                    yield {
                        **key_of(rule, best, seed),
                        "after": learned,
                        "order": place,
                        "domain": asked,
                        "loss": row[f"{place}/{other}"],
                    }


def own_loss(row: Row, count: int) -> float:
    """Mean over the domains of the loss at the end of their own training."""
    return sum(row[f"{place}/{place}"] for place in range(count)) / count


def warm_up(step: int, steps: int = 30) -> float:
    return min(1.0, (step + 1) / steps)


def warm_up_and_decay(step: int, steps: int) -> float:
    return min(1.0, 10 * (step + 1) / steps) * (1 - step / steps)
