"""`nestling reproduce TABLE`: a published table at a stated scale, ours beside the paper's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nestling.cli.common import Data, chosen, clear_errors, data_folder
from nestling.cli.evaluate import Out, Run, Seeds, measure


def register(app: typer.Typer) -> None:
    app.command()(reproduce)


def reproduce(
    table: Annotated[str | None, typer.Argument(help="Name of the table; see --list.")] = None,
    list_tables: Annotated[
        bool, typer.Option("--list", help="Say which tables there are and what they take.")
    ] = False,
    only: Annotated[list[str] | None, typer.Option(help="Some of the models alone.")] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Keep what the file holds of other models.")
    ] = False,
    seeds: Seeds = 3,
    data: Data = None,
    run: Run = None,
    out: Out = Path("results"),
) -> None:
    """Run a published table here and print ours beside the paper's."""
    with clear_errors():
        from nestling.evaluation.reproductions import REPRODUCTIONS, reproduction
        from nestling.evaluation.tables import render

        if list_tables:
            for name, known in REPRODUCTIONS.items():
                typer.echo(f"{name}: {known.title}, {known.source}")
                typer.echo(f"  here: {known.scale}; takes {known.takes}")
            return
        if table is None:
            raise ValueError(f"name a table, one of {', '.join(REPRODUCTIONS)}, or use --list")
        known = reproduction(table)
        models = chosen(only, known.models, "models")
        needed = {"data": data_folder(data)} if known.needs_data else {}
        rows = measure(
            table,
            lambda progress: known.measure(
                models=models,
                seeds=range(seeds),
                run_file=run or Path("runs") / f"{table}.jsonl",
                progress=progress,
                **needed,
            ),
            out,
            quiet=True,
            add=(known.column, known.models) if add else None,
        )
        typer.echo(f"{known.title}, {known.source}; here: {known.scale}\n")
        typer.echo(render(table, rows))
