"""Everyday tellings and questions, written by hand, apart from the generator of training.

They stand in `everyday.toml`: facts as people would tell them, each with a question in words of its
own and every answer that a fair judge would accept; small talk that is nothing to learn; and
questions about what was never told. Nothing of it was trained on, and no single turn of it was
looked at to mend training; which of two sets of weights is shipped is judged by the whole of it,
among others.

- `told`: a memory is told a number of facts, one turn each, and asked about all of them;
- `small_talk`: `refused` is the share of turns that left no note;
- `never_told`: asked of the memory that was told the last group of facts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nestling.evaluation.curves import ask, hear
from nestling.evaluation.rows import Progress, Row
from nestling.models.bundle import load_bundle
from nestling.models.restate import restate

TURNS = Path(__file__).parent / "everyday.toml"


def read_everyday(path: Path = TURNS) -> dict[str, list[dict[str, Any]]]:
    """The facts, the small talk and the questions never answered."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def plain(text: str) -> str:
    """An answer without what makes no difference: case, article, full stop."""
    return re.sub(r"^(a|an|the) ", "", text.casefold().strip(" .!?"))


def is_right(answer: dict[str, Any], accepted: Sequence[str]) -> bool:
    """Whether an answer is one of those accepted."""
    return answer["known"] and plain(answer["text"]) in map(plain, accepted)


def measure_everyday(
    *,
    together: Sequence[int] = (1, 16),
    limit: int | None = None,
    model: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/everyday.json`.

    Args:
        together: how many facts one memory is told before it is asked about all of them.
        limit: take so many of each kind only.
    """
    bundle = load_bundle(model)
    everyday = {kind: turns[:limit] for kind, turns in read_everyday().items()}
    facts = everyday["facts"]
    some, state = [], bundle.model.new_state(1)
    for count in together:
        right = known = 0
        for start in range(0, len(facts), count):
            if start % 64 < count:
                progress(f"{count} told together: {start} of {len(facts)}")
            some = facts[start : start + count]
            state = hear(bundle, [fact["tell"] for fact in some], bundle.model.new_state(1))
            answers = ask(bundle, [fact["ask"] for fact in some], state)
            known += sum(answer["known"] for answer in answers)
            right += sum(
                is_right(answer, fact["answer"]) for answer, fact in zip(answers, some, strict=True)
            )
        yield _row("told", count, right, len(facts) - known, len(facts))
    progress("small talk and what was never told")
    turns = [item["turn"] for item in everyday["small_talk"]]
    notes = restate(bundle.model, bundle.dialogue, turns, asking=False)
    yield _row("small_talk", 0, 0, sum(not item.notes for item in notes), len(turns))
    answers = ask(bundle, [item["ask"] for item in everyday["never_told"]], state)
    refused = sum(not answer["known"] for answer in answers)
    yield _row("never_told", len(some), 0, refused, len(answers))


def _row(kind: str, facts: int, right: int, refused: int, count: int) -> Row:
    return {
        "kind": kind,
        "facts": facts,
        "right": round(right / max(1, count), 5),
        "refused": round(refused / max(1, count), 5),
        "turns": count,
        "seed": 0,
    }
