"""Stories of bAbI in book text, after BABILong (Kuratov et al. 2024; NL §6.4, [L] Fig. 9).

The sentences of a story are hidden in their order; the question comes at the end of the document.
Models are trained on stories of the training split and asked those of the test split.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from nestling.evaluation.haystack import Draw, Puzzle
from nestling.training.text_task import find_file, read_rows

FILES = ("babi/qa1-5_en_train_test.jsonl.gz", "babi/qa1-2-4-5_en10k_train.jsonl.gz")
TASKS = {
    "qa1": "one fact",
    "qa2": "two facts",
    "qa3": "three facts",
    "qa4": "two places",
    "qa5": "who gave what",
}


def read_stories(data: Path, split: str) -> dict[str, list[Puzzle]]:
    """Task -> one puzzle for every question of a split ("train" or "test").

    Raises:
        FileNotFoundError: a file is missing below `data`.
    """
    puzzles: dict[str, list[Puzzle]] = defaultdict(list)
    for name in FILES:
        for story in read_rows(find_file(name, data)):
            if story["split"] == split:
                puzzles[story["task"]].extend(_puzzles(story))
    return {task: puzzles[task] for task in TASKS if task in puzzles}


def _puzzles(story: Mapping[str, Any]) -> Iterator[Puzzle]:
    told: list[str] = []
    for line in story["lines"]:
        if "question" in line:
            yield Puzzle(tuple(told), ((line["question"], (line["answer"],)),))
        else:
            told.append(line["text"])


def stories(data: Path, split: str) -> dict[str, Draw]:
    """Task -> a draw among its puzzles."""
    return {task: partial(_choose, puzzles) for task, puzzles in read_stories(data, split).items()}


def _choose(puzzles: list[Puzzle], rng: random.Random) -> Puzzle:
    return rng.choice(puzzles)


def words_of(data: Path) -> tuple[str, ...]:
    """The words of all training stories and their answers, in the order of the alphabet."""
    words: set[str] = set()
    for puzzles in read_stories(data, "train").values():
        for puzzle in puzzles:
            ((question, answers),) = puzzle.asked
            for text in (*puzzle.hidden, question, *answers):
                words.update(re.findall(r"\w+", text))
    return tuple(sorted(words))
