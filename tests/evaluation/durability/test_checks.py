"""The checks see what they are there to see."""

import sqlite3
from contextlib import closing

import pytest

from nestling.evaluation.durability.book import Book, Line, Operation, after, fit, without
from nestling.evaluation.durability.checks import (
    Found,
    check_content,
    check_settled,
    check_state,
    words_of,
)
from nestling.evaluation.durability.operations import Place, do

TEXTS = ("My dog is called Zibalomiro.", "My cat is called Vontelbura.")
WORDS = {"Zibalomiro", "Vontelbura"}
LEARN = Operation("learn_all", "ada", texts=TEXTS)


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    place.exports.mkdir()
    return place


@pytest.fixture
def book(place, tiny_bundle):
    return do(LEARN, place, tiny_bundle, Book())


def kinds(found):
    return {kind for kind, _ in found.violations}


def looked(place, bundle, book, cut_off=None):
    found = check_content(place, bundle, book, cut_off)
    check_state(place, bundle, found, list(found.book.memories), WORDS)
    return found


def test_a_memory_that_is_as_acknowledged_is_sound(place, tiny_bundle, book):
    assert looked(place, tiny_bundle, book).violations == []


def test_an_operation_that_was_cut_off_may_have_taken_place_or_not(place, tiny_bundle, book):
    assert looked(place, tiny_bundle, Book(), LEARN).took_place is True
    undo = Operation("undo", "ada", item=2)
    found = looked(place, tiny_bundle, book, undo)
    assert found.took_place is False and found.violations == []


def test_what_was_acknowledged_and_is_gone_is_lost(place, tiny_bundle, book):
    more = book.with_memory("ada", (*book.memories["ada"], Line("user", "And more.", ())))
    assert kinds(check_content(place, tiny_bundle, more, None)) == {"lost"}
    gone = book.with_memory("ben", ())
    assert kinds(check_content(place, tiny_bundle, gone, None)) == {"lost"}


def test_what_was_forgotten_and_is_there_has_returned(place, tiny_bundle, book):
    fewer = book.with_memory("ada", without(book.memories["ada"], 1))
    assert kinds(check_content(place, tiny_bundle, fewer, None)) == {"returned"}
    assert kinds(check_content(place, tiny_bundle, Book(), None)) == {"returned"}


def test_a_state_that_its_journal_does_not_give_differs(place, tiny_bundle, book):
    other = do(Operation("learn", "ben", texts=TEXTS[:1]), place, tiny_bundle, Book())
    ben, ada = place.folder("ben"), place.folder("ada")
    head = ben.journal.head()
    (ada.snapshots / head.snapshot).write_bytes(ben.snapshot_bytes(head))
    with closing(sqlite3.connect(ada.journal.path)) as db, db:
        db.execute("UPDATE head SET snapshot = ?, sha256 = ?", (head.snapshot, head.sha256))
    both = book.with_memory("ben", other.memories["ben"])
    assert kinds(looked(place, tiny_bundle, both)) == {"differs"}


def test_a_forgotten_word_in_any_file_is_found(place, tiny_bundle, book):
    forgotten = do(Operation("forget", "ada", item=1), place, tiny_bundle, book)
    assert looked(place, tiny_bundle, forgotten).violations == []
    (place.home / "ada" / "snapshots" / ".left").write_bytes(b"..Zibalomiro..")
    assert kinds(looked(place, tiny_bundle, forgotten)) == {"words"}


def test_a_journal_that_cannot_be_read_is_an_error(place, tiny_bundle, book):
    place.folder("ada").journal.path.write_bytes(b"")
    assert kinds(check_content(place, tiny_bundle, book, None)) == {"errors"}


def test_a_file_that_stays_for_ever_is_left_over(place, tiny_bundle, book):
    assert check_settled(place, tiny_bundle, book).violations == []
    (place.home / ".odd").touch()
    assert kinds(check_settled(place, tiny_bundle, book)) == {"leftovers"}


def test_a_book_forgets_a_turn_or_a_key():
    lines = (
        Line("user", "a and b", (("a", "1"), ("b", "2"))),
        Line("sleep", "", ()),
        Line("user", "a", (("a", "3"),)),
    )
    gone = Line("forgotten", "", ())
    assert without(lines, 1) == (gone, *lines[1:])
    assert without(lines, "a") == (Line("user", "", (("b", "2"),)), lines[1], gone)


def test_a_book_after_each_operation():
    book = Book({"ada": (Line("user", "a", ()),)})
    assert after(book, Operation("rm", "ada")).memories == {}
    branched = after(book, Operation("branch", "ada", other="ben"))
    assert branched.memories["ben"] == book.memories["ada"]
    exported = after(book, Operation("export", "ada", other="x"))
    assert exported.files == {"x": book.memories["ada"]}
    assert after(exported, Operation("import", "ben", other="x")).memories["ben"]
    told = after(book, Operation("learn", "ada", texts=("b",))).memories["ada"]
    assert fit(told, (*book.memories["ada"], Line("user", "b", (("k", "v"),))))


def test_words_are_those_that_stand_nowhere_else():
    assert words_of("My dog Rex is called Zibalomiro today.") == {"Zibalomiro"}


def test_kinds_of_violations_are_counted():
    found = Found(Book())
    found.add("lost", "this")
    found.add("lost", "that")
    assert found.counts() == {"lost": 2}
