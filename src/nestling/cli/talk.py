"""`nestling teach`, `nestling ask`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nestling.cli.common import (
    WORDLESS,
    AsJson,
    Home,
    MemoryName,
    Model,
    clear_errors,
    count_of,
    open_memory,
    print_json,
    progress_line,
    say,
)

if TYPE_CHECKING:
    from nestling.models.dialogue import Note
    from nestling.models.restate import WriteReport
    from nestling.resident import Learned
    from nestling.resident.reports import Answer, Compared, Why


# Nats that a margin falls by, where a turn is left out that the answer comes from.
_MATTERS = 1.0


def register(app: typer.Typer) -> None:
    app.command()(teach)
    app.command()(ask)


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
    if sources and texts and all(Path(text).exists() for text in texts):
        raise typer.BadParameter(
            "write --from before each of them, or name their folder", param_hint="--from"
        )
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
        if not all(text.strip() for text in told):
            raise ValueError("the text is empty; say something to be learned")
        with open_memory(memory, home, model, create=True) as resident:
            for learned in resident.learn_all(told):
                if as_json:
                    print_json(asdict(learned))
                else:
                    say(_noted(learned))


def ask(
    questions: Annotated[
        list[str], typer.Argument(metavar="QUESTION...", help="One answer is printed for each.")
    ],
    memory: MemoryName,
    no_memory: Annotated[
        bool, typer.Option("--no-memory", help="Ask the model as if nothing had been told.")
    ] = False,
    texts: Annotated[
        int,
        typer.Option(
            min=0, help="Search the journal, too, and read so many of its texts for the answer."
        ),
    ] = 0,
    compare: Annotated[
        bool, typer.Option("--compare", help="Answer from weights, texts, both and neither.")
    ] = False,
    why: Annotated[
        bool, typer.Option("--why", help="Say which turns the answer comes from.")
    ] = False,
    home: Home = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Ask a memory something and print the answer alone."""
    with clear_errors():
        if compare + why + no_memory > 1 or (why and texts):
            raise ValueError(
                "--compare, --why and --no-memory go one at a time, --why without --texts"
            )
        with open_memory(memory, home, model, create=False) as resident:
            for question in questions:
                if compare:
                    compared = resident.compare(question, texts or 3)
                    print_json(asdict(compared)) if as_json else say(_beside(compared))
                elif why:
                    found = resident.why(question, progress=progress_line("leaving out turn"))
                    print_json(asdict(found)) if as_json else say(sources_text(found))
                else:
                    answer = resident.ask(question, memory=not no_memory, texts=texts)
                    print_json(asdict(answer)) if as_json else say(_labelled(answer))


def _texts(texts: list[str]) -> Iterator[str]:
    """The texts, with '-' replaced by the lines of stdin that are not blank."""
    for text in texts:
        if text != "-":
            yield text
            continue
        lines = [line.strip() for line in sys.stdin or () if line.strip()]
        if not lines:
            raise ValueError(
                "stdin is empty; write one text a line, or give the texts as arguments"
            )
        yield from lines


def _noted(learned: Learned) -> str:
    if not learned.notes:
        return f"Nothing to note: {learned.text}"
    return "\n".join(noted_lines(learned.notes, learned.reports))


def noted_lines(notes: Sequence[Note], reports: Sequence[WriteReport]) -> Iterator[str]:
    """What was noted, a line each, and of what the memory could not learn, that it could not."""
    lost = {report.note for report in reports if not report.held}
    for note in notes:
        yield f"Noted {note}" + (", but the memory could not learn it" if note in lost else "")


def _labelled(answer: Answer) -> str:
    """An answer; what was read for it is said beside it."""
    if not answer.found:
        return answer.text
    return "\n".join([answer.text, *(f"  (read: {text})" for text in answer.found)])


def _beside(compared: Compared) -> str:
    rows = (
        ("weights alone", compared.weights),
        ("texts alone", compared.text),
        ("weights and texts", compared.both),
        ("neither", compared.nothing),
    )
    lines = [f"{name:<18}{answer.text}" for name, answer in rows]
    return "\n".join([*lines, *(f"  (read: {text})" for text in compared.text.found)])


def sources_text(why: Why) -> str:
    """Where an answer comes from, for people."""
    if not why.answer.known:
        if not why.sources:
            what = f"Nothing was told about '{why.answer.key}'."
            return f"{why.answer.text} {what if why.answer.key else 'It was not understood.'}"
        turns = ", ".join(str(source.entry) for source in why.sources)
        return (
            f"{why.answer.text} '{why.answer.key}' was told (turn {turns}), but the weights do not "
            "hold it; tell it again, or let the memory sleep."
        )
    lines = [f"{why.answer.text}  ({why.answer.key}; margin {why.margin:.1f} nats)"]
    # Without any turn at all the margin is a little another. What was told twice hangs on neither.
    matter = [source for source in why.sources if source.weight > _MATTERS] or why.sources[:1]
    for source in matter:
        said = source.text or f"({WORDLESS})"
        without = f"without turn {source.entry}: {source.margin:+.1f}"
        lines.append(f"  {without:<24} {said}")
    if others := len(why.sources) - len(matter):
        lines.append(f"  (it is known as well without any of {count_of(others, 'other turn')})")
    if why.told > why.tried:
        lines.append(f"  ({why.tried} of {why.told} turns were tried)")
    return "\n".join(lines)
