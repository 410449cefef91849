"""What stands in the tables of a journal, and the statements that read and change it.

| table      | rows                                                                         |
|------------|------------------------------------------------------------------------------|
| `meta`     | format, model, and what else there is one of                                 |
| `entries`  | all that was said, sleeps and rollbacks                                      |
| `head`     | one: the last entry and its snapshot                                         |
| `recalls`  | every time that something was recalled                                       |
| `versions` | the snapshots that are kept                                                  |

Every function is given an open connection, and those that change something a transaction of it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from nestling.models.dialogue import Note
from nestling.resident.records import Entry, Head, Recalled, RecallRow

FORMAT_VERSION = 1
NAMES = frozenset({"meta", "entries", "head"})
_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE entries (
        id INTEGER PRIMARY KEY,
        time TEXT NOT NULL,
        role TEXT NOT NULL,
        text TEXT NOT NULL,
        notes TEXT NOT NULL
    )""",
    """CREATE TABLE head (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        snapshot TEXT,
        sha256 TEXT,
        entry INTEGER NOT NULL
    )""",
    "INSERT INTO head VALUES (1, NULL, NULL, 0)",
)
# Made when they are first needed: a journal of before has none.
_RECALLS = """CREATE TABLE IF NOT EXISTS recalls (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    entry INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    margin REAL NOT NULL
)"""
_VERSIONS = """CREATE TABLE IF NOT EXISTS versions (
    number INTEGER PRIMARY KEY,
    entry INTEGER NOT NULL,
    snapshot TEXT NOT NULL,
    sha256 TEXT NOT NULL
)"""
# A row of `meta` that is there while deleted text may still lie in pages of the file.
_SCRUB = "scrub"
# One that holds the hash of all entries, each hashed with those before it: what changed by itself
# in a file still is a row to SQLite. A journal of before has none.
_SEAL = "seal"
_ROWS = "SELECT id, time, role, text, notes FROM entries"


@contextmanager
def transaction(db: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    db.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        # SQLite itself may have rolled back, for example when the disk is full.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def make(db: sqlite3.Connection, model_hash: str) -> None:
    """All tables of an empty journal."""
    for statement in _TABLES:
        db.execute(statement)
    meta = {"format": str(FORMAT_VERSION), "model_hash": model_hash, "created": now()}
    db.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _has(db: sqlite3.Connection, table: str) -> bool:
    found = db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None


# -- meta --------------------------------------------------------------------------------------


def meta(db: sqlite3.Connection, key: str) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else row[0]


def set_model(db: sqlite3.Connection, model_hash: str) -> None:
    db.execute("UPDATE meta SET value = ? WHERE key = 'model_hash'", (model_hash,))


def is_to_be_scrubbed(db: sqlite3.Connection) -> bool:
    return meta(db, _SCRUB) is not None


def set_to_be_scrubbed(db: sqlite3.Connection, due: bool) -> None:
    if due:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, 'due')", (_SCRUB,))
    else:
        db.execute("DELETE FROM meta WHERE key = ?", (_SCRUB,))


# -- entries -----------------------------------------------------------------------------------


def entry_rows(db: sqlite3.Connection) -> list[Any]:
    """All of them in order, as they stand there."""
    return db.execute(f"{_ROWS} ORDER BY id").fetchall()


def entries_of(rows: Iterable[Any]) -> list[Entry]:
    """What rows say; ValueError or TypeError for notes that are none."""
    return [Entry(i, t, role, text, _notes_from(notes)) for i, t, role, text, notes in rows]


def last_entry(db: sqlite3.Connection) -> int:
    return db.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()[0]


def add(db: sqlite3.Connection, told: Iterable[tuple[str, str, Sequence[Note]]]) -> None:
    """Entries (role, text, notes) of now."""
    before = last_entry(db)
    db.executemany(
        "INSERT INTO entries (time, role, text, notes) VALUES (?, ?, ?, ?)",
        [(now(), role, text, _notes_to(notes)) for role, text, notes in told],
    )
    _seal(db, after=before)


def fill(db: sqlite3.Connection, some: Iterable[Entry]) -> None:
    """The entries of a journal that has none."""
    db.executemany(
        "INSERT INTO entries (id, time, role, text, notes) VALUES (?, ?, ?, ?, ?)",
        [(e.id, e.time, e.role, e.text, _notes_to(e.notes)) for e in some],
    )
    _seal(db)


def change(db: sqlite3.Connection, changed: Iterable[Entry]) -> None:
    """Put entries in the place of those with the same ids."""
    db.executemany(
        "UPDATE entries SET role = ?, text = ?, notes = ? WHERE id = ?",
        [(entry.role, entry.text, _notes_to(entry.notes), entry.id) for entry in changed],
    )
    _seal(db)


def is_sealed(db: sqlite3.Connection, rows: Iterable[Any]) -> bool:
    """Whether all rows are those that were written; true of a journal without a seal."""
    seal = meta(db, _SEAL)
    return seal is None or seal == _sealed("", rows)


def _seal(db: sqlite3.Connection, after: int = 0) -> None:
    """Put the seal on the entries as they are; up to `after` they are sealed already."""
    seal = meta(db, _SEAL) if after else ""
    first = 0 if seal is None else after
    rows = db.execute(f"{_ROWS} WHERE id > ? ORDER BY id", (first,))
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_SEAL, _sealed(seal or "", rows)))


def _sealed(seal: str, rows: Iterable[Any]) -> str:
    for row in rows:
        seal = hashlib.sha256(json.dumps([seal, *row], default=repr).encode()).hexdigest()
    return seal


def _notes_to(notes: Sequence[Note]) -> str:
    return json.dumps(
        [{"key": note.key, "value": note.value} for note in notes], ensure_ascii=False
    )


def _notes_from(text: str) -> tuple[Note, ...]:
    return tuple(Note(**values) for values in json.loads(text))


# -- recalls -----------------------------------------------------------------------------------


def add_recalls(db: sqlite3.Connection, rows: Iterable[RecallRow]) -> None:
    db.execute(_RECALLS)
    db.executemany(
        "INSERT INTO recalls (time, entry, kind, key, margin) VALUES (?, ?, ?, ?, ?)",
        [(r.time, r.entry, r.kind, r.key, r.margin) for r in rows],
    )


def recall_rows(db: sqlite3.Connection) -> list[RecallRow]:
    """All recalls in order."""
    if not _has(db, "recalls"):
        return []
    rows = db.execute("SELECT time, entry, kind, key, margin FROM recalls ORDER BY id")
    return [RecallRow(*row) for row in rows]


def recalls(db: sqlite3.Connection) -> dict[str, Recalled]:
    """The last recall of every key that was recalled at all."""
    if not _has(db, "recalls"):
        return {}
    # Beside max() SQLite takes the other columns from the row that has it.
    rows = db.execute(
        "SELECT key, kind, count(*), time, entry, margin, max(id) FROM recalls GROUP BY key"
    )
    return {row[0]: Recalled(*row[:-1]) for row in rows}


def keep_recalls_of(db: sqlite3.Connection, known: Iterable[str]) -> None:
    """Delete the recalls of all other keys."""
    if gone := recalls(db).keys() - set(known):
        db.executemany("DELETE FROM recalls WHERE key = ?", [(key,) for key in gone])


# -- the head and the snapshots of earlier versions --------------------------------------------


def head(db: sqlite3.Connection) -> Head | None:
    """None where it is missing."""
    row = db.execute("SELECT entry, snapshot, sha256 FROM head").fetchone()
    return None if row is None else Head(*row)


def move_head(db: sqlite3.Connection, to: Head) -> Head:
    db.execute(
        "UPDATE head SET entry = ?, snapshot = ?, sha256 = ?", (to.entry, to.snapshot, to.sha256)
    )
    if to.snapshot is not None:
        _keep(db, to)
    return to


def versions(db: sqlite3.Connection) -> list[Head]:
    """The snapshots that are kept, in the order in which they were made."""
    if not _has(db, "versions"):
        return []
    rows = db.execute("SELECT entry, snapshot, sha256 FROM versions ORDER BY number")
    return [Head(*row) for row in rows]


def let_go_from(db: sqlite3.Connection, entry: int) -> None:
    """Let go of the snapshots of a version and of all later ones."""
    if _has(db, "versions"):
        db.execute("DELETE FROM versions WHERE entry >= ?", (entry,))


def keep_only(db: sqlite3.Connection, snapshot: str | None) -> None:
    """Let go of all snapshots but one."""
    if _has(db, "versions"):
        db.execute("DELETE FROM versions WHERE snapshot IS NOT ?", (snapshot,))


def _keep(db: sqlite3.Connection, of: Head) -> None:
    """Keep the snapshot of a head, and of the earlier ones about one for each doubling of age.

    Those of the last two versions and of the last sleep stay, and that of every earlier version
    stays for as many writes as twice the largest power of two in its number.
    """
    db.execute(_VERSIONS)
    last = db.execute("SELECT snapshot FROM versions ORDER BY number DESC LIMIT 1").fetchone()
    if last is not None and last[0] == of.snapshot:
        return
    db.execute(
        "INSERT INTO versions (entry, snapshot, sha256) VALUES (?, ?, ?)",
        (of.entry, of.snapshot, of.sha256),
    )
    # In SQLite as elsewhere, n & -n is the largest power of two in n.
    db.execute(
        """DELETE FROM versions
        WHERE (SELECT max(number) FROM versions) - number >= 2 * (number & -number)
        AND entry != (SELECT coalesce(max(id), 0) FROM entries WHERE role = 'sleep')"""
    )
