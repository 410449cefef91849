"""Text as the turns in which a person would say it: a few sentences each, no markup.

    lines    ->  paragraphs, at blank lines; a line that was only wrapped is put together again
    Markdown ->  paragraphs: headings, items of lists, rows of tables, links as their words
    chunk    ->  a turn: up to three sentences of a paragraph

How a text is cut depends on nothing but the text: a turn has the same place whenever it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from nestling.models.restate import TOGETHER
from nestling.models.sentences import sentences, unwrapped

# Characters of a paragraph that are held at once; nobody says a longer one.
LONGEST_PARAGRAPH = 8192
_TASK = re.compile(r"\[[ xX]\]\s+")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n.*?^(?:---|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^ {0,3}```.*?(?:^ {0,3}```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_CONTROLS = {code: " " for code in (*range(32), *range(127, 160))}


@dataclass(frozen=True)
class Turn:
    """A few sentences, and who said them."""

    role: str
    text: str


def turns_of_lines(lines: Iterable[tuple[str, bool]], role: str = "user") -> Iterator[Turn]:
    """The turns of plain text.

    Args:
        lines: (text, whether the line ends there); a long line may come in several pieces.
    """
    for paragraph in _paragraphs(lines):
        yield from _turns(paragraph, role)


def turns_of_message(text: str, role: str) -> Iterator[Turn]:
    """The turns of one message of a chat; fenced code in it is left out."""
    lines = _FENCED.sub("\n", text).splitlines()
    return turns_of_lines(
        (
            (piece, start + LONGEST_PARAGRAPH >= len(line))
            for line in lines
            for start in range(0, max(1, len(line)), LONGEST_PARAGRAPH)
            for piece in [line[start : start + LONGEST_PARAGRAPH]]
        ),
        role,
    )


def turns_of_markdown(text: str, role: str = "user") -> Iterator[Turn]:
    """The turns of Markdown; code, HTML and what stands in front of the text are left out."""
    tokens = MarkdownIt("commonmark").enable("table").parse(_FRONT_MATTER.sub("", text, count=1))
    for units in _blocks(tokens):
        yield from _turns([s for unit in units for s in _sentences(unit)], role)


def _turns(said: Sequence[str], role: str) -> Iterator[Turn]:
    said = [sentence for sentence in said if any(map(str.isalnum, sentence))]
    for start in range(0, len(said), TOGETHER):
        *some, last = said[start : start + TOGETHER]
        ended = [s if re.search(r"[.!?:;,]$", s) else f"{s}." for s in some]
        yield Turn(role, " ".join([*ended, last]))


def _sentences(text: str) -> list[str]:
    """The sentences of a text of any length, blanks and control characters made plain."""
    words = " ".join(text.translate(_CONTROLS).split())
    said: list[str] = []
    while len(words) > LONGEST_PARAGRAPH:
        *whole, rest = sentences(words[:LONGEST_PARAGRAPH])
        if not whole:
            cut = rest.rfind(" ") if " " in rest else len(rest)
            whole, rest = [rest[:cut]], rest[cut:]
        said += whole
        words = (rest + words[LONGEST_PARAGRAPH:]).strip()
    return said + (sentences(words) if words else [])


def _paragraphs(lines: Iterable[tuple[str, bool]]) -> Iterator[list[str]]:
    """The sentences of each paragraph; one that is too long to be held comes in parts."""
    held: list[str] = []
    goes_on = False
    for line, ended in lines:
        if goes_on:
            held[-1] += line
        elif line.strip():
            held.append(line)
        elif held:
            yield _said(held)
            held = []
        goes_on = not ended and bool(held)
        if sum(map(len, held)) > LONGEST_PARAGRAPH:
            blank = held[-1][-1:].isspace()
            *whole, rest = _said(held) or [""]
            if len(rest) > LONGEST_PARAGRAPH // 2:
                cut = rest.rfind(" ") + 1 or len(rest)
                whole, rest = [*whole, rest[:cut].strip()], rest[cut:]
            yield whole
            held = [rest + " " * blank] if rest or goes_on else []
    if held:
        yield _said(held)


def _said(lines: Sequence[str]) -> list[str]:
    """The sentences of a paragraph."""
    return [sentence for unit in unwrapped(lines) for sentence in _sentences(unit)]


def _blocks(tokens: Sequence[Token]) -> Iterator[list[str]]:
    """What is said in each block of Markdown; a list is one block, and so is a table."""
    held: list[str] = []
    lists, row = 0, None
    for token in tokens:
        if token.type in ("bullet_list_open", "ordered_list_open"):
            if not lists and held:
                yield held
                held = []
            lists += 1
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            lists -= 1
        elif token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row:
            held.append(", ".join(cell for cell in row if cell))
            row = None
        elif token.type == "inline":
            units = _inline(token.children or [])
            if row is not None:
                row.append(" ".join(units))
                continue
            held += [_TASK.sub("", unit, count=1) for unit in units] if lists else units
        if held and not lists and row is None and token.level == 0 and token.nesting < 1:
            yield held
            held = []
    if held:
        yield held


def _inline(tokens: Sequence[Token]) -> list[str]:
    """The words of a block, split where its lines were broken on purpose."""
    units = [""]
    for token in tokens:
        if token.type in ("text", "code_inline"):
            units[-1] += token.content
        elif token.type == "softbreak":
            units[-1] += " "
        elif token.type == "hardbreak":
            units.append("")
    return [unit for unit in units if unit.strip()]
