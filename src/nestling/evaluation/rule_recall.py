"""The inner race: which rule writes best into the continuum memory.

Each rule is meta-trained on the told-facts notes (the remembering half of the task alone), from the
same start, with the same data and budget and a delta of the same size. The rate it starts from is
the better of a few, tried for a share of the budget; from there it is learned. Then residents are
told facts with values held out, note by note, and every fact is asked.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nestling.evaluation.finished import Finished, loss_or_diverged
from nestling.memory.level import Level
from nestling.models.dialogue import Dialogue
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings
from nestling.training.loop import Trainer
from nestling.training.options import LoopOptions, ToldFactsOptions
from nestling.training.recipe import told_facts_texts
from nestling.training.tokenizer import train_tokenizer
from nestling.training.told_facts import FactSource
from nestling.training.told_facts_task import ToldFactsTask, answer_loss

Row = dict[str, Any]
Progress = Callable[[str], None]

WANTED = 0.9


@dataclass(frozen=True)
class Entry:
    """One rule of the race: its options and the rates it may start from."""

    rates: tuple[float, ...]
    options: dict[str, Any] = field(default_factory=dict)
    rule: str = ""


RULES: dict[str, Entry] = {
    "gradient descent": Entry((100.0, 300.0), rule="gradient_descent"),
    "momentum": Entry((50.0, 150.0), {"alpha": 0.5}, "momentum"),
    "delta momentum": Entry((50.0, 150.0), {"alpha": 0.5}, "delta_momentum"),
    "deep momentum": Entry((50.0, 150.0), {"alpha": 0.5, "hidden": 16}, "deep_momentum"),
    "delta gradient descent": Entry((0.3, 3.0), {"scale": 200.0}, "delta_gradient_descent"),
    "muon": Entry((10.0, 40.0), {"alpha": 0.5, "nesterov": False}, "muon"),
}


@dataclass(frozen=True)
class Course:
    """The size of the race."""

    steps: int = 600
    trial: int = 150
    notes: int = 128
    stages: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128)
    facts: tuple[int, ...] = (32, 128, 512, 1024)
    questions: int = 1024
    width: int = 128
    memory: int = 512
    vocabulary: int = 2048

    def model(self, level: Level, seed: int) -> Hope:
        torch.manual_seed(seed)
        return Hope(
            HopeSettings(
                vocab_size=self.vocabulary,
                hidden_size=self.width,
                intermediate_size=2 * self.width,
                memory_intermediate_size=self.memory,
                num_hidden_layers=2,
                num_attention_heads=4,
                mixer="attention",
                levels=(level,),
            )
        )


class NotesTask(ToldFactsTask):
    """The remembering half of the told-facts task."""

    def loss(
        self, model: Hope, step: int, precision: torch.dtype
    ) -> tuple[Tensor, dict[str, float]]:
        rng = random.Random(f"notes {self.seed} {step}")
        return self.remembering(model, step, precision, FactSource(rng), rng)


def measure_rule_recall(
    *,
    rules: Sequence[str] = tuple(RULES),
    seeds: Sequence[int] = (0, 1, 2),
    course: Course | None = None,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/rule_recall.json`: one for each rule, seed and number of facts."""
    course = course or Course()
    finished = Finished(run_file, course)
    dialogue = Dialogue(train_tokenizer(told_facts_texts(0, 20_000), course.vocabulary))

    def train(
        rule: str, rate: float, seed: int, until: int, course: Course = course
    ) -> tuple[Hope, float]:
        """The model after some steps, and the mean loss of the last tenth of them."""
        entry = RULES[rule]
        level = Level(period=64, rule=entry.rule, rate=rate, rule_options=entry.options)
        model = course.model(level, seed)
        told = ToldFactsOptions(notes=course.notes, residents=16, stages=course.stages, advance=0.8)
        loop = LoopOptions(
            steps=course.steps,
            learning_rate=2e-3,
            warmup=50,
            schedule=((0.0, 1.0), (1.0, 0.0)),
            seed=seed,
            log_every=1,
            checkpoint_every=10**9,
        )
        losses: list[float] = []

        def report(step: int, numbers: dict[str, float]) -> None:
            losses.append(numbers["loss"])
            if step % 50 == 0:
                progress(
                    f"{rule}  rate {rate}  seed {seed}  step {step}  "
                    f"facts {numbers['facts']}  recalled {numbers['recalled']:.2f}"
                )

        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(model, NotesTask(dialogue, told, seed), loop, folder, report)
            try:
                trainer.run(until)
            except FloatingPointError:
                return model, math.inf
        last = losses[-max(1, until // 10) :]
        return model, sum(last) / len(last)

    for rule in rules:
        trials = {
            rate: finished(
                {"rule": rule, "rate": rate, "trial": course.trial},
                lambda rule=rule, rate=rate, trial=course.trial: {
                    "loss": loss_or_diverged(train(rule, rate, seeds[0], trial)[1])
                },
            )["loss"]
            for rate in RULES[rule].rates
        }
        rate = min(trials, key=lambda rate: trials[rate])
        for seed in seeds:

            def measured(rule: str = rule, rate: float = rate, seed: int = seed) -> Row:
                model, loss = train(rule, rate, seed, course.steps)
                values = {"loss": loss_or_diverged(loss)}
                for facts in course.facts:
                    told, refused = recall(model, dialogue, facts, course.questions, seed)
                    values |= {f"{facts}/recalled": told, f"{facts}/refused": refused}
                return values

            row = finished({"rule": rule, "rate": rate, "seed": seed}, measured)
            progress("  ".join(f"{key} {value}" for key, value in row.items()))
            for facts in course.facts:
                yield {
                    "rule": rule,
                    "rate": rate,
                    "seed": seed,
                    "facts": facts,
                    "exact_match": row[f"{facts}/recalled"],
                    "refused": row[f"{facts}/refused"],
                }


@torch.no_grad()
def recall(
    model: Hope, dialogue: Dialogue, facts: int, questions: int, seed: int
) -> tuple[float, float]:
    """Share of told facts recalled and of never-told keys refused, after so many facts.

    Values and names are those held out; each note is a turn and a write of its own. About as many
    residents are told as it takes for the wanted number of questions.
    """
    model.eval()
    rng = random.Random(f"rule recall {facts} {seed}")
    source = FactSource(rng, values="held_out")
    task = ToldFactsTask(dialogue, ToldFactsOptions(), seed)
    residents = max(1, min(16, questions // facts))
    told, asked, absent = task.notes(source, rng, residents, facts)
    hidden = model.turns_below_memory(told.ids, told.mask)
    _, state = model.read_turns(
        told.ids, told.mask, model.new_state(residents), learn=told.scored, hidden=hidden
    )
    deltas = model.writer.deltas(model.end_turn(state))
    told.scored[~asked] = False
    right = answer_loss(model, told, hidden, deltas)[1][asked]
    refused = answer_loss(model, absent, model.turns_below_memory(absent.ids, absent.mask), deltas)[
        1
    ]
    return round(right.float().mean().item(), 4), round(refused.float().mean().item(), 4)


def facts_held(recalled: dict[int, float], wanted: float = WANTED) -> float:
    """How many facts are held at the wanted recall, read between the numbers measured.

    Between two numbers recall is taken to fall with their logarithm. Where even the least number is
    not held, it counts as much less as recall falls short.
    """
    counts = sorted(recalled)
    if recalled[counts[0]] < wanted:
        return counts[0] * recalled[counts[0]] / wanted
    for low, high in pairwise(counts):
        if recalled[high] < wanted:
            share = (recalled[low] - wanted) / (recalled[low] - recalled[high])
            return low * (high / low) ** share
    return float(counts[-1])
