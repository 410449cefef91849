"""Life in streams of tasks: who still can do in the end what came in the beginning?

After every task all tests of the tasks so far are taken, and nobody learns from them. Rows have a
`metric` and its `value`; a score is an accuracy or, where text is predicted, a loss in nats:

- `R[i, j]`: score on task j after task i;
- `average`: mean of the last row of R; `anytime`: mean over i of the mean of R[i, j <= i];
- `backward transfer`: mean over j of what the score on task j has gained from R[j, j] to the end;
- `forgetting`: mean over j < last of what it has lost since its best;
- `forward transfer`: mean over j > 0 of what it had gained on task j, before that was learned, over
  the model of the beginning (where text is predicted; a class that never came cannot be known);
- `newest`: mean over j of R[j, j], what was learned when it was learned;
- `base loss`, `base loss after`: of held-out text of the kind the model was first trained on;
- `arc_easy`, `piqa`, and each with `after`: share of questions whose right answer is the likeliest;
- `seconds`: of learning, nights included; `bytes`: of what is kept beside the first model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model

from nestling.evaluation.continual.learners import Learner
from nestling.evaluation.continual.matrices import rows_of, transfer
from nestling.evaluation.continual.method import Setting
from nestling.evaluation.continual.methods import METHODS
from nestling.evaluation.continual.streams import (
    STREAMS,
    VOCABULARY,
    Stream,
    StreamSize,
    Texts,
    in_lots,
)
from nestling.evaluation.finished import Finished
from nestling.evaluation.rows import Progress, Row
from nestling.evaluation.speed import timed
from nestling.memory.level import Level
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings
from nestling.training.passages import Passages, mean_loss
from nestling.training.steps import take_step

_STATIC = (Level(period=0),)
# The nights, what they were tried against, and that with as many passages as a day and night read.
ON_NEW_SEEDS = ("hope, levels 2, sleep", "replay", "replay, five steps a lot")


@dataclass(frozen=True)
class Course:
    """The size of the benchmark.

    Args:
        width, layers, heads: of the model, a Hope with attention whose levels are its weights.
        batch: passages of a lot, which is a step.
        day: lots between two nights.
        base_rate: learning rate of the first training, on WikiText-2.
    """

    width: int = 128
    layers: int = 4
    heads: int = 4
    batch: int = 8
    day: int = 40
    base_rate: float = 2e-3
    size: StreamSize = field(default_factory=StreamSize)

    def model(self, vocabulary: int, seed: int) -> Hope:
        """A model with random weights."""
        torch.manual_seed(seed)
        return Hope(
            HopeSettings(
                vocab_size=vocabulary,
                hidden_size=self.width,
                intermediate_size=3 * self.width,
                num_hidden_layers=self.layers,
                num_attention_heads=self.heads,
                mixer="attention",
                levels=_STATIC,
                sliding_window=2 * self.size.length,
            )
        )


def measure_continual(
    data: Path,
    *,
    streams: Sequence[str] = tuple(STREAMS),
    models: Sequence[str] = tuple(METHODS),
    seeds: Sequence[int] = (0, 1, 2),
    course: Course | None = None,
    run_file: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows of some streams; `results/continual_<stream>.json` holds those of one.

    Args:
        data: folder of the datasets.
        streams: some of `STREAMS`.
        models: some of `METHODS`. Of several settings the best is taken, by the average on the
            first half of a stream of another seed, two tasks at least.
        run_file: of finished runs; a later start goes on from it. Models of the beginning are kept
            beside it.
    """
    course = course or Course()
    finished = Finished(run_file, course, form=3)
    texts: list[Texts] = []
    drawn: dict[tuple[str, int], Stream] = {}

    def stream_of(name: str, seed: int) -> Stream:
        if not texts:
            progress("training the tokenizer")
            texts.append(Texts(data, course.size))
        if (name, seed) not in drawn:
            drawn[name, seed] = STREAMS[name](texts[0], seed)
        return drawn[name, seed]

    def run(stream: str, method: str, setting: Setting, seed: int, *, trial: bool = False) -> Row:
        def measured() -> Row:
            whole = stream_of(stream, seed)
            model = begun_model(course, whole, seed, run_file, progress)
            learner = METHODS[method].make(model, whole, seed=seed, **setting)
            tasks = len(whole.tasks)
            report = partial(_report, progress, f"{stream}  {method}  seed {seed}")
            # Of one task alone nothing could be forgotten.
            lived = max(2, (tasks + 1) // 2) if trial else tasks
            return live(learner, whole, course, lived, seed, report)

        key = {"stream": stream, "method": method, **setting, "seed": seed, "trial": trial}
        row = finished(key, measured)
        progress(f"{stream}  {method}  {setting}  seed {seed}  {row['summary']}")
        return row

    def score(stream: str, method: str, some: Setting) -> float:
        row = run(stream, method, some, 100, trial=True)
        return (-1 if row["judged"] == "loss" else 1) * row["summary"]["average"]

    for stream in streams:
        for method in models:
            chosen = METHODS[method].best(partial(score, stream, method))
            for seed in seeds:
                row = run(stream, method, chosen, seed)
                common = {
                    "stream": stream,
                    "method": method,
                    "judged": row["judged"],
                    "levels": METHODS[method].levels,
                    "sleep": METHODS[method].sleeps,
                    "seed": seed,
                    "setting": ", ".join(f"{k} {v:.2g}" for k, v in chosen.items()),
                }
                yield from rows_of(row, common)


def measure_on_new_seeds(
    data: Path, *, models: Sequence[str] = ON_NEW_SEEDS, seeds: Sequence[int], **options: Any
) -> Iterator[Row]:
    """The same on seeds that no setting was ever looked at with: 10 more than those given."""
    return measure_continual(data, models=models, seeds=[10 + s for s in seeds], **options)


def begun_model(
    course: Course, stream: Stream, seed: int, run_file: Path | None, progress: Progress
) -> Hope:
    """The model of the beginning, trained on the base text; kept beside the run file.

    Classes have ids behind the words. What stands for them is drawn after the training, and so one
    model serves all streams.
    """
    words = course.model(VOCABULARY, seed)
    place = None
    if run_file is not None:
        course_of = {name: value for name, value in asdict(course).items() if name != "size"}
        read = hashlib.sha256(stream.base.ids.numpy().tobytes() + repr(course_of).encode())
        place = run_file.parent / f"continual_base_{read.hexdigest()[:12]}_{seed}.safetensors"
    if place is not None and place.is_file():
        load_model(words, place)
    else:
        train(words, stream.base, course, seed, progress)
        if place is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            part = place.with_suffix(".part")
            save_model(words, str(part))
            part.replace(place)
    if stream.vocabulary == VOCABULARY:
        return words.eval()
    model = course.model(stream.vocabulary, seed)
    known, grown = words.state_dict(), model.state_dict()
    for name, weight in known.items():
        grown[name] = torch.cat([weight, grown[name][len(weight) :]]) if _by_id(name) else weight
    model.load_state_dict(grown)
    return model.eval()


def _by_id(name: str) -> bool:
    return name in ("embedding.weight", "head.weight")


def train(model: Hope, passages: Passages, course: Course, seed: int, progress: Progress) -> None:
    """One pass over passages, the rate rising for a tenth of it and then falling to zero."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=course.base_rate, weight_decay=0.01)
    lots = in_lots(passages, course.batch, torch.Generator().manual_seed(seed))
    warm = max(1, len(lots) // 10)
    model.train()
    for step, rows in enumerate(lots):
        factor = min((step + 1) / warm, (len(lots) - step) / max(1, len(lots) - warm))
        loss = mean_loss(model, passages[rows])
        take_step(model, optimizer, loss, course.base_rate * factor)
        if step % 100 == 0:
            progress(f"base model, seed {seed}, step {step} of {len(lots)}, loss {loss.item():.3f}")


def live(
    learner: Learner,
    stream: Stream,
    course: Course,
    tasks: int,
    seed: int,
    report: Callable[[int, list[float]], None] = lambda task, line: None,
) -> Row:
    """Take a learner through the first tasks of a stream: {"summary", "matrix", "judged"}."""
    generator = torch.Generator().manual_seed(seed)
    some, spent = stream.tasks[:tasks], 0.0
    by_classes = bool(some[0].classes)
    before = _base(learner, stream)
    first = () if by_classes else _score_all(learner, stream, tasks, tasks)
    matrix: list[list[float]] = []
    lots = 0
    for place, task in enumerate(some):
        for rows in in_lots(task.train, course.batch, generator):
            spent += timed(partial(learner.learn, task.train[rows]), "cpu")
            lots += 1
            if lots % course.day == 0:
                spent += timed(learner.end_day, "cpu")
        spent += timed(learner.end_task, "cpu")
        if place + 1 == tasks:
            spent += timed(learner.end_day, "cpu")
        matrix.append(_score_all(learner, stream, place + 1, tasks))
        report(place, matrix[-1][: place + 1])
    summary = transfer(matrix, rises=by_classes, first=first)
    summary |= before
    summary |= {f"{name} after": value for name, value in _base(learner, stream).items()}
    summary |= {
        "seconds": round(spent, 2),
        "bytes": learner.nbytes,
    }
    lower = [line[: place + 1] for place, line in enumerate(matrix)]
    return {
        "summary": summary,
        "matrix": lower,
        "judged": "accuracy" if by_classes else "loss",
    }


def _score_all(learner: Learner, stream: Stream, learned: int, tasks: int) -> list[float]:
    """Scores on all tasks; of classes, on those learned, among all classes learned."""
    classes = [i for task in stream.tasks[:learned] for i in task.classes]
    asked = stream.tasks[: learned if classes else tasks]
    return [round(float(learner.scores(task.test, classes).mean()), 4) for task in asked]


def _base(learner: Learner, stream: Stream) -> dict[str, float]:
    """What the learner can do beside its stream."""
    found = {"base loss": float(learner.scores(stream.base_test, ()).mean())}
    for choice in stream.choices:
        found[choice.name] = choice.accuracy(learner.scores(choice.passages, ()))
    return {name: round(value, 4) for name, value in found.items()}


def _report(progress: Progress, name: str, task: int, line: list[float]) -> None:
    progress(f"{name}  task {task}  {line}")
