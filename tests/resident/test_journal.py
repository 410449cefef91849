import os
import resource
import sqlite3
import threading
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestling.models.dialogue import Note
from nestling.resident import journal as module
from nestling.resident.journal import Journal, JournalError
from nestling.resident.records import Head, latest_notes

NO_SNAPSHOT = {"snapshot": None, "sha256": None}

words = st.text(st.characters(codec="utf-8"), max_size=20)
told = st.lists(st.tuples(words, st.lists(st.builds(Note, words, words), max_size=3)))


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite3")
    journal.create("abc")
    return journal


def change(journal, statement):
    with closing(sqlite3.connect(journal.path)) as db, db:
        db.execute(statement)


@settings(max_examples=20, deadline=None)
@given(told)
def test_entries_come_back_in_order_as_they_were(tmp_path_factory, told):
    journal = Journal(tmp_path_factory.mktemp("journal") / "j")
    journal.create("abc")
    journal.append([("user", *turn) for turn in told], **NO_SNAPSHOT)
    assert [(entry.text, list(entry.notes)) for entry in journal.entries()] == told
    assert journal.head().entry == len(told)


def test_times_are_utc_and_roles_are_kept(journal):
    journal.append([("user", "hello", [])], **NO_SNAPSHOT)
    entry = journal.entries()[0]
    assert datetime.fromisoformat(entry.time).utcoffset().total_seconds() == 0
    assert entry.role == "user"


def test_a_new_journal_stands_at_a_fresh_state(journal):
    assert journal.standing() == (Head(0, None, None), "abc")


def test_creating_again_changes_nothing(journal):
    journal.append([("user", "hello", [])], **NO_SNAPSHOT)
    journal.create("other")
    assert journal.standing() == (Head(1, None, None), "abc")


def test_entries_and_head_move_together_or_not_at_all(journal):
    journal.append([("user", "first", [])], snapshot="a", sha256="b")
    with pytest.raises(JournalError):
        journal.append([("user", "second", []), ("user", None, [])], snapshot="c", sha256="d")
    assert [entry.text for entry in journal.entries()] == ["first"]
    assert journal.head() == Head(1, "a", "b")


def test_the_latest_value_of_a_key_counts(journal):
    journal.append(
        [
            ("user", "1", [Note("my dog", "Rex"), Note("my city", "Porto")]),
            ("user", "2", [Note("my dog", "Pixel")]),
        ],
        **NO_SNAPSHOT,
    )
    assert [(n.key, n.value, n.entry) for n in latest_notes(journal.entries())] == [
        ("my city", "Porto", 1),
        ("my dog", "Pixel", 2),
    ]


def test_a_replay_keeps_entries_and_replaces_notes(journal):
    journal.append([("user", "1", [Note("a", "b")]), ("user", "2", [])], snapshot="x", sha256="y")
    journal.replace_snapshot(
        snapshot="v",
        sha256="w",
        model_hash="new",
        changed=[
            replace(journal.entries()[0], notes=()),
            replace(journal.entries()[1], notes=(Note("c", "d"),)),
        ],
    )
    assert journal.standing() == (Head(2, "v", "w"), "new")
    assert [entry.notes for entry in journal.entries()] == [(), (Note("c", "d"),)]


def test_it_is_written_ahead_and_in_full(journal):
    with journal._open() as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_missing_journal_is_not_made(tmp_path):
    with pytest.raises(JournalError, match="there is no journal at"):
        Journal(tmp_path / "none").head()
    assert not list(tmp_path.iterdir())


def test_a_damaged_journal_is_named_and_kept(tmp_path):
    (tmp_path / "j").write_bytes(b"not a database, but long enough to look like one" * 30)
    before = (tmp_path / "j").read_bytes()
    with pytest.raises(JournalError, match="is damaged"):
        Journal(tmp_path / "j").entries()
    assert (tmp_path / "j").read_bytes() == before


def test_another_database_is_refused(tmp_path):
    with closing(sqlite3.connect(tmp_path / "j")) as db:
        db.execute("CREATE TABLE songs (title TEXT)")
    with pytest.raises(JournalError, match="is no journal of nestling"):
        Journal(tmp_path / "j").head()


def test_another_format_is_refused(journal):
    change(journal, "UPDATE meta SET value = '9' WHERE key = 'format'")
    with pytest.raises(JournalError, match="has format 9"):
        journal.head()


def test_unreadable_notes_are_called_damage(journal):
    journal.append([("user", "1", [])], **NO_SNAPSHOT)
    change(journal, "UPDATE entries SET notes = '['")
    with pytest.raises(JournalError, match="damaged"):
        journal.entries()


def test_a_locked_journal_says_so(journal, monkeypatch):
    monkeypatch.setattr(module, "_BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="in use by another process"):
            journal.append([("user", "1", [])], **NO_SNAPSHOT)


def test_snapshots_thin_out_with_age(journal):
    for number in range(1, 201):
        journal.append([("user", str(number), [])], snapshot=f"s{number}", sha256="x")
        if number == 70:
            journal.append([("sleep", "{}", [])], snapshot="slept", sha256="x")
    kept = [int(head.snapshot[1:]) for head in journal.versions() if head.snapshot != "slept"]
    assert kept[-2:] == [199, 200]
    assert len(kept) <= 2 + (200).bit_length()
    # No gap is much longer than the age of what lies behind it.
    assert all(b - a <= max(2, 201 - a) for a, b in pairwise(kept))
    assert "slept" in [head.snapshot for head in journal.versions()]


def test_what_changes_nothing_makes_no_snapshot(journal):
    for text in ("told", "talk", "talk"):
        journal.append([("user", text, [])], snapshot="a", sha256="x")
    assert journal.versions() == [Head(1, "a", "x")]


def test_a_journal_of_before_keeps_no_versions(journal):
    assert journal.versions() == []
    journal.keep_only(None)
    assert journal.versions() == []


def test_a_journal_that_was_not_written_to_its_end_is_not_made(tmp_path, monkeypatch):
    def left_open(self, **options):
        db = sqlite3.connect(self.path, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        kept.append(db)
        return nullcontext(db)

    kept = []
    journal = Journal(tmp_path / "journal.sqlite3")
    monkeypatch.setattr(Journal, "_open", left_open)
    with pytest.raises(JournalError, match="not written to its end"):
        journal.create("abc")
    assert not journal.exists()
    kept[0].close()


@pytest.mark.parametrize("column", ["text", "time", "role", "notes"])
def test_what_changed_by_itself_is_called_damage(journal, column):
    journal.append([("user", "1", []), ("user", "2", [])], **NO_SNAPSHOT)
    journal.append([("user", "3", [])], **NO_SNAPSHOT)
    assert [entry.text for entry in journal.entries()] == ["1", "2", "3"]
    change(journal, f"UPDATE entries SET {column} = '[ ]' WHERE id = 2")
    with pytest.raises(JournalError, match="entries are not those that were written"):
        journal.entries()


def test_a_head_that_is_not_at_the_last_entry_is_called_damage(journal):
    journal.append([("user", "1", []), ("user", "2", [])], **NO_SNAPSHOT)
    change(journal, "UPDATE head SET entry = 1")
    with pytest.raises(JournalError, match="head is not at its last entry"):
        journal.head()


def test_every_change_is_sealed(journal):
    journal.append([("user", "1", [Note("a", "b")]), ("user", "2", [])], **NO_SNAPSHOT)
    changed = replace(journal.entries()[1], notes=(Note("c", "d"),))
    journal.replace_snapshot(**NO_SNAPSHOT, model_hash="new", changed=[changed])
    journal.forget([replace(journal.entries()[0], text="", notes=())], {"c"}, **NO_SNAPSHOT)
    journal.append([("user", "3", [])], **NO_SNAPSHOT)
    assert [entry.text for entry in journal.entries()] == ["", "2", "3"]
    change(journal, "UPDATE entries SET text = '4' WHERE id = 3")
    with pytest.raises(JournalError, match="entries are not those that were written"):
        journal.entries()


def test_a_journal_of_before_has_no_seal_until_it_is_written(journal):
    journal.append([("user", "1", [])], **NO_SNAPSHOT)
    change(journal, "DELETE FROM meta WHERE key = 'seal'")
    assert [entry.text for entry in journal.entries()] == ["1"]
    journal.append([("user", "2", [])], **NO_SNAPSHOT)
    change(journal, "UPDATE entries SET text = '3' WHERE id = 1")
    with pytest.raises(JournalError, match="entries are not those that were written"):
        journal.entries()


def test_a_schema_that_is_no_text_any_more_is_called_damage(journal):
    content = journal.path.read_bytes()
    assert b"PRIMARY KEY CHECK" in content
    journal.path.write_bytes(content.replace(b"PRIMARY KEY CHECK", b"PRIMARY \xe5EY CHECK"))
    with pytest.raises(JournalError, match="is damaged"):
        journal.entries()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE entries SET role = 'rollback', text = '2' WHERE id = 2", "never was"),
        ("UPDATE entries SET role = 'rollback', text = 'x' WHERE id = 2", "never was"),
        ("DELETE FROM entries WHERE id = 1", "an entry is missing"),
    ],
)
def test_a_history_that_no_memory_wrote_is_called_damage(journal, statement, message):
    journal.append([("user", "1", []), ("user", "2", [])], **NO_SNAPSHOT)
    change(journal, statement)
    change(journal, "DELETE FROM meta WHERE key = 'seal'")
    with pytest.raises(JournalError, match=message):
        journal.entries()


def test_a_journal_without_a_head_is_called_damage(journal):
    change(journal, "DELETE FROM head")
    for read in (journal.head, journal.history, journal.snapshots):
        with pytest.raises(JournalError, match="its head is missing"):
            read()


def test_a_history_is_all_of_a_journal(journal):
    journal.append([("user", "1", [])], snapshot="a", sha256="x")
    journal.append([("user", "2", [])], snapshot="a", sha256="x")
    history = journal.history()
    assert (history.head, history.model_hash) == (Head(2, "a", "x"), "abc")
    assert [entry.text for entry in history.entries] == ["1", "2"]
    assert history.snapshots == {1: Head(1, "a", "x")}


@pytest.fixture
def opened(journal, monkeypatch):
    """The connections that a journal has opened, in order."""
    found = []
    connect = Journal._connect

    def counted(self, mode):
        found.append(connect(self, mode))
        return found[-1]

    monkeypatch.setattr(Journal, "_connect", counted)
    return found


def is_closed(db):
    try:
        db.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


def test_held_calls_share_one_connection_that_is_closed_in_the_end(journal, opened):
    with journal.held():
        journal.append([("user", "1", [])], **NO_SNAPSHOT)
        with journal.held():
            assert journal.head().entry == 1
        assert [entry.text for entry in journal.entries()] == ["1"]
        assert len(opened) == 1 and not is_closed(opened[0])
    assert is_closed(opened[0])
    journal.head()
    journal.head()
    assert len(opened) == 3 and all(is_closed(db) for db in opened)


def test_a_held_call_that_fails_leaves_nothing_and_the_next_one_works(journal, opened):
    with journal.held():
        with pytest.raises(JournalError):
            journal.append([("user", "1", []), ("user", None, [])], **NO_SNAPSHOT)
        journal.append([("user", "2", [])], **NO_SNAPSHOT)
        assert [entry.text for entry in journal.entries()] == ["2"]
    assert is_closed(opened[0])


def test_a_held_call_sees_what_another_has_committed(journal):
    with journal.held():
        assert journal.entries() == []
        Journal(journal.path).append([("user", "1", [])], **NO_SNAPSHOT)
        assert [entry.text for entry in journal.entries()] == ["1"]


def test_an_error_while_held_closes_the_connection(journal, opened):
    with pytest.raises(KeyError), journal.held():
        journal.head()
        raise KeyError
    assert is_closed(opened[0])


def test_what_one_thread_holds_no_other_uses(journal, opened):
    with journal.held():
        journal.head()
        other = threading.Thread(target=journal.head)
        other.start()
        other.join()
        assert len(opened) == 2
        assert not is_closed(opened[0])


def test_a_journal_that_may_only_be_read_is_read(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal.sqlite3")
    journal.create("abc")
    journal.append([("user", "hello", ())], snapshot=None, sha256=None)
    assert not journal.files()[1].exists()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert [entry.text for entry in journal.entries()] == ["hello"]
    assert journal.head().entry == 1
    with pytest.raises(JournalError, match="readonly"):
        journal.append([("user", "more", ())], snapshot=None, sha256=None)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_on_a_full_disk_a_journal_can_be_read_and_says_so_when_written(journal):
    journal.append([("user", "hello", [])], **NO_SNAPSHOT)
    room = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, room[1]))
    try:
        assert [entry.text for entry in journal.entries()] == ["hello"]
        with pytest.raises(JournalError, match="the disk is full"):
            journal.append([("user", "more", [])], **NO_SNAPSHOT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, room)
    journal.append([("user", "more", [])], **NO_SNAPSHOT)
    assert [entry.text for entry in journal.entries()] == ["hello", "more"]


def test_a_full_disk_is_named():
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    assert module._is_full(error) and not module._is_full(sqlite3.OperationalError("locked"))
