"""Further ways to tell, ask and change a fact, read from the folder `further`."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Ask = str | tuple[str, str]

FOLDER = Path(__file__).parent / "further"


@dataclass(frozen=True)
class Phrasings:
    """Texts in the grammar of `templates`; all of them are for training."""

    tell: tuple[str, ...] = ()
    ask: tuple[Ask, ...] = ()
    update: tuple[str, ...] = ()


def read_asks(asks: Sequence[Any]) -> tuple[Ask, ...]:
    """Questions as a file has them: noun phrases, and pairs of a direct and an indirect one."""
    return tuple(ask if isinstance(ask, str) else (ask[0], ask[1]) for ask in asks)


def read_phrasings(folder: Path) -> dict[str, Phrasings]:
    """Label -> phrasings, of every file of the folder."""
    found: dict[str, Phrasings] = {}
    for path in sorted(folder.glob("*.toml")):
        for label, texts in tomllib.loads(path.read_text(encoding="utf-8")).items():
            found[label] = Phrasings(
                tuple(texts["tell"]),
                read_asks(texts["ask"]),
                tuple(texts["update"]),
            )
    return found


FURTHER = read_phrasings(FOLDER)
