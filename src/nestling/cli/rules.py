"""`nestling rules ...`: the update rules side by side, each race written to results/."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nestling.cli.common import Data, Model, chosen, clear_errors, data_folder
from nestling.cli.evaluate import Out, Run, Seeds, measure

group = typer.Typer(help="Race the update rules, and write their results.", no_args_is_help=True)
Figures = Annotated[Path, typer.Option("--to", help="Folder of the figures.")]
Only = Annotated[list[str] | None, typer.Option("--only", help="Some of the contestants alone.")]


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="rules")


@group.command()
def race(out: Out = Path("results"), to: Figures = Path("docs/figures")) -> None:
    """Walk two curved valleys by momentum, delta momentum, deep momentum and Adam; draw them."""
    with clear_errors():
        from nestling.evaluation.figures import rule_landscape
        from nestling.evaluation.landscape import measure_landscape

        rows = measure("rule_landscape", lambda progress: measure_landscape(), out, quiet=True)
        typer.echo(f"wrote {rule_landscape(rows, to / 'rule_landscape.png')}")


@group.command()
def outer(
    data: Data = None,
    model: Annotated[list[str] | None, typer.Option(help="transformer or hope.")] = None,
    steps: Annotated[int, typer.Option(help="Steps of each run.")] = 300,
    seeds: Seeds = 3,
    only: Only = None,
    run: Run = Path("runs/outer_race.jsonl"),
    out: Out = Path("results"),
) -> None:
    """The rules as optimizers of small models on WikiText-2, each at its best rate."""
    with clear_errors():
        from nestling.evaluation.outer_race import (
            MODELS_RACED,
            OPTIMIZERS,
            Course,
            measure_outer_race,
        )

        measure(
            "outer_race",
            lambda progress: measure_outer_race(
                data_folder(data),
                models=chosen(model, MODELS_RACED, "models"),
                optimizers=chosen(only, OPTIMIZERS, "contestants"),
                seeds=range(seeds),
                course=Course(steps=steps),
                run_file=run,
                progress=progress,
            ),
            out,
            quiet=True,
        )


@group.command()
def stream(
    data: Data = None,
    steps: Annotated[int, typer.Option(help="Steps in each language.")] = 75,
    seeds: Seeds = 3,
    only: Only = None,
    run: Run = Path("runs/outer_race_stream.jsonl"),
    out: Out = Path("results"),
) -> None:
    """The same optimizers on books in four languages, one after the other."""
    with clear_errors():
        from nestling.evaluation.outer_race import OPTIMIZERS, Course, measure_outer_race_stream

        measure(
            "outer_race_stream",
            lambda progress: measure_outer_race_stream(
                data_folder(data),
                optimizers=chosen(only, OPTIMIZERS, "contestants"),
                seeds=range(seeds),
                course=Course(steps=steps, windows=32),
                run_file=run,
                progress=progress,
            ),
            out,
            quiet=True,
        )


@group.command()
def inner(
    steps: Annotated[int, typer.Option(help="Steps of meta-training of each rule.")] = 300,
    seeds: Seeds = 3,
    only: Only = None,
    model: Model = None,
    run: Run = Path("runs/inner_race.jsonl"),
    out: Out = Path("results"),
) -> None:
    """The rules as writers of the continuum memory: told facts recalled after meta-training."""
    with clear_errors():
        from nestling.evaluation.inner_race import RULES, Course, measure_inner_race
        from nestling.models.bundle import load_bundle

        measure(
            "inner_race",
            lambda progress: measure_inner_race(
                rules=chosen(only, RULES, "contestants"),
                seeds=range(seeds),
                course=Course(steps=steps),
                bundle=load_bundle(model),
                run_file=run,
                progress=progress,
            ),
            out,
            quiet=True,
        )


@group.command()
def cost(
    rounds: Annotated[int, typer.Option(help="Steps that are timed.")] = 9,
    threads: Annotated[int, typer.Option(help="Torch threads.")] = 2,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    out: Out = Path("results"),
) -> None:
    """Time and state of one step on the matrices of a 340M block, beside torch.optim."""
    with clear_errors():
        import torch

        from nestling.evaluation.rule_cost import measure_cost

        torch.set_num_threads(threads)
        measure(
            "rule_cost" if device == "cpu" else "rule_cost_gpu",
            lambda progress: measure_cost(rounds=rounds, device=device, progress=progress),
            out,
        )
