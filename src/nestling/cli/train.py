"""Commands that train a model and its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nestling.cli.common import clear_errors


def register(app: typer.Typer) -> None:
    app.command()(train)
    app.command()(tokenizer)


def train(
    config: Annotated[Path, typer.Argument(help="A TOML configuration, see the folder recipes.")],
    run: Annotated[
        Path | None, typer.Option(help="Folder of the run; resumed if it exists.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Total steps, in place of the recipe's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed, in place of the recipe's.")] = None,
    until: Annotated[int | None, typer.Option(help="Stop early, at this step.")] = None,
    out: Annotated[Path | None, typer.Option(help="Model folder to write at the end.")] = None,
) -> None:
    """Train a model; a run that was stopped goes on where it was."""
    with clear_errors():
        from rich.console import Console

        from nestling.training.options import read_options
        from nestling.training.recipe import export, prepare_run

        console = Console()
        chosen = {"steps": steps, "seed": seed}
        options = read_options(config, {k: v for k, v in chosen.items() if v is not None})
        folder = run or Path("runs") / config.stem

        def report(step: int, numbers: dict[str, float]) -> None:
            left = (options.loop.steps - step) * numbers["seconds"] / 60
            shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            console.print(f"step {step}/{options.loop.steps}  {shown}  [dim]{left:.0f} min left[/]")

        trainer = prepare_run(options, folder, report)
        parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
        console.print(f"{folder}: {parameters:,} parameters, from step {trainer.step}")
        trainer.run(until)
        written = export(trainer, out or folder / "model")
        console.print(f"wrote {written}")


def tokenizer(
    out: Annotated[Path, typer.Option(help="tokenizer.json to write.")],
    files: Annotated[
        list[str] | None, typer.Argument(help="Text files; none: the told-facts generator.")
    ] = None,
    vocab_size: Annotated[int, typer.Option(help="Ids in all.")] = 4096,
    seed: Annotated[int, typer.Option(help="Seed of the generator.")] = 0,
) -> None:
    """Train a byte-level BPE tokenizer on text files or on told facts."""
    with clear_errors():
        from nestling.training.recipe import told_facts_texts
        from nestling.training.text_task import read_texts
        from nestling.training.tokenizer import save_tokenizer, train_tokenizer

        texts = read_texts(files, Path.cwd()) if files else told_facts_texts(seed)
        if files and not any(text.strip() for text in texts):
            raise ValueError(f"there is no text in {', '.join(files)}")
        trained = train_tokenizer(texts, vocab_size)
        path, size = save_tokenizer(trained, out), trained.get_vocab_size()
        short = f", of the {vocab_size} that were asked for" if size < vocab_size else ""
        typer.echo(f"wrote {path}: {size} ids{short}")
