"""Where the sentences of a text end."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A line that is shorter was ended by who wrote it, not by the width of a page.
_NARROWEST_PAGE = 60
_BULLET = re.compile(r"\s*(?:[-*+•–]|\d{1,3}[.)])\s+(?:\[[ xX]\]\s+)?")
# "Dr.", an initial, or the number of a line: what ends with it goes on.
_SHORT = re.compile(r"(^|\s)(Dr|Mr|Mrs|Ms|St|Prof|No|[^\W\d_])\.$|^\d{1,2}\.$")


# No sentence ends with these words; of a line it does not matter where it ends.
_GOES_ON = re.compile(
    r"(?:,|\b(?:a|an|the|is|are|was|were|of|in|on|at|to|for|from|with|by|and|or|but|called|named|my|"
    r"our|his|her|their|that|which|than|as))[ \t]*\n\s*",
    re.I,
)


def sentences(text: str) -> list[str]:
    """Split at the ends of sentences and of lines; the text itself where there are none."""
    text = _GOES_ON.sub(lambda m: f"{m[0].strip()} ", text)
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return [sentence for unit in unwrapped(lines) for sentence in sentences(unit)]
    parts: list[str] = []
    for piece in re.split(r"(?<=[.!?])\s+", text.strip()):
        if parts and _SHORT.search(parts[-1]):
            parts[-1] += " " + piece
        elif piece or not parts:
            parts.append(piece)
    return parts


def unwrapped(lines: Sequence[str]) -> list[str]:
    """Lines, bullets left out, those joined that go on where the page was too narrow."""
    width = max(_NARROWEST_PAGE, *map(len, lines))
    units: list[str] = []
    before = ""
    for line in lines:
        plain = _BULLET.sub("", line, count=1) if _BULLET.match(line) else line.strip()
        wrapped = plain == line.strip() and len(before) + len(plain.split(" ")[0]) >= width
        if units and wrapped:
            units[-1] += " " + plain
        else:
            units.append(plain)
        before = line.rstrip()
    return units
