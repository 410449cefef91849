"""From a configuration to a run: tokenizer, model, task, trainer, and the finished model."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer

from nestling.models.bundle import load_bundle, save_bundle, write_manners
from nestling.models.dialogue import END, PAD, Dialogue
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings
from nestling.training.loop import Report, Trainer
from nestling.training.options import RunOptions
from nestling.training.text_task import TextTask, read_texts
from nestling.training.tokenizer import save_tokenizer, train_tokenizer
from nestling.training.told_facts import RELATIONS, FactSource
from nestling.training.told_facts_task import ToldFactsTask, draw_turns
from nestling.training.unheld import parts_of, unheld_ids

TOKENIZER_TURNS = 60_000


def told_facts_texts(seed: int, turns: int = TOKENIZER_TURNS) -> list[str]:
    """Turns and keys of the training split, as a tokenizer is trained on them."""
    rng = random.Random(seed)
    texts = []
    for text, restated in islice(draw_turns(FactSource(rng), rng), turns):
        texts.append(" " + text)
        texts += [" " + note.key for note in restated.notes]
    return texts


def prepare_tokenizer(options: RunOptions, folder: Path) -> Tokenizer:
    """The tokenizer the options name, the run's own, or a new one trained on the task's text."""
    path = folder / "tokenizer.json"
    start = options.start_bundle()
    if start is not None and not path.is_file():
        save_tokenizer(start.dialogue.tokenizer, path)
    if options.tokenizer is not None:
        path = (options.folder / options.tokenizer).resolve()
        if not path.is_file():
            raise FileNotFoundError(
                f"there is no tokenizer {path}; train one or leave out its file"
            )
    if not path.is_file():
        if options.text is not None:
            texts = read_texts(options.text.files, options.folder)
        else:
            texts = told_facts_texts(options.loop.seed, TOKENIZER_TURNS)
        save_tokenizer(train_tokenizer(texts, options.vocab_size), path)
    return Tokenizer.from_file(str(path))


def prepare_run(options: RunOptions, folder: str | Path, report: Report | None = None) -> Trainer:
    """Make, or resume, the run in `folder`.

    Raises:
        ValueError, FileNotFoundError: the folder holds another run, or data is missing.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "options.json"
    values = options.to_dict()
    # Read, not compared as text: a run of an earlier version lacks settings that came since.
    if record.is_file() and (
        HopeSettings.from_dict(json.loads(record.read_text())["model"]) != options.model
    ):
        raise ValueError(f"{folder} holds a run of another model; choose another folder with --run")
    record.write_text(json.dumps(values, indent=2) + "\n")
    if options.loop.threads:
        torch.set_num_threads(options.loop.threads)
    tokenizer = prepare_tokenizer(options, folder)
    torch.manual_seed(options.loop.seed)
    model, start = Hope(options.model), options.start_bundle()
    if start is not None:
        model.load_state_dict(start.model.state_dict())
    if options.told_facts is not None:
        task = ToldFactsTask(Dialogue(tokenizer), options.told_facts, options.loop.seed)
    else:
        assert options.text is not None
        task = TextTask.from_options(options.text, tokenizer, options.folder, options.loop.seed)
    return Trainer(model, task, options.loop, folder, report)


def export(trainer: Trainer, folder: str | Path) -> Path:
    """Write the trained model as a folder for `load_bundle`, `--model` and `from_pretrained`.

    Weights are stored in half precision and read as float32.
    """
    tokenizer = Tokenizer.from_file(str(trainer.folder / "tokenizer.json"))
    marks = {"pad_token_id": PAD, "eos_token_id": END}
    ids = {name: tokenizer.token_to_id(mark) for name, mark in marks.items()}
    settings = replace(trainer.model.settings, **ids)
    model = Hope(settings)
    model.load_state_dict(trainer.model.state_dict())
    extra = {"architectures": ["HopeForCausalLM"], "model_type": "hope", "dtype": "float32"}
    written = save_bundle(model.half(), tokenizer, folder, extra_config=extra)
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": END,
        "model_max_length": settings.sliding_window,
    }
    (written / "tokenizer_config.json").write_text(json.dumps(described, indent=2) + "\n")
    if isinstance(trainer.task, ToldFactsTask):
        describe(written)
    return written


def describe(folder: str | Path) -> Path:
    """Write, beside a model of told facts, which relations it knows and which ids it splits."""
    bundle = load_bundle(folder)
    whole = Dialogue(bundle.dialogue.tokenizer)
    split = parts_of(whole.tokenizer, unheld_ids(bundle.model, whole))
    return write_manners(folder, Dialogue(whole.tokenizer, tuple(RELATIONS), split))
