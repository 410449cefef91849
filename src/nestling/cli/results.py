"""`nestling results tables`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nestling.cli.common import clear_errors

group = typer.Typer(help="Measured results and what is drawn from them.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="results")


@group.callback()
def _group() -> None:
    """Measured results and what is drawn from them."""


@group.command()
def tables(
    root: Annotated[
        Path, typer.Option("--root", exists=True, file_okay=False, help="Root of the repository.")
    ] = Path("."),
) -> None:
    """Regenerate the tables and numbers in README and docs from results/*.json."""
    with clear_errors():
        from nestling.evaluation.tables import render_tables

        changed = render_tables(root)
    for path in changed:
        typer.echo(f"wrote {path}")
    if not changed:
        typer.echo("Every table is up to date.")
