"""What the commands share: options, one-sentence errors, opening a memory."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nestling.models.letters import MARKS

if TYPE_CHECKING:
    from nestling.resident import Resident

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the memory.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to.")]
MemoryName = Annotated[str, typer.Option("--memory", "-m", help="Whose memory: a name.")]


def _home(path: str) -> Path:
    # An unset variable must not put memories wherever one happens to be.
    if not path.strip():
        raise typer.BadParameter("it is empty; name a directory, or leave it out")
    return Path(path)


Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        envvar="NESTLING_HOME",
        show_default="~/.nestling",
        help="Directory of all memories.",
        metavar="PATH",
        parser=_home,
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
# In place of what a turn said.
WORDLESS = "its words were forgotten"


# What steers a terminal, or turns the direction of what is written; lines and tabs do not.
_STEERS = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{MARKS}]")


def shown(text: str) -> str:
    """Text as it may be printed: what would steer a terminal is spelled out ("\\x1b")."""
    return _STEERS.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def say(text: str, *, err: bool = False) -> None:
    """Print a line for people, on stdout or stderr."""
    typer.echo(shown(text), err=err)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Print what a user can mend as one sentence on stderr and leave with exit code 1."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        say(f"error: {error}", err=True)
        raise typer.Exit(1) from error


@contextmanager
def open_memory(
    name: str,
    home: Path | None,
    model: Path | None,
    *,
    create: bool,
    learns_from: Sequence[str] = ("user",),
) -> Iterator[Resident]:
    """Open a memory; whatever is wrong with its name or home is said before a model is read.

    A new one that nothing was told is not there afterwards.
    """
    from nestling.resident.store import MemoryFolder, list_memories

    folder = MemoryFolder(name, home)
    fresh = create and not folder.exists()
    if not create:
        folder.require()
    elif fresh:
        others = {other.casefold(): other for other in list_memories(home)}
        if alike := get_close_matches(name.casefold(), others, 1, 0.75):
            say(f"'{name}' is a new memory; there is also '{others[alike[0]]}'.", err=True)

    import torch

    from nestling.models.bundle import load_bundle
    from nestling.resident import Resident

    # One token at a time through a small model: a second thread only waits, and on a busy machine
    # the first one waits for it.
    torch.set_num_threads(1)
    resident = Resident.open(
        name, home, model=load_bundle(model), create=create, learns_from=learns_from
    )
    try:
        with resident:
            yield resident
    finally:
        if fresh:
            folder.remove_if_unused()


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
    typer.confirm(shown(question), abort=True, err=True)


def progress_line(what: str) -> Callable[[int, int], None]:
    """A line on a terminal that tells how far long work has come; nothing anywhere else."""

    def report(done: int, of: int) -> None:
        if sys.stderr.isatty():
            # What is printed next takes its place.
            end = "\r\033[K" if done >= of else "\r"
            sys.stderr.write(f"\r{what} {done} of {of}\033[K{end}")
            sys.stderr.flush()

    return report
