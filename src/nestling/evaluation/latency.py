"""What a turn costs: learning and asking, beside a plain forward pass of the same turn."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from nestling.evaluation.rows import Row
from nestling.models.bundle import load_bundle
from nestling.resident import Resident
from nestling.training.told_facts import FactSource

TURN = "By the way, my dog is called Pixel."
QUESTION = "What is my dog called?"
# Repeats of what takes a process.
COLD = 5
OTHER_TURNS = 24


def milliseconds(action: Callable[[], object], repeats: int) -> float:
    """Median over repeats, after two that are not counted."""
    times = []
    for run in range(repeats + 2):
        start = time.perf_counter()
        action()
        if run >= 2:
            times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def _command(name: str, text: str, home: str, model: Path | None) -> None:
    given = [] if model is None else ["--model", str(model)]
    _python("-m", "nestling", name, "--memory", "t", "--home", home, text, *given)


def mean_milliseconds(
    actions: Sequence[Callable[[str], object]], texts: Sequence[str]
) -> list[float]:
    """Mean of each action over texts, once each; of a text all actions follow on one another."""
    spent = [0.0] * len(actions)
    for text in texts:
        for place, action in enumerate(actions):
            start = time.perf_counter()
            action(text)
            spent[place] += 1000 * (time.perf_counter() - start) / len(texts)
    return spent


def measure_latency(
    *, threads: int = 1, repeats: int = 30, rounds: int = 3, model: Path | None = None
) -> Iterator[Row]:
    """Median milliseconds of each operation, `rounds` times over, and the ratio to a forward pass.

    `learn` is all that a resident does with a turn: restating, writing, journal and snapshot.
    `learn_in_memory` leaves out the disk. `teach, cold` and `ask, cold` are whole commands, each in
    a new process; `import torch, cold` is one that does nothing else. `other turns` are facts told
    in all the ways of training, each once: times and tokens are means.
    """
    from nestling.evaluation.curves import hear

    torch.set_num_threads(threads)
    bundle = load_bundle(model)
    net, dialogue = bundle.model, bundle.dialogue
    fresh = net.new_state(1)
    source = FactSource(random.Random(0), values="held_out")
    others = [source.telling([fact]).text for fact in source.facts(OTHER_TURNS)]

    @torch.no_grad()
    def forward(text: str = TURN) -> None:
        net(torch.tensor([dialogue.turn(text)]), state=fresh)

    def row(operation: str, value: float, base: float, seed: int, *turns: str) -> Row:
        return {
            "operation": operation,
            "tokens": round(statistics.mean(len(dialogue.turn(text)) for text in turns or [TURN])),
            "threads": threads,
            "milliseconds": round(value, 3),
            "ratio_to_forward": round(value / base, 2),
            "seed": seed,
        }

    for round_ in range(rounds):
        with tempfile.TemporaryDirectory() as home, Resident.open("t", home, model=bundle) as one:
            operations = {
                "forward": forward,
                "learn_in_memory": lambda: hear(bundle, [TURN], fresh),
                "learn": lambda one=one: one.learn(TURN),
                "ask": lambda one=one: one.ask(QUESTION),
                "import torch, cold": partial(_python, "-c", "import torch"),
                "teach, cold": partial(_command, "teach", TURN, home, model),
                "ask, cold": partial(_command, "ask", QUESTION, home, model),
            }
            base = 1.0
            for name, action in operations.items():
                value = milliseconds(action, COLD if "cold" in name else repeats)
                base = value if name == "forward" else base
                yield row(name, value, base, round_)
            base, value = mean_milliseconds((forward, one.learn), others)
            yield row("forward, other turns", base, base, round_, *others)
            yield row("learn, other turns", value, base, round_, *others)
