"""Two curves: recall against the number of facts, and against small talk read in between."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nestling.evaluation.recall import grade
from nestling.evaluation.rows import Progress, Row
from nestling.memory.state import MemoryState
from nestling.models.asking import asked_of, recall_asked
from nestling.models.bundle import ModelBundle, load_bundle
from nestling.models.restate import learn_notes, restate
from nestling.training.told_facts import Fact, FactSource


def hear(bundle: ModelBundle, texts: Sequence[str], state: MemoryState) -> MemoryState:
    """Restate turns and learn their notes, in order."""
    for restated in restate(bundle.model, bundle.dialogue, texts, asking=False):
        state, _ = learn_notes(bundle.model, bundle.dialogue, restated.notes, state)
    return state


def ask(
    bundle: ModelBundle, questions: Sequence[str], state: MemoryState | None
) -> list[dict[str, Any]]:
    """Answers as `grade` takes them."""
    model, dialogue = bundle.model, bundle.dialogue
    found = recall_asked(model, dialogue, asked_of(model, dialogue, questions), state)
    return [{"text": item.text, "known": item.known} for _, item in found]


def questions_of(source: FactSource, facts: Sequence[Fact]) -> list[tuple[str, str]]:
    return [(source.question(fact).text, fact.value) for fact in facts]


def measure_facts(
    *,
    counts: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000),
    seeds: Sequence[int] = (0, 1, 2),
    model: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Residents that are told so many facts and asked about 256 of them at most.

    Every count has residents and facts of its own, small counts several: each row of what was told
    rests on 64 questions or more, one of what was not on 16 for each resident.
    """
    bundle = load_bundle(model)
    for seed in seeds:
        rng = random.Random(f"facts {seed}")
        source = FactSource(rng, values="held_out")
        for count in counts:
            progress(f"seed {seed}: {count} facts")
            pairs, refused = [], []
            for _ in range(max(1, 64 // count)):
                facts = source.facts(count)
                texts = [source.telling([fact]).text for fact in facts]
                state = hear(bundle, texts, bundle.model.new_state(1))
                chosen = rng.sample(facts, min(len(facts), 256))
                asked = questions_of(source, chosen)
                answers = ask(bundle, [question for question, _ in asked], state)
                pairs += list(zip([value for _, value in asked], answers, strict=True))
                absent = [source.question(key).text for key in source.absent_keys(facts, 16)]
                refused += [(None, answer) for answer in ask(bundle, absent, state)]
            row = {"facts": count, "memory": "on", "phrasings": "train", "seed": seed}
            yield {**row, "kind": "told", **grade(pairs)}
            yield {**row, "kind": "never_told", **grade(refused)}


def measure_small_talk(
    *,
    facts: int = 32,
    tokens: Sequence[int] = (0, 100, 1_000, 10_000, 30_000, 100_000),
    seeds: Sequence[int] = (0, 1, 2),
    model: Path | None = None,
    progress: Progress = lambda line: None,
) -> Iterator[Row]:
    """Facts first, then small talk, read by the same code; the facts are asked on the way."""
    bundle = load_bundle(model)
    for seed in seeds:
        rng = random.Random(f"small talk {seed}")
        source = FactSource(rng, values="held_out")
        drawn = source.facts(facts)
        state = hear(
            bundle, [source.telling([fact]).text for fact in drawn], bundle.model.new_state(1)
        )
        talk = FactSource(rng, phrasings="held_out")
        heard = 0
        for target in sorted(tokens):
            texts = []
            while heard < target:
                texts.append(talk.small_talk().text)
                heard += len(bundle.dialogue.turn(texts[-1]))
            state = hear(bundle, texts, state)
            progress(f"seed {seed}: {heard} tokens of small talk")
            asked = questions_of(source, drawn)
            answers = ask(bundle, [question for question, _ in asked], state)
            graded = grade(list(zip([value for _, value in asked], answers, strict=True)))
            yield {"facts": facts, "small_talk_tokens": target, "seed": seed, **graded}
