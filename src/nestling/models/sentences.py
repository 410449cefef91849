"""Where the sentences of a text end."""

from __future__ import annotations

import re


def sentences(text: str) -> list[str]:
    """Split at the ends of sentences; the text itself where there are none."""
    parts: list[str] = []
    for piece in re.split(r"(?<=[.!?])\s+", text.strip()):
        if parts and re.search(r"(^|\s)(Dr|Mr|Mrs|Ms|St|Prof|No|\w)\.$", parts[-1]):
            parts[-1] += " " + piece
        elif piece or not parts:
            parts.append(piece)
    return parts
