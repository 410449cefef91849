"""Recall of told facts: residents told over several processes, asked in a last one.

What is measured, by exact match of the answer with the value that was told:

- `told`: every fact told once; memory on, off, and with another resident's memory;
- `updated`: facts told again with another value; only the new value counts;
- `never_told`: keys nobody told, half of them near misses; `refused` counts "I don't know.".

Values are never those of training; phrasings are those of training or held out, as the row says.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nestling.evaluation.rows import Progress, Row
from nestling.evaluation.sessions import run_session
from nestling.training.told_facts import Fact, FactSource

QUESTIONS = 128
UPDATED_SHARE = 0.125
SESSIONS = 3


@dataclass(frozen=True)
class Life:
    """One resident: what is said to it, session by session, and what is asked in the end."""

    name: str
    sessions: tuple[tuple[str, ...], ...]
    told: tuple[tuple[str, Fact], ...]
    updated: tuple[tuple[str, Fact], ...]
    never_told: tuple[str, ...]


def make_life(name: str, source: FactSource, rng: random.Random, facts: int) -> Life:
    """Draw a resident's life: facts one to three a turn, changes, and small talk in between."""
    drawn = source.facts(facts)
    changed = set(rng.sample([fact.key for fact in drawn], round(facts * UPDATED_SHARE)))
    turns, place = [], 0
    while place < len(drawn):
        size = rng.choice((1, 1, 1, 2, 2, 3))
        turns.append(source.telling(drawn[place : place + size]).text)
        place += size
        if rng.random() < 0.2:
            turns.append(source.small_talk().text)
    updates, updated = [], []
    for fact in drawn:
        if fact.key in changed:
            new = other_value(source, fact)
            updates.append(source.update(new, fact.value).text)
            updated.append((source.question(new).text, new))
    # Changes are told in the last session, after all that they change.
    cut = len(turns) // (SESSIONS - 1)
    pieces = [turns[i * cut : (i + 1) * cut] for i in range(SESSIONS - 2)]
    pieces += [turns[(SESSIONS - 2) * cut :], updates or ["Thanks."]]
    told = [(source.question(fact).text, fact) for fact in drawn if fact.key not in changed]
    absent = source.absent_keys(drawn, max(8, facts // 4))
    return Life(
        name,
        tuple(tuple(piece) for piece in pieces),
        tuple(told),
        tuple(updated),
        tuple(source.question(key).text for key in absent),
    )


def other_value(source: FactSource, fact: Fact) -> Fact:
    """The same fact with another value."""
    while (value := source.value(fact.relation)) == fact.value:
        pass
    return replace(fact, value=value)


def measure_recall(
    *,
    facts: Sequence[int] = (16, 64, 256),
    seeds: Sequence[int] = (0, 1, 2),
    phrasings: Sequence[str] = ("train", "held_out"),
    model: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Rows for `results/recall.json`; of every number of facts at least 112 are asked a seed."""
    for seed in seeds:
        for phrasing in phrasings:
            yield from _one_seed(facts, seed, phrasing, model, progress)


def _one_seed(
    facts: Sequence[int], seed: int, phrasing: str, model: Path | None, progress: Progress
) -> Iterator[Row]:
    rng = random.Random(f"recall {seed} {phrasing}")
    source = FactSource(rng, values="held_out", phrasings=phrasing)
    lives = {
        count: [
            make_life(f"r{count}-{n}", source, rng, count)
            for n in range(max(1, QUESTIONS // count))
        ]
        for count in facts
    }
    everyone = [life for some in lives.values() for life in some]
    with tempfile.TemporaryDirectory() as home:
        for session in range(SESSIONS):
            progress(f"seed {seed}, {phrasing} phrasings: telling, session {session + 1}")
            tell = {life.name: life.sessions[session] for life in everyone}
            run_session(Path(home), model, tell=tell)
        progress(f"seed {seed}, {phrasing} phrasings: asking")
        asked = list(_questions(everyone))
        answers = run_session(Path(home), model, ask=[entry["ask"] for entry in asked])
    for count, some in lives.items():
        names = {life.name for life in some}
        graded = [
            (entry, answer)
            for entry, answer in zip(asked, answers, strict=True)
            if entry["of"] in names
        ]
        for kind, memory in (
            ("told", "on"),
            ("told", "off"),
            ("told", "other"),
            ("updated", "on"),
            ("never_told", "on"),
        ):
            chosen = [
                pair for pair in graded if (pair[0]["kind"], pair[0]["memory"]) == (kind, memory)
            ]
            yield {
                "facts": count,
                "kind": kind,
                "memory": memory,
                "phrasings": phrasing,
                "seed": seed,
                **grade([(entry["value"], answer) for entry, answer in chosen]),
            }


def _questions(lives: Sequence[Life]) -> Iterator[dict[str, Any]]:
    for place, life in enumerate(lives):
        other = lives[place - 1].name
        for question, fact in life.told:
            for memory, name in (("on", life.name), ("off", life.name), ("other", other)):
                yield _entry(life, "told", memory, name, question, fact.value)
        for question, fact in life.updated:
            yield _entry(life, "updated", "on", life.name, question, fact.value)
        for question in life.never_told:
            yield _entry(life, "never_told", "on", life.name, question, None)


def _entry(
    life: Life, kind: str, memory: str, name: str, question: str, value: str | None
) -> dict[str, Any]:
    ask = {"name": name, "question": question, "memory": memory != "off"}
    return {"of": life.name, "kind": kind, "memory": memory, "value": value, "ask": ask}


def grade(pairs: Sequence[tuple[str | None, dict[str, Any]]]) -> Row:
    """Exact match and refusals of (value or None, answer) pairs."""
    right = sum(answer["known"] and answer["text"] == value for value, answer in pairs)
    refused = sum(not answer["known"] for _, answer in pairs)
    count = max(1, len(pairs))
    return {
        "exact_match": round(right / count, 5),
        "refused": round(refused / count, 5),
        "questions": len(pairs),
    }
