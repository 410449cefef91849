"""What the commands share: options, one-sentence errors, opening a memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nestling.resident import Resident

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the memory.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to.")]
MemoryName = Annotated[str, typer.Option("--memory", "-m", help="Whose memory: a name.")]
Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        envvar="NESTLING_HOME",
        show_default="~/.nestling",
        help="Directory of all memories.",
    ),
]
Model = Annotated[
    Path | None,
    typer.Option(
        "--model",
        envvar="NESTLING_MODEL",
        show_default="the model that comes with nestling",
        help="A model folder.",
    ),
]
Data = Annotated[
    Path | None, typer.Option(envvar="NESTLING_DATA", help="Folder with lm/ and domains/.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


@contextmanager
def clear_errors() -> Iterator[None]:
    """Print what a user can mend as one sentence on stderr and leave with exit code 1."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def open_memory(
    name: str,
    home: Path | None,
    model: Path | None,
    *,
    create: bool,
    learns_from: Sequence[str] = ("user",),
) -> Resident:
    """Open a memory; whatever is wrong with its name or home is said before a model is read."""
    from nestling.resident.store import MemoryFolder

    folder = MemoryFolder(name, home)
    if not create:
        folder.require()

    import torch

    from nestling.models.bundle import load_bundle
    from nestling.resident import Resident

    # One token at a time through a small model: a second thread only waits, and on a busy machine
    # the first one waits for it.
    torch.set_num_threads(1)
    return Resident.open(
        name, home, model=load_bundle(model), create=create, learns_from=learns_from
    )


def data_folder(data: Path | None) -> Path:
    """The folder of the data sets; raises ValueError if none is named or there."""
    if data is None or not data.is_dir():
        raise ValueError(
            "name the folder of the data with --data or NESTLING_DATA; "
            "docs/reproductions.md says what lies in it"
        )
    return data


def chosen(only: Sequence[str] | None, known: Iterable[str], kind: str) -> tuple[str, ...]:
    """Some of what is known, or all of it; raises ValueError for any other name."""
    names = tuple(known)
    if unknown := set(only or ()) - set(names):
        raise ValueError(f"there is no {sorted(unknown)}; the {kind} are {list(names)}")
    return tuple(only or names)


def print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, ensure_ascii=False))


def count_of(count: int, what: str) -> str:
    """A count for people: "1 turn", "2 turns"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def confirm(question: str) -> None:
    """Ask, and end the command unless the answer is yes."""
    # What is printed on stdout may be JSON.
    typer.confirm(question, abort=True, err=True)


def progress_line(what: str) -> Callable[[int, int], None]:
    """A line on a terminal that tells how far long work has come; nothing anywhere else."""

    def report(done: int, of: int) -> None:
        if sys.stderr.isatty():
            # What is printed next takes its place.
            end = "\r\033[K" if done >= of else "\r"
            sys.stderr.write(f"\r{what} {done} of {of}\033[K{end}")
            sys.stderr.flush()

    return report
