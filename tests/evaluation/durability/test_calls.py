import errno
import os
import sqlite3
from contextlib import closing

import pytest

from nestling.evaluation.durability.calls import CALLS, journal_calls_are_seen, watched
from nestling.memory.storage import write_file

needs_layer = pytest.mark.skipif(not journal_calls_are_seen(), reason="SQLite does not show it")


def seen_by(work):
    seen = []

    def point(name):
        seen.append(name)
        return 0

    with watched(point):
        work()
    assert set(seen) <= set(CALLS)
    return seen


def failing(name):
    return watched(lambda seen: errno.ENOSPC if seen == name else 0)


def test_every_call_of_a_written_file_is_seen(tmp_path):
    seen = seen_by(lambda: write_file(tmp_path / "file", b"content"))
    assert seen == ["mkdir", "create", "write", "write", "sync", "rename", "sync"]
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["create", "write", "sync", "rename"])
def test_a_call_that_fails_raises_and_leaves_the_old_file(tmp_path, name):
    write_file(tmp_path / "file", b"old")
    with failing(name), pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def fill(path):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE rows (x)")


@needs_layer
def test_the_calls_of_sqlite_are_seen(tmp_path):
    seen = seen_by(lambda: fill(tmp_path / "db"))
    assert {"journal create", "journal write", "journal unlink"} <= set(seen)


@needs_layer
def test_a_call_of_sqlite_that_fails_is_its_error(tmp_path):
    with failing("journal write"), pytest.raises(sqlite3.OperationalError, match="full"):
        fill(tmp_path / "db")
    fill(tmp_path / "db")


def test_afterwards_nothing_is_watched(tmp_path):
    before = os.open, os.fsync, os.rename
    seen = seen_by(lambda: None)
    write_file(tmp_path / "file", b"")
    fill(tmp_path / "db")
    assert seen == []
    assert before == (os.open, os.fsync, os.rename)
