"""Where a model folder keeps what, and the part of it that needs no torch: the tokenizer."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from nestling.models.dialogue import Dialogue

EMBEDDED = Path(__file__).parent / "fledgling"
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"


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
    """Read the tokenizer of a model folder.

    Raises:
        ValueError: it is damaged, or lacks a token that a dialogue needs.
    """
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # tokenizers raises plain Exception
        raise ValueError(f"{folder / TOKENIZER} is no tokenizer: {error}") from error
    return Dialogue(tokenizer)
