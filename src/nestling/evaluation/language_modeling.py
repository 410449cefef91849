"""Language modelling on real text: a small Hope beside its peers of equal size and tokens.

All models share tokenizer, data, batch order, optimizer and schedule; only the mixer and the
writes differ. The Transformer is the same code with attention and static MLPs. A Hope writes while
it reads: every token is answered before it is learned. Windows are read fresh, each by itself, and
with the state carried from one to the next.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nestling.evaluation.finished import DIVERGED, Finished, loss_or_diverged
from nestling.evaluation.rows import Progress, Row
from nestling.memory.level import Level
from nestling.models.hope import Hope
from nestling.models.presets import matched, parameter_count
from nestling.models.settings import HopeSettings
from nestling.training.loop import Trainer
from nestling.training.options import LoopOptions, TextOptions
from nestling.training.text_task import TextTask, encode, losses_by_position, read_texts
from nestling.training.tokenizer import train_tokenizer

CORPORA = {
    "wikitext2": (("lm/wikitext2_train.txt.gz",), ("lm/wikitext2_valid.txt.gz",)),
    "novels": (("domains/en_novels.jsonl.gz#train",), ("domains/en_novels.jsonl.gz#test",)),
}
VOCABULARY = 4096
# Of training, in the table beside the paper's.
TOKENS = 300_000
WRITTEN = (Level(period=32, rate=1.0),)
Variants = Mapping[str, Mapping[str, Any]]
"""Models by name, each with the settings in which it differs from the others."""

MODELS: Variants = {
    "transformer": {"mixer": "attention", "levels": (Level(period=0),)},
    "hope-attention": {"mixer": "attention", "levels": WRITTEN},
    "hope": {"mixer": "self_modifying", "levels": WRITTEN},
    "titans": {"mixer": "titans", "levels": (Level(period=0),)},
    "delta_net": {"mixer": "delta_net", "levels": (Level(period=0),)},
    "retention": {"mixer": "retention", "levels": (Level(period=0),)},
}
# Loss is reported for the places of a window up to each of these.
PLACES = (16, 64, 256)


def settings_of(name: str, variants: Variants = MODELS) -> HopeSettings:
    """One of the variants, its MLPs as wide as it takes to have the Transformer's parameters."""
    base = HopeSettings(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        sliding_window=256,
        chunk_size=32,
    )
    return matched(
        replace(base, **variants[name]), parameter_count(replace(base, **MODELS["transformer"]))
    )


@dataclass(frozen=True)
class Course:
    """Training tokens of a model, tokens of a window, windows of a step."""

    tokens: int
    length: int
    batch: int


def measure_language_modeling(
    data: Path,
    *,
    corpora: Sequence[str] = ("wikitext2",),
    variants: Variants = MODELS,
    models: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    tokens: int = 1_000_000,
    length: int = 256,
    batch: int = 4,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/language_modeling.json`.

    Args:
        data: folder that holds `lm/` and `domains/`.
        variants: the models there are; `models` names some of them, None means all.
        tokens: training tokens of each model.
        run_file: of finished runs; a later start goes on from it.
    """
    course = Course(tokens, length, batch)
    finished = Finished(run_file, course, variants)
    for corpus in corpora:
        train_files, validation_files = CORPORA[corpus]
        train_texts = read_texts(train_files, data)
        tokenizer = train_tokenizer(train_texts, VOCABULARY)
        train = encode(tokenizer, train_texts)
        validation = encode(tokenizer, read_texts(validation_files, data))
        for seed in seeds:
            for name in models or tuple(variants):
                settings = settings_of(name, variants)

                def measured(
                    settings: HopeSettings = settings,
                    name: str = name,
                    seed: int = seed,
                    corpus: str = corpus,
                    train: Tensor = train,
                    validation: Tensor = validation,
                ) -> Row:
                    report = _reporter(progress, corpus, name, seed)
                    return _train_and_ask(settings, seed, train, validation, course, report)

                row = finished({"data": corpus, "model": name, "seed": seed}, measured)
                progress("  ".join(f"{key} {value}" for key, value in row.items()))
                yield row


def _train_and_ask(
    settings: HopeSettings,
    seed: int,
    train: Tensor,
    validation: Tensor,
    course: Course,
    report: Callable[[int, dict[str, float]], None],
) -> Row:
    learn = any(level.is_written for level in settings.levels)
    options = TextOptions(batch=course.batch, length=course.length, learn=learn)
    steps = course.tokens // (course.batch * course.length)
    loop = LoopOptions(
        steps=steps,
        learning_rate=3e-3,
        warmup=max(1, steps // 10),
        seed=seed,
        log_every=50,
        checkpoint_every=10**9,
    )
    torch.manual_seed(seed)
    model = Hope(settings)
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            Trainer(model, TextTask(train, None, options, seed), loop, folder, report).run()
        diverged = False
    except FloatingPointError:
        diverged = True
    seconds = time.perf_counter() - started
    model.eval()
    trained = steps * course.batch * course.length
    row: Row = {
        "parameters": parameter_count(settings),
        "tokens": trained,
        "diverged": diverged,
    }
    for carried in (False, True):
        kind = "carried" if carried else "fresh"
        if diverged:
            losses = torch.full((course.length,), math.nan)
        else:
            losses = losses_by_position(
                model, validation, length=course.length, learn=learn, carried=carried, windows=25
            )
        loss = _finite(losses.mean())
        row |= {
            f"{kind}_loss": loss,
            f"{kind}_perplexity": None if loss is None else round(math.exp(loss), 3),
        }
        places = [place for place in PLACES if place <= course.length]
        for first, last in pairwise([0, *places]):
            row[f"{kind}_loss_{first}_{last}"] = _finite(losses[first:last].mean())
    return {
        **row,
        # The names that others read.
        "validation_loss": row["fresh_loss"],
        "perplexity": row["fresh_perplexity"],
        "tokens_per_second": round(trained / seconds),
    }


def _finite(loss: Tensor) -> float | None:
    """A loss in four digits; None where it has left the numbers, or all sense."""
    value = loss_or_diverged(loss.item())
    return None if value == DIVERGED else value


def _reporter(progress: Progress, corpus: str, name: str, seed: int):
    def report(step: int, numbers: dict[str, float]) -> None:
        progress(f"{corpus} {name} seed {seed} step {step} loss {numbers['loss']:.3f}")

    return report
