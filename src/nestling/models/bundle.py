"""A model folder: config.json, model.safetensors and tokenizer.json, read together and hashed.

Where there is a dialogue.json, it says how the model speaks.

Reading one needs torch, safetensors and tokenizers alone, so that a question is answered soon after
the command was typed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors import torch as safetensors
from tokenizers import Tokenizer
from torch import Tensor

from nestling.memory.storage import write_file
from nestling.models.dialogue import Dialogue
from nestling.models.folder import CONFIG, DIALOGUE, TOKENIZER, WEIGHTS, locate, read_dialogue
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings

# Of the names of weights, so that `from_pretrained` knows them.
PREFIX = "model."


@dataclass(frozen=True)
class ModelBundle:
    """A model that can restate and recall; `model_hash` names its settings, its weights and what
    its dialogue splits."""

    model: Hope
    dialogue: Dialogue
    model_hash: str
    path: Path


def load_bundle(path: str | Path | None = None) -> ModelBundle:
    """Read a model folder, in float32 on the CPU; None reads the model that comes with nestling.

    Keys of config.json that are not fields of `HopeSettings` are left alone. Names of weights may
    start with `model.`, and tied weights may be absent.

    Raises:
        ValueError: a file is missing or does not fit the others; the message names it.
    """
    folder = locate(path)
    config, settings = _read_settings(folder / CONFIG)
    content = (folder / WEIGHTS).read_bytes()
    try:
        tensors = safetensors.load(content)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is damaged: {error}") from error
    dialogue = read_dialogue(folder)
    tokenizer = dialogue.tokenizer
    if tokenizer.get_vocab_size() > settings.vocab_size:
        raise ValueError(
            f"{folder / TOKENIZER} has {tokenizer.get_vocab_size()} ids, and the model knows "
            f"{settings.vocab_size}; use the tokenizer the model was trained with"
        )
    model = Hope(settings)
    _load_weights(model, tensors, folder / WEIGHTS)
    return ModelBundle(
        model=model.eval(),
        dialogue=dialogue,
        model_hash=_hash(config, settings, content, dialogue.split),
        path=folder,
    )


def save_bundle(
    model: Hope,
    tokenizer: Tokenizer,
    path: str | Path,
    extra_config: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model folder that `load_bundle` reads; tied weights are stored once.

    Args:
        extra_config: further keys for config.json; those of the settings win.
    """
    folder = Path(path)
    tensors = {
        f"{PREFIX}{name}": tensor.contiguous() for name, tensor in model.state_dict().items()
    }
    if model.settings.tie_word_embeddings:
        del tensors[f"{PREFIX}head.weight"]
    config = {**(extra_config or {}), **model.settings.to_dict()}
    write_file(folder / TOKENIZER, tokenizer.to_str().encode())
    write_file(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())
    write_file(folder / WEIGHTS, safetensors.save(tensors, {"format": "pt"}))
    return folder


def write_manners(path: str | Path, dialogue: Dialogue) -> Path:
    """Write how a model speaks beside its tokenizer, as `read_dialogue` reads it."""
    content = {
        "relations": list(dialogue.relations),
        "split": {str(number): list(parts) for number, parts in sorted(dialogue.split.items())},
    }
    file = Path(path) / DIALOGUE
    write_file(file, (json.dumps(content) + "\n").encode())
    return file


def _read_settings(path: Path) -> tuple[dict[str, Any], HopeSettings]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it holds no JSON object")
        return config, HopeSettings.from_dict(config)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} does not describe a model: {error}") from error


def _load_weights(model: Hope, tensors: dict[str, Tensor], path: Path) -> None:
    tensors = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    if model.settings.tie_word_embeddings and "embedding.weight" in tensors:
        tensors.setdefault("head.weight", tensors["embedding.weight"])
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != found:
        odd = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
        raise ValueError(
            f"{path} does not fit its {CONFIG}: '{odd[0]}' is {found.get(odd[0], 'absent')} in the "
            f"file and {wanted.get(odd[0], 'absent')} in the model ({len(odd)} such in all)"
        )
    model.load_state_dict(tensors)


def _hash(
    config: Mapping[str, Any],
    settings: HopeSettings,
    weights: bytes,
    split: Mapping[int, Sequence[int]],
) -> str:
    # Only the fields that config.json names: a field added later, with a default that keeps the
    # model as it is, must not make every memory a stranger.
    named = _named(settings.to_dict(), config)
    digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode())
    digest.update(weights)
    if split:
        digest.update(json.dumps(split, sort_keys=True).encode())
    return digest.hexdigest()


def _named(values: Any, config: Any) -> Any:
    """What of the values `config` names, at any depth."""
    if isinstance(values, dict) and isinstance(config, dict):
        return {name: _named(x, config[name]) for name, x in values.items() if name in config}
    if isinstance(values, list) and isinstance(config, list) and len(values) == len(config):
        return [_named(x, y) for x, y in zip(values, config, strict=True)]
    return values
