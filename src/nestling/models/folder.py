"""Where a model folder keeps what, and the part of it that needs no torch: the tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer

from nestling.models.dialogue import Dialogue

EMBEDDED = Path(__file__).parent / "fledgling"
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
# What a told-facts model knows of how it speaks; other models have none.
DIALOGUE = "dialogue.json"


def locate(path: str | Path | None = None) -> Path:
    """A model folder with all its files; None is the one of the model that comes with nestling.

    Raises:
        ValueError: a file is missing; the message names it.
    """
    folder = EMBEDDED if path is None else Path(path)
    missing = [name for name in (CONFIG, WEIGHTS, TOKENIZER) if not (folder / name).is_file()]
    if missing and path is None:
        raise ValueError(
            "this installation of nestling comes without its model; name a model folder instead"
        )
    if missing:
        raise ValueError(
            f"{folder} is no model folder: it has no {', '.join(missing)}; "
            f"a model folder holds {CONFIG}, {WEIGHTS} and {TOKENIZER}"
        )
    return folder


def read_dialogue(folder: Path) -> Dialogue:
    """Read the tokenizer of a model folder, and how the model speaks if the folder says so.

    Raises:
        ValueError: a file is damaged, or the tokenizer lacks a token that a dialogue needs.
    """
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # tokenizers raises plain Exception
        raise ValueError(f"{folder / TOKENIZER} is no tokenizer: {error}") from error
    relations, split = _read_manners(folder / DIALOGUE)
    strange = [number for row in split.items() for number in (row[0], *row[1])]
    if strange and not 0 <= min(strange) <= max(strange) < tokenizer.get_vocab_size():
        raise ValueError(
            f"{folder / DIALOGUE} splits ids that {TOKENIZER} does not have; it has "
            f"{tokenizer.get_vocab_size()}"
        )
    return Dialogue(tokenizer, relations, split)


def _read_manners(path: Path) -> tuple[list[str], dict[int, list[int]]]:
    if not path.is_file():
        return [], {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        relations, split = found["relations"], found["split"].items()
        numbers = {int(number): [int(part) for part in parts] for number, parts in split}
        if not all(isinstance(text, str) and text.strip() for text in relations):
            raise ValueError("a relation is no text")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} does not say how a model speaks ({error!r}); it holds "
            '{"relations": ["dog", ...], "split": {"2805": [70, 290], ...}}'
        ) from error
    return list(relations), numbers
