"""What the weights know, what a search in the texts of the journal finds, and both together.

Residents are told the same kinds of lives as in `recall`, in one process; every question is
answered in the four ways of `Resident.compare`.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from nestling.evaluation.recall import grade, make_life
from nestling.evaluation.rows import Progress, Row
from nestling.models.bundle import load_bundle
from nestling.resident import Resident
from nestling.training.told_facts import FactSource

WAYS = ("weights", "text", "both", "nothing")
# Questions of each kind at most.
QUESTIONS = 64


def measure_found_texts(
    *,
    facts: Sequence[int] = (64, 256),
    seeds: Sequence[int] = (0, 1, 2),
    questions: int = QUESTIONS,
    model: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/found_texts.json`: by way, kind of question, number of facts and seed."""
    bundle = load_bundle(model)
    for seed in seeds:
        rng = random.Random(f"found texts {seed}")
        source = FactSource(rng, values="held_out")
        for count in facts:
            life = make_life("one", source, rng, count)
            asked = {
                "told": [(question, fact.value) for question, fact in life.told],
                "updated": [(question, fact.value) for question, fact in life.updated],
                "never_told": [(question, None) for question in life.never_told],
            }
            with (
                tempfile.TemporaryDirectory() as home,
                Resident.open("one", home, model=bundle) as resident,
            ):
                progress(f"seed {seed}, {count} facts: telling")
                for session in life.sessions:
                    resident.learn_all(session)
                for kind, pairs in asked.items():
                    progress(f"seed {seed}, {count} facts: asking what was {kind}")
                    some = rng.sample(pairs, min(questions, len(pairs)))
                    compared = [(value, resident.compare(question)) for question, value in some]
                    for way in WAYS:
                        graded = [(value, vars(getattr(one, way))) for value, one in compared]
                        yield {
                            "facts": count,
                            "kind": kind,
                            "way": way,
                            "seed": seed,
                            **grade(graded),
                        }
