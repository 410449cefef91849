"""Formal languages: can a model keep a count or a parity, at lengths it never saw?

The set-up of Bhattamishra et al. (2020) and Irie et al. (2023), NL §6.6: after every symbol of a
string the model says which symbols may follow, the end among them. A string is right when every
step of it is right. Models are trained on strings of the short bin and asked in both bins.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nestling.evaluation.finished import Finished
from nestling.evaluation.rows import Progress, Row
from nestling.evaluation.sequence_tasks import PEERS
from nestling.memory.level import Level
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings
from nestling.training.steps import take_step

START = 0
# The last symbol of every alphabet; it is predicted and never read.
END = "$"
BINS = {"short": (2, 50), "long": (52, 100)}


@dataclass(frozen=True)
class Language:
    """A language by its strings and by what may follow a prefix.

    Args:
        symbols: without the end.
        draw: a string whose length lies between two bounds.
        follow: the symbols that may follow a prefix, `END` among them.
    """

    symbols: str
    draw: Callable[[random.Random, int, int], str]
    follow: Callable[[str], str]

    def encode(self, text: str) -> tuple[list[int], list[list[float]]]:
        """Ids of the start and the string, and after each of them a row of what may follow."""
        alphabet = self.symbols + END
        rows = []
        for end in range(len(text) + 1):
            allowed = self.follow(text[:end])
            rows.append([float(symbol in allowed) for symbol in alphabet])
        return [START] + [1 + self.symbols.index(symbol) for symbol in text], rows


def _draw_parity(rng: random.Random, low: int, high: int) -> str:
    bits = [rng.choice("01") for _ in range(rng.randint(low, high))]
    if bits.count("1") % 2:
        place = rng.randrange(len(bits))
        bits[place] = "1" if bits[place] == "0" else "0"
    return "".join(bits)


def _repeat(word: str) -> Callable[[random.Random, int, int], str]:
    def draw(rng: random.Random, low: int, high: int) -> str:
        return word * rng.randint(-(-low // len(word)), high // len(word))

    return draw


def _blocks(letters: str) -> Callable[[random.Random, int, int], str]:
    def draw(rng: random.Random, low: int, high: int) -> str:
        count = rng.randint(-(-low // len(letters)), high // len(letters))
        return "".join(letter * count for letter in letters)

    return draw


def _follow_blocks(letters: str) -> Callable[[str], str]:
    def follow(prefix: str) -> str:
        if not prefix:
            return letters[0]
        counts = [prefix.count(letter) for letter in letters]
        place = letters.index(prefix[-1])
        if place == 0:
            return letters[0] + letters[1]
        if counts[place] < counts[0]:
            return letters[place]
        return letters[place + 1] if place + 1 < len(letters) else END

    return follow


def _draw_shuffle(rng: random.Random, low: int, high: int) -> str:
    """A walk of two kinds of brackets that ends with none open."""
    length = 2 * rng.randint(-(-low // 2), high // 2)
    counts, text = [0, 0], ""
    while len(text) < length:
        kind = rng.randrange(2)
        closes = counts[kind] and rng.random() < 0.5
        if sum(counts) >= length - len(text):
            kind = kind if counts[kind] else 1 - kind
            closes = 1
        counts[kind] += -1 if closes else 1
        text += ("()", "[]")[kind][1 if closes else 0]
    return text


def _follow_shuffle(prefix: str) -> str:
    round_open = prefix.count("(") > prefix.count(")")
    square_open = prefix.count("[") > prefix.count("]")
    closing = (")" if round_open else "") + ("]" if square_open else "")
    return "([" + closing + ("" if closing else END)


LANGUAGES: dict[str, Language] = {
    "parity": Language("01", _draw_parity, lambda p: "01" if p.count("1") % 2 else "01" + END),
    "(aa)*": Language("a", _repeat("aa"), lambda p: "a" if len(p) % 2 else "a" + END),
    "(abab)*": Language(
        "ab", _repeat("abab"), lambda p: "ab"[len(p) % 2] + ("" if len(p) % 4 else END)
    ),
    "a^n b^n": Language("ab", _blocks("ab"), _follow_blocks("ab")),
    "a^n b^n c^n": Language("abc", _blocks("abc"), _follow_blocks("abc")),
    "shuffle-2": Language("()[]", _draw_shuffle, _follow_shuffle),
}

_STATIC = (Level(period=0),)
# In chunks of one token nothing goes stale, and "l2" can turn around what a memory holds: parity
# needs that. Titans take four, because in chunks of one a table of them would take half a day; what
# the others read and write does not depend on chunks.
_MODELS = {
    **{name: {**settings, "chunk_size": 16} for name, settings in PEERS.items()},
    "hope": {"mixer": "self_modifying", "chunk_size": 1},
    "titans": {**PEERS["titans"], "chunk_size": 4},
}


@dataclass(frozen=True)
class Course:
    """The size of the benchmark.

    Args:
        steps: at most; when `patience` batches in a row were all right, training only settles.
        settle: last steps, over which the learning rate falls to zero.
        strings: asked in each bin.
    """

    width: int = 32
    layers: int = 2
    heads: int = 2
    steps: int = 2500
    patience: int = 200
    settle: int = 400
    batch: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    strings: int = 200

    def model(self, name: str, language: Language, seed: int) -> Hope:
        """A small model."""
        settings = HopeSettings(
            vocab_size=len(language.symbols) + 1,
            hidden_size=self.width,
            intermediate_size=2 * self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            levels=_STATIC,
            sliding_window=2 * BINS["long"][1],
            tie_word_embeddings=False,
        )
        torch.manual_seed(seed)
        return Hope(replace(settings, **_MODELS[name]))


@dataclass(frozen=True)
class Strings:
    """Strings as tensors: ids and mask [B, T], what may follow [B, T, V]."""

    ids: Tensor
    mask: Tensor
    follow: Tensor


def draw_strings(language: Language, rng: random.Random, name: str, count: int) -> Strings:
    """`count` strings of a bin, right-padded."""
    low, high = BINS[name]
    drawn = [language.encode(language.draw(rng, low, high)) for _ in range(count)]
    length = max(len(ids) for ids, _ in drawn)
    width = len(language.symbols) + 1
    ids = torch.zeros(count, length, dtype=torch.int64)
    mask = torch.zeros(count, length, dtype=torch.bool)
    follow = torch.zeros(count, length, width)
    for place, (row, rows) in enumerate(drawn):
        ids[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = True
        follow[place, : len(row)] = torch.tensor(rows)
    return Strings(ids, mask, follow)


def read_strings(model: Hope, strings: Strings) -> tuple[Tensor, Tensor]:
    """The loss, and which strings [B] are right at every step."""
    logits = model(strings.ids, strings.mask).logits
    loss = F.binary_cross_entropy_with_logits(logits[strings.mask], strings.follow[strings.mask])
    wrong = ((logits > 0) != (strings.follow > 0.5)).any(-1) & strings.mask
    return loss, ~wrong.any(-1)


def train(model: Hope, language: Language, course: Course, seed: int, report: Progress) -> int:
    """Train on the short bin; returns the steps that were made."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=course.learning_rate, weight_decay=course.weight_decay
    )
    model.train()
    in_a_row, step, end = 0, 0, course.steps
    while step < end:
        rng = random.Random(f"formal languages {seed} {step}")
        loss, right = read_strings(model, draw_strings(language, rng, "short", course.batch))
        factor = min(1.0, (step + 1) / 50) * min(1.0, (end - step) / course.settle)
        take_step(model, optimizer, loss, course.learning_rate * factor)
        in_a_row = in_a_row + 1 if bool(right.all()) else 0
        if step % 100 == 0:
            report(f"step {step}  loss {loss.item():.4f}  right {right.float().mean().item():.2f}")
        step += 1
        if in_a_row == course.patience:
            end = min(end, step + course.settle)
    return step


@torch.no_grad()
def accuracy(model: Hope, language: Language, name: str, course: Course, seed: int) -> float:
    """Share of the strings of a bin that are right."""
    model.eval()
    rng = random.Random(f"formal languages asked {name} {seed}")
    _, right = read_strings(model, draw_strings(language, rng, name, course.strings))
    return right.float().mean().item()


def measure_formal_languages(
    *,
    models: Sequence[str] = tuple(PEERS),
    languages: Sequence[str] = tuple(LANGUAGES),
    seeds: Sequence[int] = (0, 1, 2),
    course: Course | None = None,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/formal_languages.json`: one for each model, language, bin and seed."""
    course = course or Course()
    finished = Finished(run_file, course, _MODELS)
    for name in models:
        for task in languages:
            for seed in seeds:

                def measured(name: str = name, task: str = task, seed: int = seed) -> Row:
                    language = LANGUAGES[task]
                    model = course.model(name, language, seed)
                    started = time.perf_counter()

                    def report(line: str) -> None:
                        progress(f"{name}  {task}  seed {seed}  {line}")

                    steps = train(model, language, course, seed, report)
                    return {
                        "parameters": sum(p.numel() for p in model.parameters()),
                        "steps": steps,
                        "seconds": round(time.perf_counter() - started, 1),
                        **{
                            place: round(accuracy(model, language, place, course, seed), 4)
                            for place in BINS
                        },
                    }

                row = finished({"model": name, "task": task, "seed": seed}, measured)
                progress("  ".join(f"{key} {value}" for key, value in row.items()))
                for place in BINS:
                    rest = {key: value for key, value in row.items() if key not in BINS}
                    yield {**rest, "bin": place, "accuracy": row[place]}
