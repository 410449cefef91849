"""The inner race: which rule writes best into the continuum memory.

All rules stand on one body, that of the embedded model, which stays as it is; its memory and its
writer are made anew, smaller, and meta-trained for each rule with the same data and budget and a
delta of the same size (the remembering half of the told-facts task alone). The rate a rule starts
from is the best of a few, tried for a share of the budget; from there it is learned. Then residents
are told facts with values held out, and every fact is asked.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nestling.evaluation.finished import Finished, loss_or_diverged
from nestling.evaluation.outer_race import best_rate
from nestling.evaluation.rows import Progress, Row
from nestling.memory.level import Level
from nestling.models.bundle import ModelBundle, load_bundle
from nestling.models.dialogue import Dialogue
from nestling.models.hope import Hope
from nestling.training.loop import Trainer
from nestling.training.options import LoopOptions, ToldFactsOptions
from nestling.training.told_facts import FactSource
from nestling.training.told_facts_task import ToldFactsTask, answer_loss

WANTED = 0.9


@dataclass(frozen=True)
class Entry:
    """One rule of the race: its options and the rates it may start from."""

    rates: tuple[float, ...]
    options: dict[str, Any] = field(default_factory=dict)
    rule: str = ""


RULES: dict[str, Entry] = {
    "gradient descent": Entry((100.0, 300.0, 900.0), rule="gradient_descent"),
    "momentum": Entry((50.0, 150.0, 450.0), {"alpha": 0.5}, "momentum"),
    "delta momentum": Entry((50.0, 150.0, 450.0), {"alpha": 0.5}, "delta_momentum"),
    "deep momentum": Entry((50.0, 150.0, 450.0), {"alpha": 0.5, "hidden": 16}, "deep_momentum"),
    "delta gradient descent": Entry((0.1, 0.3, 1.0), {"scale": 1000.0}, "delta_gradient_descent"),
    "muon": Entry((3.0, 10.0, 30.0), {"alpha": 0.5, "nesterov": False}, "muon"),
}


@dataclass(frozen=True)
class Course:
    """The size of the race.

    Args:
        trial: steps for which each rate is tried.
        notes: told in a step, over all residents; stages: facts of a resident, stage by stage.
        facts: told at the end; questions: asked at the end of at most 16 residents, about so many.
        memory: width of the written MLP; turn: notes of one write.
    """

    steps: int = 300
    trial: int = 40
    notes: int = 128
    stages: tuple[int, ...] = (32, 64, 128)
    facts: tuple[int, ...] = (32, 128, 512, 1024)
    questions: int = 1024
    memory: int = 512
    turn: int = 4
    learning_rate: float = 3e-3

    def model(self, body: Hope, level: Level, seed: int) -> Hope:
        """`body` with a new memory of one level and a new writer, which alone are trained."""
        torch.manual_seed(seed)
        settings = replace(body.settings, levels=(level,), memory_intermediate_size=self.memory)
        model = Hope(settings)
        new = {id(part) for part in (*model.layers[-1].memory.parameters(), model.norm.weight)}
        new |= {id(part) for part in model.writer.parameters()}
        known = body.state_dict()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if id(parameter) not in new:
                    parameter.copy_(known[name]).requires_grad_(False)
        return model


class NotesTask(ToldFactsTask):
    """The remembering half of the told-facts task, some notes a write."""

    def __init__(self, dialogue: Dialogue, options: ToldFactsOptions, seed: int, turn: int) -> None:
        super().__init__(dialogue, options, seed)
        self.turn = turn

    def notes_of_a_write(self, notes: int) -> int:
        return self.turn

    def loss(
        self, model: Hope, step: int, precision: torch.dtype
    ) -> tuple[Tensor, dict[str, float]]:
        rng = random.Random(f"notes {self.seed} {step}")
        return self.remembering(model, precision, FactSource(rng), rng)


def measure_inner_race(
    *,
    rules: Sequence[str] = tuple(RULES),
    seeds: Sequence[int] = (0, 1, 2),
    course: Course | None = None,
    bundle: ModelBundle | None = None,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/inner_race.json`: one for each rule, seed and number of facts.

    Args:
        bundle: the body and its words; None is the embedded model.
    """
    course = course or Course()
    finished = Finished(run_file, course)
    bundle = bundle or load_bundle()
    dialogue = bundle.dialogue
    body = bundle.model_hash[:12]  # a race on another body is another race

    def train(rule: str, rate: float, seed: int, until: int) -> tuple[Hope, float]:
        """The model after some steps, and the mean loss of the last quarter of them."""
        entry = RULES[rule]
        level = Level(period=64, rule=entry.rule, rate=rate, rule_options=entry.options)
        model = course.model(bundle.model, level, seed)
        told = ToldFactsOptions(notes=course.notes, stages=course.stages, advance=0.8)
        loop = LoopOptions(
            steps=course.steps,
            learning_rate=course.learning_rate,
            warmup=20,
            schedule=((0.0, 1.0), (1.0, 0.0)),
            seed=seed,
            log_every=1,
            checkpoint_every=10**9,
        )
        losses: list[float] = []

        def report(step: int, numbers: dict[str, float]) -> None:
            losses.append(numbers["loss"])
            if step % 20 == 0:
                progress(
                    f"{rule}  rate {rate}  seed {seed}  step {step}  loss {numbers['loss']:.3f}  "
                    f"facts {numbers['facts']}  recalled {numbers['recalled']:.2f}"
                )

        with tempfile.TemporaryDirectory() as folder:
            task = NotesTask(dialogue, told, seed, course.turn)
            trainer = Trainer(model, task, loop, folder, report)
            try:
                trainer.run(until)
            except FloatingPointError:
                return model, math.inf
        last = losses[-max(1, until // 4) :]
        return model, sum(last) / len(last)

    def trial(rule: str, rate: float) -> float:
        def measured() -> Row:
            return {"loss": loss_or_diverged(train(rule, rate, seeds[0], course.trial)[1])}

        key = {"body": body, "rule": rule, "rate": rate, "trial": course.trial}
        return finished(key, measured)["loss"]

    for rule in rules:
        rate, _ = best_rate(RULES[rule].rates, partial(trial, rule), extensions=2)
        for seed in seeds:

            def measured(rule: str = rule, rate: float = rate, seed: int = seed) -> Row:
                model, loss = train(rule, rate, seed, course.steps)
                values = {"loss": loss_or_diverged(loss)}
                for facts in course.facts:
                    told, refused = recall(model, dialogue, facts, course, seed)
                    values |= {f"{facts}/recalled": told, f"{facts}/refused": refused}
                return values

            key = {"body": body, "rule": rule, "rate": rate, "seed": seed}
            row = finished(key, measured)
            progress("  ".join(f"{key} {value}" for key, value in row.items()))
            for facts in course.facts:
                yield {
                    "rule": rule,
                    "rate": rate,
                    "seed": seed,
                    "facts": facts,
                    "recall": row[f"{facts}/recalled"],
                    "refused": row[f"{facts}/refused"],
                }


@torch.no_grad()
def recall(
    model: Hope, dialogue: Dialogue, facts: int, course: Course, seed: int
) -> tuple[float, float]:
    """Share of told facts recalled and of never-told keys refused, after so many facts.

    Values and names are those held out. About as many residents are told as it takes for the wanted
    number of questions.
    """
    model.eval()
    rng = random.Random(f"rule recall {facts} {seed}")
    source = FactSource(rng, values="held_out")
    task = ToldFactsTask(dialogue, ToldFactsOptions(), seed)
    residents = max(1, min(16, course.questions // facts))
    told, asked, absent = task.notes(source, rng, residents, facts)
    hidden = model.turns_below_memory(told.ids, told.mask)
    _, state = model.read_turns(
        told.ids,
        told.mask,
        model.new_state(residents),
        learn=told.scored,
        hidden=hidden,
        together=course.turn,
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
