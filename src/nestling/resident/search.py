"""The texts of a journal, found by their words (SQLite FTS5).

The index is made in memory when it is needed and never lies in a file: what was forgotten cannot be
found in it later.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from nestling.resident.records import Entry

# They stand in nearly every text and tell none from another.
_COMMON = frozenset(
    (
        *("a", "an", "and", "are", "as", "at", "be", "did", "do", "does", "for", "has", "have"),
        *("how", "i", "in", "is", "it", "me", "my", "of", "on", "or", "our", "s", "t", "that"),
        *("the", "this", "to", "was", "we", "were", "what", "when", "where", "which", "who"),
        *("whose", "why", "with", "you", "your"),
    )
)


def find_texts(entries: Sequence[Entry], question: str, limit: int = 3) -> list[Entry]:
    """The entries whose texts share words with a question (BM25), the best first.

    What others than the user said is not among them, unless it was learned.

    Args:
        entries: those that count (see `history.living`).
        limit: so many at the most.
    """
    words = [word for word in re.findall(r"\w+", question.lower()) if word not in _COMMON]
    texts = [entry for entry in entries if entry.text and entry.restated]
    if not words or not texts:
        return []
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE VIRTUAL TABLE texts USING fts5(text, tokenize='porter unicode61')")
        db.executemany(
            "INSERT INTO texts (rowid, text) VALUES (?, ?)",
            [(place, entry.text) for place, entry in enumerate(texts)],
        )
        # Of texts that fit equally well, the latest.
        rows = db.execute(
            "SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rank, rowid DESC LIMIT ?",
            (" OR ".join(f'"{word}"' for word in words), min(limit, len(texts))),
        ).fetchall()
    return [texts[row[0]] for row in rows]
