"""The journal: the ordered record of what was said, and the head that names its snapshot.

The journal is the truth; a snapshot is a cache of its replay. An entry and the head that covers it
are written in one transaction, so every reader sees both or neither. Some snapshots of earlier
versions are kept, too.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nestling.models.dialogue import Note
from nestling.resident import journal_tables as tables
from nestling.resident.journal_tables import transaction
from nestling.resident.records import (
    ROLLBACK,
    Entry,
    Head,
    History,
    Recalled,
    RecallRow,
    goes_back,
)

_BUSY_SECONDS = 10.0


class JournalError(ValueError):
    """A journal could not be read or written; the message says why."""


class _Held(threading.local):
    """The connection that the calls of a thread share, if they do."""

    holds = False
    db: sqlite3.Connection | None = None


class Journal:
    """One SQLite file. A call sees all that was committed before it, and changes all or nothing.

    Args:
        path: the file; `create` makes it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._held = _Held()

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
        with new._open(create=True) as db, transaction(db):
            tables.make(db, model_hash)
        # What SQLite could not write back into the file would stay behind under the old name.
        if any(path.exists() for path in new.files()[1:]):
            raise JournalError(f"{self.path} cannot be used: it was not written to its end")
        new.path.rename(self.path)

    def files(self) -> list[Path]:
        """The file, and those that SQLite may have beside it."""
        suffixes = ("", "-wal", "-shm", "-journal")
        return [self.path.with_name(self.path.name + suffix) for suffix in suffixes]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the calls of this thread share one connection, which the first of them opens.

        Otherwise each has its own, and SQLite tidies up after each of them.
        """
        if self._held.holds:
            yield
            return
        self._held.holds = True
        try:
            yield
        finally:
            db, self._held.holds, self._held.db = self._held.db, False, None
            if db is not None:
                db.close()

    # -- reading -------------------------------------------------------------------------------

    def head(self) -> Head:
        return self.standing()[0]

    def standing(self) -> tuple[Head, str]:
        """The head and the hash of the model that wrote it, read at one moment."""
        with self._open() as db, transaction(db, "DEFERRED"):
            return self._standing(db)

    def entries(self) -> list[Entry]:
        """All entries in order.

        Raises:
            JournalError: the journal is damaged or cannot be read.
        """
        with self._open() as db, transaction(db, "DEFERRED"):
            return self._entries(db)

    def versions(self) -> list[Head]:
        """The snapshots that are kept, in the order in which they were made."""
        with self._open() as db:
            return tables.versions(db)

    def snapshots(self) -> set[str]:
        """The files of all snapshots that are needed: that of the head and those that are kept."""
        with self._open() as db, transaction(db, "DEFERRED"):
            needed = [self._standing(db)[0], *tables.versions(db)]
        return {head.snapshot for head in needed if head.snapshot is not None}

    def history(self) -> History:
        """Everything at one moment.

        Raises:
            JournalError: the journal is damaged or cannot be read.
        """
        with self._open() as db, transaction(db, "DEFERRED"):
            head, model_hash = self._standing(db)
            snapshots = {kept.entry: kept for kept in tables.versions(db)}
            return History(head, model_hash, self._entries(db), snapshots)

    def recalls(self) -> dict[str, Recalled]:
        """The last recall of every key that was recalled at all."""
        with self._open() as db:
            return tables.recalls(db)

    def recall_rows(self) -> list[RecallRow]:
        """All recalls in order."""
        with self._open() as db:
            return tables.recall_rows(db)

    def check(self) -> None:
        """Read every page of the file.

        Raises:
            JournalError: it is damaged.
        """
        with self._open() as db:
            found = [row[0] for row in db.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            raise self._damaged(found[0])

    def _standing(self, db: sqlite3.Connection) -> tuple[Head, str]:
        head, model_hash = tables.head(db), tables.meta(db, "model_hash")
        if head is None or model_hash is None:
            raise self._damaged("its head is missing")
        if head.entry != tables.last_entry(db):
            raise self._damaged("its head is not at its last entry")
        return head, model_hash

    def _entries(self, db: sqlite3.Connection) -> list[Entry]:
        rows = tables.entry_rows(db)
        if not tables.is_sealed(db, rows):
            raise self._damaged("its entries are not those that were written")
        try:
            entries = tables.entries_of(rows)
        except (ValueError, TypeError) as error:
            raise self._damaged("the notes of an entry cannot be read") from error
        if not all(entry.id == place for place, entry in enumerate(entries, start=1)):
            raise self._damaged("an entry is missing")
        if not all(goes_back(entry) for entry in entries if entry.role == ROLLBACK):
            raise self._damaged("an entry rolls back to a version that never was")
        return entries

    # -- writing -------------------------------------------------------------------------------

    def append(
        self,
        told: Sequence[tuple[str, str, Sequence[Note]]],
        *,
        snapshot: str | None,
        sha256: str | None,
    ) -> Head:
        """Add entries (role, text, notes) and move the head to the last, in one transaction."""
        with self._open() as db, transaction(db):
            tables.add(db, told)
            return tables.move_head(db, Head(tables.last_entry(db), snapshot, sha256))

    def recalled(self, kind: str, margins: Mapping[str, float], sha256: str | None) -> None:
        """Keep that keys were recalled with these margins, if the snapshot still is the head's.

        What was asked before something was forgotten must not be written down after it.
        """
        with self._open() as db, transaction(db):
            head, time = self._standing(db)[0], tables.now()
            if head.sha256 == sha256:
                rows = [RecallRow(time, head.entry, kind, *found) for found in margins.items()]
                tables.add_recalls(db, rows)

    def fill(self, entries: Sequence[Entry], recalls: Sequence[RecallRow], head: Head) -> None:
        """Put everything into a journal that is new, in one transaction."""
        with self._open() as db, transaction(db):
            tables.fill(db, entries)
            tables.add_recalls(db, recalls)
            tables.move_head(db, head)

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
        with self._open() as db, transaction(db):
            tables.set_model(db, model_hash)
            tables.let_go_from(db, 0)
            tables.change(db, changed)
            return self._put_snapshot(db, snapshot, sha256)

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
        with self._open() as db, transaction(db):
            tables.let_go_from(db, min(entry.id for entry in changed))
            tables.change(db, changed)
            tables.keep_recalls_of(db, known)
            tables.set_to_be_scrubbed(db, True)
            return self._put_snapshot(db, snapshot, sha256)

    def keep_only(self, snapshot: str | None) -> None:
        """Let go of all snapshots but one."""
        with self._open() as db, transaction(db):
            tables.keep_only(db, snapshot)

    def scrub_is_due(self) -> bool:
        """Whether something was forgotten that may still lie in unused pages."""
        with self._open() as db:
            return tables.is_to_be_scrubbed(db)

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
                    tables.set_to_be_scrubbed(db, False)
                return not busy
            except sqlite3.OperationalError as error:
                if _is_busy(error):
                    return False
                raise

    def _put_snapshot(
        self, db: sqlite3.Connection, snapshot: str | None, sha256: str | None
    ) -> Head:
        """Another snapshot of the entry at which the head is."""
        head = self._standing(db)[0]
        return tables.move_head(db, replace(head, snapshot=snapshot, sha256=sha256))

    # -- the file ------------------------------------------------------------------------------

    @contextmanager
    def _open(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        db, kept = self._held.db, False
        try:
            if db is None:
                db = self._connect("rwc" if create else "rw")
                if create:
                    db.execute("PRAGMA journal_mode = WAL")
                try:
                    self._begin(db, create)
                except sqlite3.OperationalError as error:
                    if create or not _is_full(error) or not self._is_settled():
                        raise
                    # Whoever only reads needs no room.
                    db.close()
                    db = self._connect("ro&immutable=1")
                    self._begin(db, create)
            if self._held.holds:
                self._held.db, kept = db, True
            yield db
        except UnicodeDecodeError as error:
            # What SQLite says of a damaged table may hold a name that is no text any more.
            raise self._damaged(str(error)) from error
        except sqlite3.Error as error:
            raise self._explained(error) from error
        finally:
            if db is not None and not kept:
                db.close()

    def _begin(self, db: sqlite3.Connection, create: bool) -> None:
        db.execute("PRAGMA synchronous = FULL")
        # What is deleted or written over is filled with zeros.
        db.execute("PRAGMA secure_delete = ON")
        if not create:
            self._check_format(db)

    def _connect(self, mode: str) -> sqlite3.Connection:
        if mode == "rw" and self._is_read_only():
            # SQLite would want to write beside the file, even to read it.
            mode = "ro&immutable=1"
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
        )

    def _is_read_only(self) -> bool:
        """Whether it may only be read, and all that was written stands in the one file."""
        return not os.access(self.path.parent, os.W_OK) and self._is_settled()

    def _is_settled(self) -> bool:
        """Whether nothing stands beside the file that belongs into it."""
        log = self.path.with_name(self.path.name + "-wal")
        return not log.exists() or not log.stat().st_size

    def _check_format(self, db: sqlite3.Connection) -> None:
        rows = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not {row[0] for row in rows} >= tables.NAMES:
            raise JournalError(f"{self.path} is no journal of nestling; put the right file back")
        version = tables.meta(db, "format")
        if version != str(tables.FORMAT_VERSION):
            raise JournalError(
                f"{self.path} has format {version or 'unknown'}, and this version of nestling "
                f"reads format {tables.FORMAT_VERSION}; use the version that wrote it"
            )

    def _explained(self, error: sqlite3.Error) -> JournalError:
        if not self.exists():
            return JournalError(f"there is no journal at {self.path}")
        if _is_busy(error):
            return JournalError(
                f"{self.path} is in use by another process; try again when it is done"
            )
        writable = all(os.access(path, os.W_OK) for path in (self.path.parent, self.path))
        if _is_full(error) or (_is_refused(error) and writable):
            # What may be written and is not was opened to be read alone, for want of room.
            return JournalError(
                f"{self.path} cannot be written: the disk is full; make room and try again"
            )
        if type(error) is sqlite3.DatabaseError:
            return self._damaged(str(error))
        return JournalError(f"{self.path} cannot be used: {error}")

    def _damaged(self, what: str) -> JournalError:
        return JournalError(f"{self.path} is damaged: {what}; put a copy of it back")


def _is_busy(error: sqlite3.Error) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def _is_full(error: sqlite3.Error) -> bool:
    """Whether there was no room, for the journal or for what SQLite keeps beside it."""
    name = _name_of(error)
    return name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR_SHM")


def _is_refused(error: sqlite3.Error) -> bool:
    """Whether it was opened to be read alone."""
    return _name_of(error) == "SQLITE_READONLY"


def _name_of(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", "") or ""
