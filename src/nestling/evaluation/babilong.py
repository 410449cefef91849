"""Stories of bAbI in book text, after BABILong (Kuratov et al. 2024; NL §6.4, [L] Fig. 9).

The sentences of a story are hidden in their order; the question comes at the end of the document.
Models are trained on stories of the training split and asked those of the test split; what stands
in both is not trained on (of qa4, which has few stories, three in four of those asked).
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from nestling.evaluation.haystack import Draw, Puzzle
from nestling.training.text_task import find_file, read_rows

FILES = ("babi/qa1-5_en_train_test.jsonl.gz", "babi/qa1-2-4-5_en10k_train.jsonl.gz")
# Three facts (qa3) are left out: there are a tenth as many of its stories, and most are longer than
# the documents of training.
TASKS = {
    "qa1": "one fact",
    "qa2": "two facts",
    "qa4": "two places",
    "qa5": "who gave what",
}
# Answers that need no story, or hardly any of it.
SHORTCUTS = ("commonest answer", "first answer told", "last answer told")


@cache
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
    """Task -> a draw among its puzzles; those to train on are none of those that are asked."""
    puzzles = read_stories(data, split)
    if split == "train":
        asked = {task: set(some) for task, some in read_stories(data, "test").items()}
        puzzles = {
            task: [puzzle for puzzle in some if puzzle not in asked.get(task, set())]
            for task, some in puzzles.items()
        }
    return {task: partial(_choose, some) for task, some in puzzles.items() if some}


def shortcuts(data: Path) -> dict[str, dict[str, float]]:
    """Shortcut -> task -> the share of the test questions that it answers right.

    A model that does better has read more of a story than where its answers stand.
    """
    found: dict[str, dict[str, float]] = {name: {} for name in SHORTCUTS}
    for task, puzzles in read_stories(data, "test").items():
        right = [puzzle.asked[0][1][0] for puzzle in puzzles]
        counts = Counter(right)
        told = [_told(puzzle, counts) for puzzle in puzzles]
        for name, answers in zip(
            SHORTCUTS,
            (
                [counts.most_common(1)[0][0]] * len(right),
                [some[0] for some in told],
                [some[-1] for some in told],
            ),
            strict=True,
        ):
            hits = sum(ours == theirs for ours, theirs in zip(answers, right, strict=True))
            found[name][task] = hits / len(right)
    return found


def _told(puzzle: Puzzle, answers: Collection[str]) -> list[str]:
    """The answers that a story tells, in its order, but for those that the question names."""
    asked = set(re.findall(r"\w+", puzzle.asked[0][0]))
    words = re.findall(r"\w+", " ".join(puzzle.hidden))
    return [word for word in words if word in answers and word not in asked] or [""]


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
