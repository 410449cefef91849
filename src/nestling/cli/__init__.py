"""The command line. Each file adds its commands; what is heavy is imported when a command runs."""

import atexit
import gc
import os
import sys
from importlib.metadata import version

import typer

from nestling.cli import chat, demo, evaluate, memory, reproduce, results, rules, talk, train

# Objects made, less those that went, between two looks for garbage.
_GARBAGE = 100_000

app = typer.Typer(
    name="nestling",
    help="A language model that learns what you tell it, and remembers it tomorrow.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
for _group in (talk, chat, memory, demo, train, evaluate, rules, reproduce, results):
    _group.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("nestling"))
        raise typer.Exit()


@app.callback()
def _options(
    show_version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main() -> None:
    """Entry point of the command `nestling`."""
    # What is imported stays: looking through it for garbage is felt in a cold start.
    gc.set_threshold(_GARBAGE)
    try:
        app()
    except KeyboardInterrupt:
        # While commands are still being imported; later they say themselves what became of it.
        _leave(130)
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        _leave(end.code or 0)


def _leave(code: int) -> None:
    """End the process at once; taking torch apart would take longer than answering a question."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            # Whoever was to read it has gone.
            code = code or 1
    os._exit(code)
