"""The journal: the ordered record of what was said, and the head that names its snapshot.

The journal is the truth; a snapshot is a cache of its replay. An entry and the head that covers it
are written in one transaction, so every reader sees both or neither. Some snapshots of earlier
versions are kept, too (see `_keep`).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nestling.models.dialogue import Note
from nestling.resident.records import (
    ROLLBACK,
    Entry,
    Head,
    History,
    Recalled,
    RecallRow,
    goes_back,
)

FORMAT_VERSION = 1
_BUSY_SECONDS = 10.0

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
# Made when it is first needed: a journal of before has none.
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


class JournalError(ValueError):
    """A journal could not be read or written; the message says why."""


class Journal:
    """One SQLite file. Every call opens it anew, so no call sees less than what was committed.

    Args:
        path: the file; `create` makes it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def exists(self) -> bool:
        return self.path.is_file()

    def create(self, model_hash: str) -> None:
        """Make an empty journal of this model; one that exists stays as it is.

        The caller sees to it that nobody else makes the same one at the same time.
        """
        if self.exists():
            return
        # Made under another name: a journal is there with all its tables or not at all.
        new = Journal(self.path.with_name(f".new-{self.path.name}"))
        for path in new.files():
            path.unlink(missing_ok=True)
        with new._open(create=True) as db, _transaction(db):
            for statement in _TABLES:
                db.execute(statement)
            meta = {"format": str(FORMAT_VERSION), "model_hash": model_hash, "created": _now()}
            db.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
        # What SQLite could not write back into the file would stay behind under the old name.
        if any(path.exists() for path in new.files()[1:]):
            raise JournalError(f"{self.path} cannot be used: it was not written to its end")
        new.path.rename(self.path)

    def files(self) -> list[Path]:
        """The file, and those that SQLite may have beside it."""
        suffixes = ("", "-wal", "-shm", "-journal")
        return [self.path.with_name(self.path.name + suffix) for suffix in suffixes]

    def head(self) -> Head:
        return self.standing()[0]

    def standing(self) -> tuple[Head, str]:
        """The head and the hash of the model that wrote it, read at one moment."""
        with self._open() as db, _transaction(db, "DEFERRED"):
            return self._standing(db)

    def entries(self) -> list[Entry]:
        """All entries in order.

        Raises:
            JournalError: the journal is damaged or cannot be read.
        """
        with self._open() as db, _transaction(db, "DEFERRED"):
            return self._entries(db)

    def versions(self) -> list[Head]:
        """The snapshots that are kept, in the order in which they were made."""
        with self._open() as db:
            return _versions(db)

    def history(self) -> History:
        """Everything at one moment.

        Raises:
            JournalError: the journal is damaged or cannot be read.
        """
        with self._open() as db, _transaction(db, "DEFERRED"):
            head, model_hash = self._standing(db)
            snapshots = {kept.entry: kept for kept in _versions(db)}
            return History(head, model_hash, self._entries(db), snapshots)

    def _standing(self, db: sqlite3.Connection) -> tuple[Head, str]:
        entry, snapshot, sha256 = db.execute("SELECT entry, snapshot, sha256 FROM head").fetchone()
        last = db.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()[0]
        model_hash = db.execute("SELECT value FROM meta WHERE key = 'model_hash'").fetchone()[0]
        if entry != last:
            raise self._damaged("its head is not at its last entry")
        return Head(entry, snapshot, sha256), model_hash

    def _entries(self, db: sqlite3.Connection) -> list[Entry]:
        rows = db.execute(f"{_ROWS} ORDER BY id").fetchall()
        seal = _seal_of(db)
        if seal is not None and seal != _sealed("", rows):
            raise self._damaged("its entries are not those that were written")
        try:
            entries = [Entry(i, t, role, text, _notes_from(n)) for i, t, role, text, n in rows]
        except (ValueError, TypeError) as error:
            raise self._damaged("the notes of an entry cannot be read") from error
        if not all(entry.id == place for place, entry in enumerate(entries, start=1)):
            raise self._damaged("an entry is missing")
        if not all(goes_back(entry) for entry in entries if entry.role == ROLLBACK):
            raise self._damaged("an entry rolls back to a version that never was")
        return entries

    def _damaged(self, what: str) -> JournalError:
        return JournalError(f"{self.path} is damaged: {what}; put a copy of it back")

    def keep_only(self, snapshot: str | None) -> None:
        """Let go of all snapshots but one."""
        with self._open() as db, _transaction(db):
            if _has(db, "versions"):
                db.execute("DELETE FROM versions WHERE snapshot IS NOT ?", (snapshot,))

    def recalled(self, kind: str, margins: Mapping[str, float], sha256: str | None) -> None:
        """Keep that keys were recalled with these margins, if the snapshot still is the head's.

        What was asked before something was forgotten must not be written down after it.
        """
        with self._open() as db, _transaction(db):
            entry, now = db.execute("SELECT entry, sha256 FROM head").fetchone()
            if now != sha256:
                return
            db.execute(_RECALLS)
            db.executemany(
                "INSERT INTO recalls (time, entry, kind, key, margin) VALUES (?, ?, ?, ?, ?)",
                [(_now(), entry, kind, key, margin) for key, margin in margins.items()],
            )

    def recalls(self) -> dict[str, Recalled]:
        """The last recall of every key that was recalled at all."""
        with self._open() as db:
            if not _has(db, "recalls"):
                return {}
            # Beside max() SQLite takes the other columns from the row that has it.
            rows = db.execute(
                "SELECT key, kind, count(*), time, entry, margin, max(id) FROM recalls GROUP BY key"
            ).fetchall()
        return {row[0]: Recalled(*row[:-1]) for row in rows}

    def check(self) -> None:
        """Read every page of the file.

        Raises:
            JournalError: it is damaged.
        """
        with self._open() as db:
            found = [row[0] for row in db.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            raise self._damaged(found[0])

    def recall_rows(self) -> list[RecallRow]:
        """All recalls in order."""
        with self._open() as db:
            if not _has(db, "recalls"):
                return []
            rows = db.execute("SELECT time, entry, kind, key, margin FROM recalls ORDER BY id")
            return [RecallRow(*row) for row in rows]

    def fill(self, entries: Sequence[Entry], recalls: Sequence[RecallRow], head: Head) -> None:
        """Put everything into a journal that is new, in one transaction."""
        with self._open() as db, _transaction(db):
            db.executemany(
                "INSERT INTO entries (id, time, role, text, notes) VALUES (?, ?, ?, ?, ?)",
                [(e.id, e.time, e.role, e.text, _notes_to(e.notes)) for e in entries],
            )
            db.execute(_RECALLS)
            db.executemany(
                "INSERT INTO recalls (time, entry, kind, key, margin) VALUES (?, ?, ?, ?, ?)",
                [(r.time, r.entry, r.kind, r.key, r.margin) for r in recalls],
            )
            _seal(db)
            _move_head(db, head)

    def append(
        self,
        told: Sequence[tuple[str, str, Sequence[Note]]],
        *,
        snapshot: str | None,
        sha256: str | None,
    ) -> Head:
        """Add entries (role, text, notes) and move the head to the last, in one transaction."""
        with self._open() as db, _transaction(db):
            before = db.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()[0]
            for role, text, notes in told:
                db.execute(
                    "INSERT INTO entries (time, role, text, notes) VALUES (?, ?, ?, ?)",
                    (_now(), role, text, _notes_to(notes)),
                )
            _seal(db, after=before)
            last = db.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()[0]
            return _move_head(db, Head(last, snapshot, sha256))

    def replace_snapshot(
        self,
        *,
        snapshot: str | None,
        sha256: str | None,
        model_hash: str,
        changed: Sequence[Entry] = (),
    ) -> Head:
        """Give the head another snapshot of the same entries (a replay), in one transaction.

        Those of earlier versions are let go.

        Args:
            changed: entries that another model restated, and sleeps whose notes it did not make.
        """
        with self._open() as db, _transaction(db):
            db.execute("UPDATE meta SET value = ? WHERE key = 'model_hash'", (model_hash,))
            db.execute(_VERSIONS)
            db.execute("DELETE FROM versions")
            _put(db, changed)
            _seal(db)
            entry = db.execute("SELECT entry FROM head").fetchone()[0]
            return _move_head(db, Head(entry, snapshot, sha256))

    def forget(
        self,
        changed: Sequence[Entry],
        known: Collection[str],
        *,
        snapshot: str | None,
        sha256: str | None,
    ) -> Head:
        """Put entries in the place of those with the same ids, in one transaction.

        Recalls of all but the known keys go, too: it may have been asked in other words; and all
        snapshots since. What was there may still lie in unused pages of the file until `scrub` has
        been called.
        """
        first = min(entry.id for entry in changed)
        with self._open() as db, _transaction(db):
            db.execute(_RECALLS)
            db.execute(_VERSIONS)
            db.execute("DELETE FROM versions WHERE entry >= ?", (first,))
            _put(db, changed)
            recalled = {row[0] for row in db.execute("SELECT DISTINCT key FROM recalls")}
            db.executemany(
                "DELETE FROM recalls WHERE key = ?", [(key,) for key in recalled.difference(known)]
            )
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, 'due')", (_SCRUB,))
            _seal(db)
            entry = db.execute("SELECT entry FROM head").fetchone()[0]
            return _move_head(db, Head(entry, snapshot, sha256))

    def scrub_is_due(self) -> bool:
        """Whether something was forgotten that may still lie in unused pages."""
        with self._open() as db:
            return db.execute("SELECT 1 FROM meta WHERE key = ?", (_SCRUB,)).fetchone() is not None

    def scrub(self) -> bool:
        """Write the file anew, without what was deleted.

        Returns:
            Whether nothing of what was deleted is left in any file. A reader that does not let go
            of the journal can hold it up; the next writer tries again.
        """
        with self._open() as db:
            try:
                db.execute("VACUUM")
                busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy:
                    db.execute("DELETE FROM meta WHERE key = ?", (_SCRUB,))
                return not busy
            except sqlite3.OperationalError as error:
                if "locked" in str(error) or "busy" in str(error):
                    return False
                raise

    @contextmanager
    def _open(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        mode = "rwc" if create else "rw"
        db = None
        try:
            db = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
            )
            if create:
                db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            # What is deleted or written over is filled with zeros.
            db.execute("PRAGMA secure_delete = ON")
            if not create:
                self._check_format(db)
            yield db
        except UnicodeDecodeError as error:
            # What SQLite says of a damaged table may hold a name that is no text any more.
            raise JournalError(
                f"{self.path} is damaged ({error}); put a copy of it back"
            ) from error
        except sqlite3.Error as error:
            raise JournalError(self._explain(error)) from error
        finally:
            if db is not None:
                db.close()

    def _check_format(self, db: sqlite3.Connection) -> None:
        tables = {
            row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        if not {"meta", "entries", "head"} <= tables:
            raise JournalError(f"{self.path} is no journal of nestling; put the right file back")
        row = db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        if row is None or row[0] != str(FORMAT_VERSION):
            raise JournalError(
                f"{self.path} has format {row[0] if row else 'unknown'}, and this version of "
                f"nestling reads format {FORMAT_VERSION}; use the version that wrote it"
            )

    def _explain(self, error: sqlite3.Error) -> str:
        if not self.exists():
            return f"there is no journal at {self.path}"
        if "locked" in str(error) or "busy" in str(error):
            return f"{self.path} is in use by another process; try again when it is done"
        if type(error) is sqlite3.DatabaseError:
            return str(self._damaged(str(error)))
        return f"{self.path} cannot be used: {error}"


@contextmanager
def _transaction(db: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    db.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        # SQLite itself may have rolled back, for example when the disk is full.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _put(db: sqlite3.Connection, changed: Iterable[Entry]) -> None:
    db.executemany(
        "UPDATE entries SET role = ?, text = ?, notes = ? WHERE id = ?",
        [(entry.role, entry.text, _notes_to(entry.notes), entry.id) for entry in changed],
    )


def _move_head(db: sqlite3.Connection, head: Head) -> Head:
    db.execute(
        "UPDATE head SET entry = ?, snapshot = ?, sha256 = ?",
        (head.entry, head.snapshot, head.sha256),
    )
    if head.snapshot is not None:
        _keep(db, head)
    return head


def _keep(db: sqlite3.Connection, head: Head) -> None:
    """Keep the snapshot of a head, and of the earlier ones about one for each doubling of age.

    Those of the last two versions and of the last sleep stay, and that of every earlier version
    stays for as many writes as twice the largest power of two in its number.
    """
    db.execute(_VERSIONS)
    last = db.execute("SELECT snapshot FROM versions ORDER BY number DESC LIMIT 1").fetchone()
    if last is not None and last[0] == head.snapshot:
        return
    db.execute(
        "INSERT INTO versions (entry, snapshot, sha256) VALUES (?, ?, ?)",
        (head.entry, head.snapshot, head.sha256),
    )
    # In SQLite as elsewhere, n & -n is the largest power of two in n.
    db.execute(
        """DELETE FROM versions
        WHERE (SELECT max(number) FROM versions) - number >= 2 * (number & -number)
        AND entry != (SELECT coalesce(max(id), 0) FROM entries WHERE role = 'sleep')"""
    )


def _versions(db: sqlite3.Connection) -> list[Head]:
    if not _has(db, "versions"):
        return []
    rows = db.execute("SELECT entry, snapshot, sha256 FROM versions ORDER BY number")
    return [Head(*row) for row in rows]


def _has(db: sqlite3.Connection, table: str) -> bool:
    found = db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None


def _seal_of(db: sqlite3.Connection) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (_SEAL,)).fetchone()
    return None if row is None else row[0]


def _seal(db: sqlite3.Connection, after: int = 0) -> None:
    """Put the seal on the entries as they are; up to `after` they are sealed already."""
    seal = _seal_of(db) if after else ""
    first = 0 if seal is None else after
    rows = db.execute(f"{_ROWS} WHERE id > ? ORDER BY id", (first,))
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_SEAL, _sealed(seal or "", rows)))


def _sealed(seal: str, rows: Iterable[tuple[Any, ...]]) -> str:
    for row in rows:
        seal = hashlib.sha256(json.dumps([seal, *row], default=repr).encode()).hexdigest()
    return seal


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _notes_to(notes: Sequence[Note]) -> str:
    return json.dumps(
        [{"key": note.key, "value": note.value} for note in notes], ensure_ascii=False
    )


def _notes_from(text: str) -> tuple[Note, ...]:
    return tuple(Note(**values) for values in json.loads(text))
