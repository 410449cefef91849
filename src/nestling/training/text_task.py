"""Language modelling on text files, with or without writes while reading."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from nestling.models.hope import Hope
from nestling.training.options import TextOptions


def find_file(name: str, folder: Path) -> Path:
    """A data file by name: absolute, beside the configuration, or below `NESTLING_DATA`.

    Raises:
        FileNotFoundError: with the places that were looked at.
    """
    places = [folder / name]
    if data := os.environ.get("NESTLING_DATA"):
        places.append(Path(data) / name)
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise FileNotFoundError(
        f"there is no {name} (looked at {looked}); set NESTLING_DATA to the folder of the data"
    )


def read_text(path: Path, split: str | None = None) -> str:
    """Text of `.txt`, `.txt.gz`, `.jsonl` or `.jsonl.gz` (field "text"; rows of `split` alone)."""
    if ".jsonl" not in path.name:
        return _content(path)
    rows = read_rows(path)
    return "\n\n".join(row["text"] for row in rows if split in (None, row.get("split", split)))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a `.jsonl` or `.jsonl.gz` file."""
    return [json.loads(line) for line in _content(path).split("\n") if line]


def _content(path: Path) -> str:
    content = path.read_bytes()
    try:
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error.reason} at {error.start}") from error


def read_texts(names: Sequence[str], folder: Path) -> list[str]:
    """The texts of files; `name#split` takes the rows of one split of a `.jsonl` file."""
    if not names:
        raise ValueError("[text] needs files to train on")
    texts = []
    for name in names:
        file, _, split = name.partition("#")
        texts.append(read_text(find_file(file, folder), split or None))
    return texts


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """All texts as one row of ids [T]."""
    return torch.tensor([i for text in texts for i in tokenizer.encode(text).ids])


class TextTask:
    """Next-token prediction on random windows, which depend on (seed, step) alone.

    With `learn`, every token is answered before it is written, so the loss is an honest one.
    """

    def __init__(
        self, train: Tensor, validation: Tensor | None, options: TextOptions, seed: int
    ) -> None:
        if len(train) <= options.length:
            raise ValueError(
                f"the text has {len(train)} tokens; more than the length {options.length} of a "
                "window are needed"
            )
        self.train, self.validation = train, validation
        self.options, self.seed = options, seed

    @classmethod
    def from_options(
        cls, options: TextOptions, tokenizer: Tokenizer, folder: Path, seed: int
    ) -> TextTask:
        train = encode(tokenizer, read_texts(options.files, folder))
        validation = None
        if options.validation:
            validation = encode(tokenizer, read_texts(options.validation, folder))
        return cls(train, validation, options, seed)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        pass

    def batch(self, step: int) -> Tensor:
        """Windows of step `step`: [B, L + 1]."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        last = len(self.train) - self.options.length
        starts = torch.randint(last, (self.options.batch,), generator=generator)
        return self.train[starts[:, None] + torch.arange(self.options.length + 1)]

    def loss(
        self, model: Hope, step: int, precision: torch.dtype
    ) -> tuple[Tensor, dict[str, float]]:
        ids = self.batch(step)
        with torch.autocast(ids.device.type, precision, enabled=precision != torch.float32):
            loss = window_loss(model, ids, self.options.learn)
        numbers = {"tokens": float((step + 1) * ids[:, 1:].numel())}
        return loss, numbers


def window_loss(model: Hope, ids: Tensor, learn: bool) -> Tensor:
    """Mean loss of ids [B, L + 1], each token predicted from those before it."""
    logits = model(ids[:, :-1], learn=learn).logits
    return F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(
    model: Hope,
    ids: Tensor,
    *,
    length: int,
    learn: bool,
    batch: int = 8,
    windows: int | None = None,
) -> float:
    """Mean loss in nats a token over consecutive windows of ids [T], each with fresh memory."""
    count = (len(ids) - 1) // length
    rows = torch.stack([ids[i * length : (i + 1) * length + 1] for i in range(count)][:windows])
    losses = [
        window_loss(model, rows[i : i + batch], learn) * len(rows[i : i + batch])
        for i in range(0, len(rows), batch)
    ]
    return float(torch.stack(losses).sum() / len(rows))


@torch.no_grad()
def losses_by_position(
    model: Hope,
    ids: Tensor,
    *,
    length: int,
    learn: bool,
    carried: bool,
    streams: int = 8,
    windows: int | None = None,
) -> Tensor:
    """Mean loss in nats at each place [length] of windows of ids [T].

    The text is cut into `streams` that are read side by side, window after window.

    Args:
        carried: what was read and learned goes on into the next window of a stream; else every
            window starts fresh.
        windows: of each stream; None reads all of the text.

    Raises:
        ValueError: the text is too short for a window in each stream.
    """
    most = (len(ids) - 1) // streams // length
    if most == 0:
        raise ValueError(
            f"the text has {len(ids)} tokens; {streams} streams of windows of {length} tokens need "
            f"{streams * length + 1}"
        )
    count = most if windows is None else min(most, windows)
    starts = torch.arange(streams, device=ids.device) * most * length
    within = torch.arange(length + 1, device=ids.device)
    state = model.new_state(streams) if carried else None
    total = torch.zeros(length, dtype=torch.float64)
    for window in range(count):
        rows = ids[(starts + window * length)[:, None] + within]
        reading = model(rows[:, :-1], state=state, learn=learn)
        losses = F.cross_entropy(
            reading.logits.flatten(0, 1).float(), rows[:, 1:].flatten(), reduction="none"
        )
        total += losses.view(streams, length).mean(0).double().cpu()
        state = reading.state if carried else None
    return total / count
