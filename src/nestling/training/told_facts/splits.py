"""Which split a word, a template or a sentence belongs to, by a stable hash of its text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

SPLITS = ("train", "held_out")
HELD_OUT_SHARE = 0.2

T = TypeVar("T")


def stable_hash(text: str) -> int:
    """A 64-bit hash of `text`, the same in every process."""
    return int.from_bytes(hashlib.blake2s(text.encode(), digest_size=8).digest(), "big")


@lru_cache(maxsize=1 << 16)
def split_of(text: str) -> str:
    """The split of a value or a name: "held_out" for a fifth of all strings, else "train"."""
    return "held_out" if stable_hash(text) % 1000 < HELD_OUT_SHARE * 1000 else "train"


def partition(
    scope: str, items: Sequence[T], texts: Sequence[str], keep: int = 5
) -> dict[str, tuple[T, ...]]:
    """Divide `items` into both splits by the hash of `scope` and their texts.

    At least one item is held out, and at least `keep` stay in training.
    Raises ValueError when there are fewer than `keep + 1` items.
    """
    if len(items) <= keep:
        raise ValueError(
            f"{scope!r} has {len(items)} items, at least {keep + 1} are needed: add some"
        )
    held = min(max(1, round(HELD_OUT_SHARE * len(items))), len(items) - keep)
    order = sorted(range(len(items)), key=lambda i: stable_hash(f"{scope}\n{texts[i]}"))
    chosen = set(order[:held])
    return {
        "train": tuple(item for i, item in enumerate(items) if i not in chosen),
        "held_out": tuple(item for i, item in enumerate(items) if i in chosen),
    }


def check_split(argument: str, split: str) -> None:
    """Raise ValueError unless `split` is one of SPLITS."""
    if split not in SPLITS:
        raise ValueError(f"{argument} is {split!r}; allowed are 'train' and 'held_out'")


def check_share(name: str, share: float) -> None:
    """Raise ValueError for what is no share."""
    if not 0 <= share <= 1:
        raise ValueError(f"{name} is a share between 0 and 1, got {share}")
