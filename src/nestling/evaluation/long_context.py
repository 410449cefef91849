"""Small models that learn to find what is hidden in short documents, asked in ever longer ones.

A document is read in pieces, with nothing but the memory state carried from one to the next, and
the question is asked of that state. All models share tokenizer, data, batch order, optimizer and
schedule. The Transformer and Hope-Attention keep every token they have read, the others do not.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nestling.evaluation.babilong import SHORTCUTS, shortcuts, stories, words_of
from nestling.evaluation.finished import Finished
from nestling.evaluation.haystack import Draw, Haystack, Reading
from nestling.evaluation.language_modeling import MODELS, Variants
from nestling.evaluation.needles import MADE_UP, NEEDLES
from nestling.evaluation.rows import Progress, Row
from nestling.evaluation.sequence_tasks import IGNORED, RECALLING
from nestling.models.hope import Hope
from nestling.models.presets import matched, parameter_count
from nestling.models.settings import HopeSettings
from nestling.training.steps import take_step
from nestling.training.text_task import read_texts
from nestling.training.tokenizer import train_tokenizer

BOOKS = "domains/en_novels.jsonl.gz"
# What is told once must be known at once: Hope is set as for associative recall, with rates at
# which a long document does not hang on rounding.
VARIANTS: Variants = {
    **MODELS,
    "hope": {
        **MODELS["hope"],
        "self_modifying": replace(RECALLING["hope"]["self_modifying"], eta_max=0.5),
    },
}
# Tokens of questions behind a document that attention keeps besides.
_QUESTIONS = 128
# The models of the published tables.
MODELS_ASKED = ("transformer", "hope-attention", "titans", "delta_net", "hope")
BABILONG_ASKED = (*MODELS_ASKED, *SHORTCUTS)


@dataclass(frozen=True)
class Course:
    """The size of the benchmark.

    Args:
        tokens: of the documents of one step.
        trained: lengths of documents in training, from the first for half of the steps on, where
            a step asks most, to the last; the others share the rest equally.
        asked: lengths of documents at the end.
        asked_tokens: of all documents of one kind and length at the end, but at least `fewest`
            documents and at most `most`.
        piece: tokens read at a time.
    """

    width: int = 128
    layers: int = 2
    heads: int = 4
    vocabulary: int = 2048
    chunk_size: int = 32
    steps: int = 1500
    tokens: int = 2048
    trained: tuple[int, ...] = (64, 128, 256, 512, 1024)
    learning_rate: float = 3e-3
    asked: tuple[int, ...] = (512, 1024, 2048, 4096, 8192)
    asked_tokens: int = 131_072
    fewest: int = 16
    most: int = 64
    piece: int = 1024

    def settings(self, name: str, variants: Variants) -> HopeSettings:
        """One of the variants, with the parameters of the Transformer.

        Attention keeps the longest document of training and the questions behind it.
        """
        base = HopeSettings(
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            intermediate_size=3 * self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            sliding_window=max(self.trained) + _QUESTIONS,
            chunk_size=self.chunk_size,
        )
        count = parameter_count(replace(base, **MODELS["transformer"]))
        return matched(replace(base, **variants[name]), count)

    def length_at(self, step: int) -> int:
        """Tokens of the documents of a step of training."""
        first, *rest = self.trained
        behind = 2 * step - self.steps
        return first if behind < 0 or not rest else rest[behind * len(rest) // self.steps]

    def documents(self, length: int) -> int:
        return min(self.most, max(self.fewest, self.asked_tokens // length))


@dataclass(frozen=True)
class Kinds:
    """What is hidden when training and what when asking, by kind; and in what."""

    train: Mapping[str, Draw]
    asked: Mapping[str, Draw]
    haystacks: Mapping[str, Haystack]

    @classmethod
    def from_books(
        cls,
        data: Path,
        train: Mapping[str, Draw],
        asked: Mapping[str, Draw],
        words: Sequence[str],
        vocabulary: int,
    ) -> Kinds:
        """The books' training passages for training, their test passages for asking.

        `words` are told so often to the tokenizer that each becomes a token.
        """
        texts = {split: read_texts([f"{BOOKS}#{split}"], data) for split in ("train", "test")}
        often = ["".join(f" {word}" for word in words)] * 1000
        tokenizer = train_tokenizer([*texts["train"], *often], vocabulary)
        return cls(train, asked, {split: Haystack(tokenizer, texts[split]) for split in texts})


def measure_long_context(
    kinds: Kinds,
    *,
    variants: Variants = VARIANTS,
    models: Sequence[str] = MODELS_ASKED,
    seeds: Sequence[int] = (0, 1, 2),
    course: Course | None = None,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """One row for each model, seed, kind and length: the share of the answers that are right.

    Args:
        variants: the models there are; `models` names those that are asked.
        run_file: of finished runs; a later start goes on from it.
    """
    course = course or Course()
    finished = Finished(run_file, course, variants, form=2)
    for seed in seeds:
        for name in models:

            def measured(name: str = name, seed: int = seed) -> Row:
                torch.manual_seed(seed)
                model = Hope(course.settings(name, variants))

                def report(line: str) -> None:
                    progress(f"{name}  seed {seed}  {line}")

                started = time.perf_counter()
                train(model, kinds, course, seed, report)
                seconds = round(time.perf_counter() - started, 1)
                values: Row = {"parameters": parameter_count(model.settings), "seconds": seconds}
                for kind in kinds.asked:
                    for length in course.asked:
                        right = ask(model, kinds, kind, length, course, seed)
                        values[f"{kind}/{length}"] = round(sum(right) / len(right), 4)
                        report(f"{kind} in {length} tokens  {values[f'{kind}/{length}']:.3f}")
                return values

            row = finished({"model": name, "seed": seed}, measured)
            for kind in kinds.asked:
                for length in course.asked:
                    yield {
                        "model": name,
                        "seed": seed,
                        "parameters": row["parameters"],
                        "seconds": row["seconds"],
                        "kind": kind,
                        "length": length,
                        "documents": course.documents(length),
                        "accuracy": row[f"{kind}/{length}"],
                    }


def train(model: Hope, kinds: Kinds, course: Course, seed: int, report: Progress) -> None:
    """Train on documents of all kinds, by the tokens of the answers and, as much again, by all.

    By the answers alone even attention does not begin to copy within the steps that there are.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=course.learning_rate, betas=(0.9, 0.95), weight_decay=0.1
    )
    learn = _learns(model)
    draws = list(kinds.train.values())
    model.train()
    for step in range(course.steps):
        rng = random.Random(f"long context {seed} {step}")
        length = course.length_at(step)
        haystack = kinds.haystacks["train"]
        readings, count = [], max(1, course.tokens // length)
        for place in range(step * count, (step + 1) * count):
            puzzle = haystack.draw(draws[place % len(draws)], length, rng)
            readings.append(haystack.read(puzzle, length, rng))
        ids, mask, targets, _ = stack_readings(readings)
        logits = model(ids, mask, learn=learn).logits
        scored, known = targets != IGNORED, mask[:, 1:]
        loss = F.cross_entropy(logits[scored].float(), targets[scored])
        loss = loss + F.cross_entropy(logits[:, :-1][known].float(), ids[:, 1:][known])
        factor = min(1.0, (step + 1) / 100) * min(1.0, 2 * (1 - step / course.steps))
        take_step(model, optimizer, loss, course.learning_rate * factor)
        if step % 50 == 0:
            right = (logits[scored].argmax(-1) == targets[scored]).float().mean().item()
            report(f"step {step}  loss {loss.item():.3f}  tokens right {right:.2f}")


@torch.no_grad()
def ask(model: Hope, kinds: Kinds, kind: str, length: int, course: Course, seed: int) -> list[bool]:
    """Which answers of the documents of a kind and length are right, all tokens of each.

    The puzzles of all lengths are the same; they fit the shortest.
    """
    model = keeping(model, length + _QUESTIONS)
    learn, haystack = _learns(model), kinds.haystacks["test"]
    readings = []
    for place in range(course.documents(length)):
        rng = random.Random(f"long context asked {kind} {seed} {place}")
        puzzle = haystack.draw(kinds.asked[kind], min(course.asked), rng)
        readings.append(haystack.read(puzzle, length, rng))
    found = []
    together = max(1, course.tokens // min(length, course.piece))
    for first in range(0, len(readings), together):
        found += ask_together(model, readings[first : first + together], course.piece, learn)
    return found


def keeping(model: Hope, tokens: int) -> Hope:
    """The same model, attention in which keeps so many tokens."""
    longer = Hope(replace(model.settings, sliding_window=tokens))
    longer.load_state_dict(model.state_dict())
    return longer.eval()


def ask_together(model: Hope, readings: Sequence[Reading], piece: int, learn: bool) -> list[bool]:
    """Which answers are right, of documents of one length that are read side by side."""
    documents = torch.tensor([reading.document for reading in readings])
    state = model.new_state(len(readings))
    # The last token is read with the question, so that something precedes it.
    for ids in documents[:, :-1].split(piece, dim=1):
        state = model(ids, state=state, learn=learn).state
    ends = [replace(reading, document=reading.document[-1:]) for reading in readings]
    ids, mask, targets, places = stack_readings(ends)
    predicted = model(ids, mask, state=state, learn=learn).logits.argmax(-1)
    wrong = (predicted != targets) & (targets != IGNORED)
    return [
        not bool(wrong[row, answer.start : answer.stop].any())
        for row, answers in enumerate(places)
        for answer in answers
    ]


def stack_readings(
    readings: Sequence[Reading],
) -> tuple[Tensor, Tensor, Tensor, list[list[range]]]:
    """Ids, mask and targets [B, T], right-padded, and the places of the answers among the targets.

    A target is the next token where that belongs to an answer, else `IGNORED`.
    """
    rows = [reading.document + reading.questions for reading in readings]
    width = max(map(len, rows)) - 1
    ids = torch.zeros(len(rows), width, dtype=torch.int64)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    targets = torch.full((len(rows), width), IGNORED)
    places = []
    for place, (row, reading) in enumerate(zip(rows, readings, strict=True)):
        ids[place, : len(row) - 1] = torch.tensor(row[:-1])
        mask[place, : len(row) - 1] = True
        shift = len(reading.document) - 1
        answers = [range(a.start + shift, a.stop + shift) for a in reading.answers]
        for answer in answers:
            targets[place, answer.start : answer.stop] = torch.tensor(
                row[answer.start + 1 : answer.stop + 1]
            )
        places.append(answers)
    return ids, mask, targets, places


def measure_needles(data: Path, *, course: Course | None = None, **options: Any) -> Iterator[Row]:
    """Rows for `results/needles.json`: those of `measure_long_context` for the kinds of needles."""
    course = course or Course()
    kinds = Kinds.from_books(data, NEEDLES, NEEDLES, MADE_UP, course.vocabulary)
    return measure_long_context(kinds, course=course, **options)


def measure_babilong(
    data: Path,
    *,
    course: Course | None = None,
    models: Sequence[str] | None = None,
    **options: Any,
) -> Iterator[Row]:
    """Rows for `results/babilong.json`: those of `measure_long_context` for the tasks of bAbI.

    Args:
        models: some of `BABILONG_ASKED`; shortcuts are no models, but can be told beside them.
    """
    course = course or Course()
    models = BABILONG_ASKED if models is None else models
    told = [name for name in models if name in SHORTCUTS]
    models = [name for name in models if name not in SHORTCUTS]
    if models:
        train, test = stories(data, "train"), stories(data, "test")
        kinds = Kinds.from_books(data, train, test, words_of(data), course.vocabulary)
        yield from measure_long_context(kinds, models=models, course=course, **options)
    shares = shortcuts(data) if told else {}
    for name in told:
        for kind, accuracy in shares[name].items():
            for length in course.asked:
                yield {
                    "model": name,
                    "seed": 0,
                    "parameters": 0,
                    "seconds": 0.0,
                    "kind": kind,
                    "length": length,
                    "documents": course.documents(length),
                    "accuracy": accuracy,
                }


def _learns(model: Hope) -> bool:
    return any(level.is_written for level in model.settings.levels)
