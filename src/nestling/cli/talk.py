"""`nestling teach`, `nestling ask`, `nestling chat`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from nestling.cli.common import (
    AsJson,
    Home,
    MemoryName,
    Model,
    clear_errors,
    open_memory,
    print_json,
)

if TYPE_CHECKING:
    from nestling.resident import Answer, Learned, Resident


def register(app: typer.Typer) -> None:
    app.command()(teach)
    app.command()(ask)
    app.command()(chat)


def teach(
    memory: MemoryName,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="What to learn; '-' reads lines from stdin."),
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="PATH",
            help="A file, a folder or '-' to learn from: text, Markdown, chats as JSON lines, "
            "a ChatGPT export. Stopped, it goes on next time.",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="What the sources are: text, markdown, chat or chatgpt."),
    ] = None,
    roles: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="ROLE", help="Of a chat, learn this role as well as user."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Tell all of the sources anew, the forgotten too.")
    ] = False,
    home: Home = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Tell a memory something; a new name starts a new memory."""
    if bool(texts) == bool(sources):
        raise typer.BadParameter("name either texts or sources (--from)", param_hint="TEXT")
    if texts and (kind or roles or again):
        raise typer.BadParameter(
            "they are for sources (--from)", param_hint="--kind, --role, --again"
        )
    if sources:
        from nestling.cli.teach_from import teach_from

        with clear_errors():
            return teach_from(
                sources, memory, home, model, kind=kind, roles=roles, again=again, as_json=as_json
            )
    with clear_errors():
        told = list(_texts(texts or []))
        with open_memory(memory, home, model, create=True) as resident:
            for learned in resident.learn_all(told):
                if as_json:
                    print_json(asdict(learned))
                else:
                    typer.echo(_noted(learned))


def ask(
    questions: Annotated[
        list[str], typer.Argument(metavar="QUESTION...", help="One answer is printed for each.")
    ],
    memory: MemoryName,
    no_memory: Annotated[
        bool, typer.Option("--no-memory", help="Ask the model as if nothing had been told.")
    ] = False,
    home: Home = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Ask a memory something and print the answer alone."""
    with clear_errors(), open_memory(memory, home, model, create=False) as resident:
        for question in questions:
            answer = resident.ask(question, memory=not no_memory)
            if as_json:
                print_json(asdict(answer))
            else:
                typer.echo(answer.text)


def chat(memory: MemoryName, home: Home = None, model: Model = None) -> None:
    """Talk with a memory: tell it things, ask it things."""
    with clear_errors(), open_memory(memory, home, model, create=True) as resident:
        for line in _lines(resident.name):
            if line == "/quit":
                break
            if line == "/notes":
                typer.echo(_notes(resident))
            elif line.startswith("/"):
                typer.echo("There are /notes and /quit.")
            else:
                typer.echo(_reply(resident, line))


def _texts(texts: list[str]) -> Iterator[str]:
    """The texts, with '-' replaced by the lines of stdin that are not blank."""
    for text in texts:
        if text != "-":
            yield text
            continue
        lines = [line.strip() for line in sys.stdin if line.strip()]
        if not lines:
            raise ValueError(
                "stdin is empty; write one text a line, or give the texts as arguments"
            )
        yield from lines


def _noted(learned: Learned) -> str:
    if not learned.notes:
        return f"Nothing to note: {learned.text}"
    return "\n".join(f"Noted {note}" for note in learned.notes)


def _notes(resident: Resident) -> str:
    return (
        "\n".join(f"{note.key}: {note.value}" for note in resident.notes()) or "Nothing noted yet."
    )


def _reply(resident: Resident, line: str) -> str:
    from nestling.resident import Learned

    try:
        heard: Answer | Learned = resident.hear(line)
    except ValueError as error:
        return f"({error})"
    if not isinstance(heard, Learned):
        return heard.text
    if not heard.notes:
        return "I'm listening. Tell me something to remember, or ask me."
    return _noted(heard)


def _lines(name: str) -> Iterator[str]:
    """What the user types, without blank lines; plain lines where stdin is no terminal."""
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin if line.strip())
        return
    from rich.console import Console

    console = Console()
    console.print(f"Talking with [bold]{name}[/bold]; /notes shows what is noted, /quit ends.")
    while True:
        try:
            line = console.input("[bold]>[/bold] ").strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        if line:
            yield line
