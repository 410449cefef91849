"""`nestling evaluate ...`: measurements, each written to results/<name>.json."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nestling.cli.common import Data, Model, chosen, clear_errors, data_folder

group = typer.Typer(help="Measure, and write results/<name>.json.", no_args_is_help=True)
Out = Annotated[Path, typer.Option("--out", help="Folder of the results.")]
Run = Annotated[
    Path | None, typer.Option("--run", help="File of finished runs; a later start goes on from it.")
]
Seeds = Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds.")]
_MOST_THREADS = 1024


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="evaluate")


def measure(
    name: str,
    rows: Callable[[Callable[[str], None]], Iterable[dict[str, Any]]],
    out: Path,
    *,
    quiet: bool = False,
    add: tuple[str, Sequence[Any]] | None = None,
) -> list[dict[str, Any]]:
    """Collect rows with progress on stderr, then write them; Ctrl-C writes nothing.

    With `add`, a column and its values in order, rows of the file with other values than the new
    ones stay there.
    """
    from rich.console import Console

    from nestling.evaluation.results import add_results, write_results

    console = Console(stderr=True)
    collected = []
    for row in rows(lambda line: console.print(f"[dim]{line}[/]")):
        collected.append(row)
        if not quiet:
            console.print("  ".join(f"{key} {value}" for key, value in row.items()))
    command = shlex.join(["nestling", *_without_places(sys.argv[1:])])
    if add is not None:
        by, order = add
        collected = add_results(name, collected, by=by, order=order, command=command, directory=out)
        typer.echo(f"added to {out / name}.json")
    else:
        typer.echo(f"wrote {write_results(name, collected, command=command, directory=out)}")
    return collected


def _without_places(arguments: Sequence[str]) -> list[str]:
    """A command without the files it wrote: where they lie says nothing of what was measured."""
    kept, rest = [], iter(arguments)
    for argument in rest:
        if argument in ("--out", "--run", "--home"):
            next(rest, None)
        elif not argument.startswith(("--out=", "--run=", "--home=")):
            kept.append(argument)
    return kept


@group.command()
def recall(
    facts: Annotated[list[int] | None, typer.Option(help="Facts of a resident.")] = None,
    seeds: Seeds = 3,
    model: Model = None,
    out: Out = Path("results"),
) -> None:
    """Residents told in three processes, asked in a fourth: recall, refusals, updates."""
    with clear_errors():
        from nestling.evaluation.recall import measure_recall

        measure(
            "recall",
            lambda progress: measure_recall(
                facts=facts or (16, 64, 256), seeds=range(seeds), model=model, progress=progress
            ),
            out,
        )


@group.command("facts-curve")
def facts_curve(
    seeds: Seeds = 3,
    largest: Annotated[int, typer.Option(help="Largest number of facts.")] = 1000,
    model: Model = None,
    out: Out = Path("results"),
) -> None:
    """Recall against the number of facts told."""
    with clear_errors():
        from nestling.evaluation.curves import measure_facts

        counts = [2**n for n in range(10) if 2**n < largest] + [largest]
        measure(
            "facts_curve",
            lambda progress: measure_facts(
                counts=counts, seeds=range(seeds), model=model, progress=progress
            ),
            out,
        )


@group.command("small-talk-curve")
def small_talk_curve(
    seeds: Seeds = 3,
    largest: Annotated[int, typer.Option(help="Most tokens of small talk.")] = 100_000,
    model: Model = None,
    out: Out = Path("results"),
) -> None:
    """Recall against tokens of small talk read after the facts."""
    with clear_errors():
        from nestling.evaluation.curves import measure_small_talk

        tokens = [n for n in (0, 100, 1_000, 10_000, 30_000, 100_000) if n < largest] + [largest]
        measure(
            "small_talk_curve",
            lambda progress: measure_small_talk(
                tokens=tokens, seeds=range(seeds), model=model, progress=progress
            ),
            out,
        )


@group.command()
def latency(
    threads: Annotated[int, typer.Option(help="Torch threads.")] = 1,
    model: Model = None,
    out: Out = Path("results"),
) -> None:
    """Milliseconds to learn and to answer a turn, beside a plain forward pass."""
    with clear_errors():
        from nestling.evaluation.latency import measure_latency

        measure("latency", lambda progress: measure_latency(threads=threads, model=model), out)


@group.command("level-cost")
def level_cost(
    threads: Annotated[int, typer.Option(help="Torch threads.")] = 1,
    out: Out = Path("results"),
) -> None:
    """What writing levels costs while reading, and levels that are not due."""
    with clear_errors():
        from nestling.evaluation.level_cost import measure_level_cost

        measure(
            "level_cost",
            lambda progress: measure_level_cost(threads=threads, progress=progress),
            out,
        )


@group.command()
def strength(seeds: Seeds = 3, model: Model = None, out: Out = Path("results")) -> None:
    """How well the first facts are known as others follow, with and without sleep."""
    with clear_errors():
        from nestling.evaluation.continual.strength import measure_strength

        measure(
            "strength",
            lambda progress: measure_strength(seeds=range(seeds), model=model, progress=progress),
            out,
        )


@group.command("found-texts")
def found_texts(seeds: Seeds = 3, model: Model = None, out: Out = Path("results")) -> None:
    """Answers from the weights, from texts that are searched for, from both and neither."""
    with clear_errors():
        from nestling.evaluation.found_texts import measure_found_texts

        measure(
            "found_texts",
            lambda progress: measure_found_texts(
                seeds=range(seeds), model=model, progress=progress
            ),
            out,
        )


@group.command()
def everyday(model: Model = None, out: Out = Path("results")) -> None:
    """Tellings and questions written by hand, apart from all text of training."""
    with clear_errors():
        from nestling.evaluation.everyday import measure_everyday

        measure("everyday", lambda progress: measure_everyday(model=model, progress=progress), out)


@group.command("long-life")
def long_life(
    turns: Annotated[int, typer.Option(help="Turns of the life.")] = 1_000_000,
    model: Model = None,
    home: Annotated[
        Path | None, typer.Option(help="Where the memory lives; it goes on from there.")
    ] = None,
    run: Run = None,
    out: Out = Path("results"),
) -> None:
    """A million turns of one user: what is still known, norms, files."""
    with clear_errors():
        from dataclasses import replace

        from nestling.evaluation.continual.long_life import Course, measure_long_life

        course = replace(Course(), turns=turns)
        measure(
            "long_life",
            lambda progress: measure_long_life(
                course=course, model=model, home=home, run_file=run, progress=progress
            ),
            out,
        )


@group.command("language-modeling")
def language_modeling(
    data: Data = None,
    corpus: Annotated[list[str] | None, typer.Option(help="wikitext2 or novels.")] = None,
    tokens: Annotated[int, typer.Option(help="Training tokens of each model.")] = 1_000_000,
    seeds: Seeds = 1,
    only: Annotated[list[str] | None, typer.Option(help="Some of the models alone.")] = None,
    run: Run = Path("runs/language_modeling.jsonl"),
    out: Out = Path("results"),
) -> None:
    """A small Hope beside its peers of equal size and tokens."""
    with clear_errors():
        from nestling.evaluation.language_modeling import (
            CORPORA,
            MODELS,
            measure_language_modeling,
        )

        data = data_folder(data)
        unknown = set(corpus or ()) - set(CORPORA)
        if unknown:
            raise ValueError(f"corpora are {sorted(CORPORA)}, got {sorted(unknown)}")
        measure(
            "language_modeling",
            lambda progress: measure_language_modeling(
                data,
                corpora=corpus or ("wikitext2",),
                models=chosen(only, MODELS, "models"),
                seeds=range(seeds),
                tokens=tokens,
                run_file=run,
                progress=progress,
            ),
            out,
        )


@group.command()
def harness(
    folder: Annotated[Path | None, typer.Argument(help="A model folder.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Names of tasks; see --list.")] = None,
    data: Data = None,
    limit: Annotated[int | None, typer.Option(help="Documents of each task.")] = None,
    learn: Annotated[bool, typer.Option(help="Write the context while it is read.")] = False,
    documents: Annotated[
        bool, typer.Option(help="Read a document once, answer its questions from forks.")
    ] = False,
    list_tasks: Annotated[
        bool, typer.Option("--list", help="Say which tasks local files hold.")
    ] = False,
    out: Out = Path("results"),
) -> None:
    """Tasks of lm-evaluation-harness (extra "eval"), from local files where they are there."""
    with clear_errors():
        from nestling.evaluation.harness_tasks import LOCAL

        if list_tasks:
            typer.echo("\n".join(LOCAL))
            return
        if folder is None:
            raise ValueError("name the folder of a model")
        if not task:
            raise ValueError(f"name tasks with --task, for example one of {', '.join(LOCAL)}")
        try:
            from nestling.evaluation.harness import HarnessModel, measure_harness
        except ModuleNotFoundError as error:
            raise ValueError(
                "this needs lm-evaluation-harness: pip install 'nestling[eval]'"
            ) from error
        model = HarnessModel.from_folder(folder, learn=learn, documents=documents)
        measure(
            "harness",
            lambda progress: measure_harness(model, task, data=data, limit=limit),
            out,
        )


@group.command()
def speed(
    mixer: Annotated[list[str] | None, typer.Option(help="Some of the mixers alone.")] = None,
    mode: Annotated[list[str] | None, typer.Option(help="Some of the modes alone.")] = None,
    length: Annotated[list[int] | None, typer.Option(help="Tokens of a sequence.")] = None,
    threads: Annotated[
        list[int] | None, typer.Option(min=1, max=_MOST_THREADS, help="Torch threads.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    add: Annotated[
        bool, typer.Option("--add", help="Keep what the file holds of other numbers of threads.")
    ] = False,
    run: Run = None,
    out: Out = Path("results"),
) -> None:
    """Tokens a second of every mixer: reading, training, writing, decoding."""
    with clear_errors():
        from dataclasses import replace

        from nestling.evaluation.speed import MIXERS, MODES, Course, measure_speed

        course = Course()
        if length:
            course = replace(course, lengths=tuple(length), model_lengths=tuple(length))
        name = "speed_cpu" if device == "cpu" else "speed_gpu"
        measure(
            name,
            lambda progress: measure_speed(
                mixers=mixer or MIXERS,
                modes=mode or MODES,
                threads=threads or (1, 2),
                device=device,
                course=course,
                run_file=run or Path("runs") / f"{name}.jsonl",
                progress=progress,
            ),
            out,
            quiet=True,
            add=("threads", range(1, _MOST_THREADS + 1)) if add else None,
        )


@group.command()
def kills(
    kills: Annotated[int, typer.Option(min=1, help="How often a process is killed.")] = 1000,
    seed: Annotated[int, typer.Option(help="What is drawn.")] = 0,
    model: Model = None,
    run: Run = Path("runs/kills.jsonl"),
    out: Out = Path("results"),
) -> None:
    """kill -9 at any moment of any operation: is all that was acknowledged there, and whole?"""
    with clear_errors():
        from nestling.evaluation.durability.kills import measure_kills

        measure(
            "kills",
            lambda progress: measure_kills(
                kills=kills, seed=seed, model=model, run_file=run, progress=progress
            ),
            out,
            quiet=True,
        )


@group.command()
def faults(
    every: Annotated[
        int, typer.Option(min=1, help="Of the calls of an operation, every n-th fails in turn.")
    ] = 1,
    tries: Annotated[
        int, typer.Option(min=1, help="Places at which a file is damaged, by kind of damage.")
    ] = 40,
    operation: Annotated[
        list[str] | None, typer.Option(help="Some of the operations alone.")
    ] = None,
    seed: Annotated[int, typer.Option(help="What is drawn.")] = 0,
    model: Model = None,
    run: Run = Path("runs/faults.jsonl"),
    out: Out = Path("results"),
) -> None:
    """Disks that are full, read-only or fail, and damaged files: what is said, what is kept?"""
    with clear_errors():
        from nestling.evaluation.durability.faults import OPERATIONS, measure_faults

        measure(
            "faults",
            lambda progress: measure_faults(
                every=every,
                tries=tries,
                operations=chosen(operation, OPERATIONS, "operations"),
                seed=seed,
                model=model,
                run_file=run,
                progress=progress,
            ),
            out,
            quiet=True,
        )


@group.command()
def figures(out: Out = Path("results"), to: Annotated[Path, typer.Option()] = Path("docs/figures")):
    """Draw the curves from results/*.json."""
    with clear_errors():
        from nestling.evaluation.figures import (
            levels_figure,
            long_life_curve,
            recall_curve,
            small_talk_curve,
            strength_curve,
            tasks_curve,
        )
        from nestling.evaluation.results import read_results

        os.makedirs(to, exist_ok=True)
        facts = read_results("facts_curve", out)["rows"]
        talk = read_results("small_talk_curve", out)["rows"]
        strength = read_results("strength", out)["rows"]
        life = read_results("long_life", out)["rows"]
        classes = {
            title: read_results(f"continual_{name}", out)["rows"]
            for title, name in (
                ("150 intents, 15 at a time (CLINC150)", "clinc150"),
                ("14 classes of articles, two at a time (DBpedia)", "dbpedia"),
            )
        }
        for drawn in (
            recall_curve(facts, to / "recall_by_facts.png"),
            small_talk_curve(talk, to / "recall_by_small_talk.png"),
            strength_curve(strength, to / "strength.png"),
            long_life_curve(life, to / "long_life.png"),
            tasks_curve(classes, to / "classes.png"),
            levels_figure(to / "levels.png"),
        ):
            typer.echo(f"wrote {drawn}")
