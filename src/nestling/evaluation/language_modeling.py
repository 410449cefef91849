"""Language modelling on real text: a small Hope beside a Transformer of equal size and tokens.

All models share tokenizer, data, batch order, optimizer and schedule; only the mixer and the
writes differ. The Transformer is the same code with attention and static MLPs. A Hope writes while
it reads: every token is answered before it is learned.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nestling.memory.level import Level
from nestling.models.hope import Hope
from nestling.models.presets import matched, parameter_count
from nestling.models.settings import HopeSettings
from nestling.training.loop import Trainer
from nestling.training.options import LoopOptions, TextOptions
from nestling.training.text_task import TextTask, encode, held_out_loss, read_texts
from nestling.training.tokenizer import train_tokenizer

Row = dict[str, Any]
Progress = Callable[[str], None]

CORPORA = {
    "wikitext2": (("lm/wikitext2_train.txt.gz",), ("lm/wikitext2_valid.txt.gz",)),
    "novels": (("domains/en_novels.jsonl.gz#train",), ("domains/en_novels.jsonl.gz#valid",)),
}
VOCABULARY = 4096
WRITTEN = (Level(period=32, rate=1.0),)
MODELS: dict[str, dict[str, Any]] = {
    "transformer": {"mixer": "attention", "levels": (Level(period=0),)},
    "hope-attention": {"mixer": "attention", "levels": WRITTEN},
    "hope": {"mixer": "self_modifying", "levels": WRITTEN},
}


def settings_of(name: str, width: int = 192, layers: int = 4) -> HopeSettings:
    """One of `MODELS`, with the MLP width chosen so that the parameters match the Transformer's."""
    base = HopeSettings(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=512,
        num_hidden_layers=layers,
        num_attention_heads=4,
        sliding_window=256,
        chunk_size=32,
    )
    return matched(
        replace(base, **MODELS[name]), parameter_count(replace(base, **MODELS["transformer"]))
    )


def measure_language_modeling(
    data: Path,
    *,
    corpora: Sequence[str] = ("wikitext2",),
    models: Sequence[str] = tuple(MODELS),
    seeds: Sequence[int] = (0,),
    tokens: int = 1_000_000,
    length: int = 256,
    batch: int = 4,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/language_modeling.json`.

    Args:
        data: folder that holds `lm/` and `domains/`.
        tokens: training tokens of each model.
    """
    for corpus in corpora:
        train_files, validation_files = CORPORA[corpus]
        train_texts = read_texts(train_files, data)
        tokenizer = train_tokenizer(train_texts, VOCABULARY)
        train = encode(tokenizer, train_texts)
        validation = encode(tokenizer, read_texts(validation_files, data))
        for seed in seeds:
            for name in models:
                settings = settings_of(name)
                learn = any(level.is_written for level in settings.levels)
                task = TextTask(
                    train, None, TextOptions(batch=batch, length=length, learn=learn), seed
                )
                steps = tokens // (batch * length)
                loop = LoopOptions(
                    steps=steps,
                    learning_rate=3e-3,
                    warmup=max(1, steps // 10),
                    seed=seed,
                    log_every=50,
                )
                torch.manual_seed(seed)
                model = Hope(settings)
                started = time.perf_counter()
                with tempfile.TemporaryDirectory() as folder:
                    Trainer(
                        model, task, loop, folder, _reporter(progress, corpus, name, seed)
                    ).run()
                seconds = time.perf_counter() - started
                model.eval()
                loss = held_out_loss(model, validation, length=length, learn=learn, windows=200)
                yield {
                    "data": corpus,
                    "model": name,
                    "parameters": parameter_count(settings),
                    "tokens": loop.steps * batch * length,
                    "seed": seed,
                    "validation_loss": round(loss, 4),
                    "perplexity": round(math.exp(loss), 3),
                    "tokens_per_second": round(loop.steps * batch * length / seconds),
                }


def _reporter(progress: Progress, corpus: str, name: str, seed: int):
    def report(step: int, numbers: dict[str, float]) -> None:
        progress(f"{corpus} {name} seed {seed} step {step} loss {numbers['loss']:.3f}")

    return report
