"""What a training run is told: one TOML file, read into frozen dataclasses and checked once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from nestling.models.bundle import ModelBundle, load_bundle
from nestling.models.presets import build_settings
from nestling.models.settings import HopeSettings
from nestling.training.told_facts.splits import check_share

Options = TypeVar("Options")


@dataclass(frozen=True)
class LoopOptions:
    """The outer loop.

    Args:
        steps: optimizer steps of the whole run.
        learning_rate: peak; warmed up over `warmup` steps.
        schedule: factor on the learning rate by share of the run, (share, factor) pairs in order,
            linear between them and flat beyond.
        rate_multiplier: factor on the learning rate of the inner rates and token strengths.
        optimizer: "adamw", or "muon" for the matrices inside the blocks, AdamW for the rest.
        betas, weight_decay, clip: AdamW and gradient-norm clipping.
        precision: "float32" or "bfloat16" (autocast below the memory; writes stay float32).
        seed: of initialisation and data.
        threads: torch threads; 0 leaves the default.
        log_every, checkpoint_every: steps.
    """

    steps: int = 1000
    learning_rate: float = 2e-3
    warmup: int = 100
    schedule: tuple[tuple[float, float], ...] = ((0.7, 1.0), (1.0, 0.0))
    rate_multiplier: float = 5.0
    optimizer: str = "adamw"
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.05
    clip: float = 1.0
    precision: str = "float32"
    seed: int = 0
    threads: int = 0
    log_every: int = 20
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        if self.steps < 1 or self.log_every < 1 or self.checkpoint_every < 1:
            raise ValueError("steps, log_every and checkpoint_every are 1 or more")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision is 'float32' or 'bfloat16', got {self.precision!r}")
        if self.optimizer not in ("adamw", "muon"):
            raise ValueError(f"optimizer is 'adamw' or 'muon', got {self.optimizer!r}")
        points = tuple((float(share), float(factor)) for share, factor in self.schedule)
        object.__setattr__(self, "schedule", points)
        shares = [share for share, _ in points]
        if not shares or shares != sorted(set(shares)) or shares[0] < 0 or shares[-1] > 1:
            raise ValueError(
                "schedule has one or more (share, factor) pairs, their shares of the run rising "
                f"between 0 and 1, got {self.schedule}"
            )


_SHARES = ("slips", "odd_values", "open_facts", "sentences", "known_only", "odd_words")


@dataclass(frozen=True)
class ToldFactsOptions:
    """The told-facts curriculum.

    Args:
        turns: turns of everyday English restated in each step.
        notes: notes learned in each step, over all residents of the batch.
        residents: at most so many residents in a batch.
        remember_every: steps from one batch of residents to the next; every step restates.
        stages: facts of a resident, stage by stage.
        advance: recall (moving average) at which the next stage begins.
        writes: at most so many writes follow one another; beyond, turns share one.
        slips: share of clauses with a slip of the keyboard or the tongue.
        odd_values: share of values that are of another kind, or put together from two.
        further: draw from all phrasings for training; without it from those of the first recipe.
        open_facts: share of facts whose relation is named by a word of the speaker's own.
        sentences: share of sentences that state several facts at once, among turns that tell
            several.
        known_only: share of the batches of residents that are told known relations alone.
        odd_words: share of learned values that are one or two words of the vocabulary, evenly
            drawn, so that a memory can hold every one of them.
    """

    turns: int = 64
    notes: int = 128
    residents: int = 8
    remember_every: int = 2
    stages: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256)
    advance: float = 0.9
    writes: int = 18
    slips: float = 0.0
    odd_values: float = 0.0
    further: bool = False
    open_facts: float = 0.0
    sentences: float = 0.0
    known_only: float = 0.0
    odd_words: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages or min(self.stages) < 1:
            raise ValueError(f"stages are numbers of facts, 1 or more, got {self.stages}")
        for name in _SHARES:
            check_share(name, getattr(self, name))


@dataclass(frozen=True)
class TextOptions:
    """Language modelling on text files.

    Args:
        files: `.txt`, `.txt.gz` or `.jsonl.gz` (field "text"); relative names are looked up beside
            the configuration, then below `NESTLING_DATA`.
        validation: the same, for the validation loss.
        batch: sequences of a step.
        length: tokens of a sequence.
        learn: write the memory while reading (the loss is taken before each write).
    """

    files: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    batch: int = 16
    length: int = 256
    learn: bool = False

    def __post_init__(self) -> None:
        for name in ("files", "validation"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


@dataclass(frozen=True)
class RunOptions:
    """A whole run: model, tokenizer, one task, loop.

    Args:
        start: a folder with a model of these settings, whose weights and tokenizer the run begins
            with, or "embedded" for the model that comes with nestling; None begins at random.
    """

    model: HopeSettings
    loop: LoopOptions
    told_facts: ToldFactsOptions | None = None
    text: TextOptions | None = None
    vocab_size: int = 2048
    tokenizer: str | None = None
    start: str | None = None
    folder: Path = field(default=Path())

    def start_bundle(self) -> ModelBundle | None:
        """The model the run begins with, if there is one.

        Raises:
            ValueError: there is no model in the folder, or it has other settings.
        """
        if self.start is None:
            return None
        bundle = load_bundle(None if self.start == "embedded" else self.folder / self.start)
        marks = {name: None for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
        if replace(bundle.model.settings, **marks) != replace(self.model, **marks):
            raise ValueError(
                f"the model in {bundle.path} has other settings than [model]; write down its own, "
                "which stand in its config.json"
            )
        return bundle

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        values["model"] = self.model.to_dict()
        values["folder"] = str(self.folder)
        return values


def read_options(path: str | Path, overrides: Mapping[str, Any] | None = None) -> RunOptions:
    """Read a TOML configuration with the tables [model], [loop], [tokenizer] and one task.

    With `[start] model = "folder"` the run goes on from the model there, and takes its tokenizer.

    Args:
        overrides: fields of [loop] to replace, for example `{"steps": 10}`.

    Raises:
        FileNotFoundError, ValueError: with what is wrong and what is allowed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no configuration {path}; see the folder 'recipes'")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not valid TOML: {error}") from error
    unknown = set(values) - {"model", "loop", "tokenizer", "start", "told_facts", "text"}
    if unknown:
        raise ValueError(f"{path}: unknown tables {sorted(unknown)}")
    tasks = [name for name in ("told_facts", "text") if name in values]
    if len(tasks) != 1:
        raise ValueError(f"{path} needs one task, [told_facts] or [text], got {tasks or 'none'}")
    tokenizer, start = values.get("tokenizer", {}), values.get("start")
    if start is not None and (set(start) != {"model"} or tokenizer):
        raise ValueError(
            f"{path}: [start] has one entry, model = 'folder', and takes the place of [tokenizer]"
        )
    loop = {**values.get("loop", {}), **(overrides or {})}
    return RunOptions(
        model=_model(values.get("model", {}), path),
        loop=_build(LoopOptions, loop, path),
        told_facts=_build(ToldFactsOptions, values["told_facts"], path)
        if "told_facts" in values
        else None,
        text=_build(TextOptions, values["text"], path) if "text" in values else None,
        vocab_size=tokenizer.get("vocab_size", 2048),
        tokenizer=tokenizer.get("file"),
        start=None if start is None else str(start["model"]),
        folder=path.resolve().parent,
    )


def _model(values: Mapping[str, Any], path: Path) -> HopeSettings:
    """The fields of [model], on top of a `preset` if it names one."""
    if "preset" not in values:
        return _build(HopeSettings, values, path)
    _check(HopeSettings, [name for name in values if name != "preset"], path)
    return build_settings(dict(values))


def _build(kind: type[Options], values: Mapping[str, Any], path: Path) -> Options:
    _check(kind, values, path)
    return kind(**values)


def _check(kind: type, names: Iterable[str], path: Path) -> None:
    known = {item.name for item in fields(kind)}
    unknown = set(names) - known
    if unknown:
        raise ValueError(
            f"{path}: {kind.__name__} has no {sorted(unknown)}; it has {sorted(known)}"
        )
