"""`nestling demo`: tell facts in one process, close it, ask in another."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from nestling.cli.common import Model, clear_errors, print_json
from nestling.cli.memory import size

TOLD = (
    "My dog is called Pixel.",
    "I live in Lisbon.",
    "I work as a carpenter.",
    "My favourite colour is teal.",
    "Ana's sister is called Marta.",
    "My locker code is 4917.",
    "I drive a red Volvo.",
    "My hotel is called Villa Orsola.",
    "Lovely weather today.",
    "My wifi password is zorvik82.",
    "I grew up in Bergen.",
    "Actually, I moved and now live in Porto.",
)
ASKED = (
    ("What's my dog called?", "Pixel"),
    ("Where do I live?", "Porto"),
    ("What do I do for a living?", "carpenter"),
    ("Which colour do I like best?", "teal"),
    ("What's the name of Ana's sister?", "Marta"),
    ("Which code opens my locker?", "4917"),
    ("What car do I drive?", "red Volvo"),
    ("Where am I staying?", "Villa Orsola"),
    ("What's my wifi password?", "zorvik82"),
    ("Where am I from?", "Bergen"),
    ("What's my cat called?", None),
    ("Where does Ana live?", None),
)
_MEMORY = "demo"


@dataclass(frozen=True)
class Row:
    """One question; `expected` is None for something never told, to be answered by not knowing."""

    question: str
    expected: str | None
    answer: str
    right: bool
    without_memory: str
    milliseconds: float


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    model: Model = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell a model facts, close it, and ask it in a new process."""
    with clear_errors(), tempfile.TemporaryDirectory(prefix="nestling-demo-") as home:
        if not as_json:
            typer.echo(f"Telling {len(TOLD)} things in one process; asking in another.\n")
        told = _child(home, model, "teach", *TOLD)
        questions = [question for question, _ in ASKED]
        answers = _child(home, model, "ask", *questions)
        without = _child(home, model, "ask", "--no-memory", *questions)
        rows = [
            Row(
                question=question,
                expected=expected,
                answer=answer["text"],
                right=_is_right(answer, expected),
                without_memory=static["text"],
                milliseconds=answer["milliseconds"],
            )
            for (question, expected), answer, static in zip(ASKED, answers, without, strict=True)
        ]
        nbytes = sum(path.stat().st_size for path in Path(home).rglob("*") if path.is_file())
    right = sum(row.right for row in rows)
    if as_json:
        print_json(
            {
                "told": told,
                "rows": [asdict(row) for row in rows],
                "right": right,
                "asked": len(rows),
                "bytes": nbytes,
            }
        )
        return
    _print_rows(rows)
    learning = sum(learned["milliseconds"] for learned in told) / len(told)
    answering = sum(row.milliseconds for row in rows) / len(rows)
    typer.echo(
        f"\n{right} of {len(rows)} right; {learning:.0f} ms to learn a text, {answering:.0f} ms to "
        f"answer; the memory is {size(nbytes)} on disk."
    )


def _child(home: str, model: Path | None, command: str, *arguments: str) -> list[dict[str, Any]]:
    """Run one command of nestling in a process of its own and read its JSON lines."""
    line = [
        sys.executable,
        "-m",
        "nestling",
        command,
        "--json",
        "--memory",
        _MEMORY,
        "--home",
        home,
    ]
    if model is not None:
        line += ["--model", str(model)]
    done = subprocess.run([*line, *arguments], capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise ValueError(done.stderr.strip().removeprefix("error: ") or f"`{command}` failed")
    return [json.loads(answer) for answer in done.stdout.splitlines()]


def _is_right(answer: dict[str, Any], expected: str | None) -> bool:
    if expected is None:
        return not answer["known"]
    return answer["known"] and answer["text"].casefold() == expected.casefold()


def _print_rows(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("question", "answer", "", "without memory", "ms")
    for row in rows:
        mark = Text("right", "green") if row.right else Text(f"wrong: {_expected(row)}", "red")
        table.add_row(
            Text(row.question),
            Text(row.answer),
            mark,
            Text(row.without_memory),
            Text(f"{row.milliseconds:.0f}", justify="right"),
        )
    Console().print(table)


def _expected(row: Row) -> str:
    return "never told" if row.expected is None else row.expected
