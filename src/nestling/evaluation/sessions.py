"""Tell and ask residents in a process of its own: nothing but what is on disk passes between them.

    python -m nestling.evaluation.sessions < work.json > answers.json

work: {"home", "model" or null, "tell": {name: [texts]}, "ask": [{"name", "question", "memory"}]}
answers: one {"text", "known", "key", "milliseconds"} for each question.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nestling.models.bundle import load_bundle
from nestling.resident import Resident


def run_session(
    home: Path,
    model: Path | None,
    *,
    tell: Mapping[str, Sequence[str]] | None = None,
    ask: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Start a new process that tells, then asks; returns the answers in order.

    Raises:
        RuntimeError: the process failed; the message is what it said.
    """
    work = {
        "home": str(home),
        "model": None if model is None else str(model),
        "tell": {name: list(texts) for name, texts in (tell or {}).items()},
        "ask": list(ask),
    }
    done = subprocess.run(
        [sys.executable, "-m", "nestling.evaluation.sessions"],
        input=json.dumps(work),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"a session failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


def main() -> None:
    """Do the work on standard input."""
    work = json.load(sys.stdin)
    bundle = load_bundle(work["model"])
    for name, texts in work["tell"].items():
        with Resident.open(name, work["home"], model=bundle) as resident:
            resident.learn_all(texts)
    answers: list[dict[str, Any]] = [{} for _ in work["ask"]]
    groups: dict[tuple[str, bool], list[int]] = {}
    for place, question in enumerate(work["ask"]):
        groups.setdefault((question["name"], question["memory"]), []).append(place)
    for (name, memory), places in groups.items():
        with Resident.open(name, work["home"], model=bundle, create=False) as resident:
            questions = [work["ask"][place]["question"] for place in places]
            for place, answer in zip(places, resident.ask_all(questions, memory), strict=True):
                answers[place] = asdict(answer)
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
