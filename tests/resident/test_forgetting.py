"""Forgetting is exact: to the bit in the state, to the byte in the files."""

import dataclasses
import sqlite3

import pytest

from nestling.memory.consolidation import ConsolidationOptions
from nestling.memory.state import MemoryState
from nestling.resident import Resident, SleepOptions, journal
from nestling.resident.journal import JournalError
from nestling.resident.sleep import Plan
from nestling.resident.store import SLEEP, MemoryFolder

same = MemoryState.equals
pytestmark = pytest.mark.usefixtures("plain_turns")

TOLD = ["my dog = Pixel", "how nice zanzibar", "my city = Porto; my cat = Mia", "my boat = Nina"]
SHORT = SleepOptions(base_bound=10.0, consolidation=ConsolidationOptions(steps=20, rate=0.03))


@pytest.fixture
def alice(home, tiny_bundle):
    with Resident.open("alice", home, model=tiny_bundle) as resident:
        resident.learn_all(TOLD)
        yield resident


def other(home, tiny_bundle, told):
    with Resident.open("other", home, model=tiny_bundle) as resident:
        resident.learn_all(told)
        return resident.state()


def found(home, *words):
    """Files below a home in whose bytes one of the words stands."""
    return [
        (path.name, word)
        for path in home.rglob("*")
        if path.is_file()
        for word in words
        if word.encode() in path.read_bytes()
    ]


def test_a_forgotten_turn_was_never_told(alice, home, tiny_bundle):
    assert found(home, "Pixel", "my dog")
    done = alice.forget(1)
    assert (done.entries, done.notes, done.scrubbed) == (1, 1, True)
    assert not found(home, "Pixel", "my dog")
    assert same(alice.state(), other(home, tiny_bundle, TOLD[1:]))
    assert [note.key for note in alice.notes()] == ["my city", "my cat", "my boat"]
    forgotten = alice.entries()[0]
    assert (forgotten.role, forgotten.text, forgotten.notes) == ("forgotten", "", ())


def test_of_a_turn_with_several_notes_the_others_stay_and_no_word_of_it(alice, home, tiny_bundle):
    alice.forget("my city")
    assert not found(home, "Porto", "my city")
    assert [(note.key, note.value) for note in alice.notes()][1] == ("my cat", "Mia")
    told = [TOLD[0], "my cat = Mia", TOLD[3]]
    assert same(alice.state(), other(home, tiny_bundle, told))


def test_a_key_is_forgotten_with_all_it_ever_was(alice, home, tiny_bundle):
    alice.learn("my dog = Rex")
    alice.ask("my dog?")
    done = alice.forget("my dog")
    assert done.entries == done.notes == 2
    assert not found(home, "Pixel", "Rex", "my dog")
    assert same(alice.state(), other(home, tiny_bundle, TOLD[1:]))


def test_forgetting_a_change_brings_the_old_value_back(alice, home, tiny_bundle):
    alice.learn("my dog = Rex")
    alice.undo()
    assert not found(home, "Rex")
    assert {note.key: note.value for note in alice.notes()}["my dog"] == "Pixel"
    assert same(alice.state(), other(home, tiny_bundle, TOLD))


def test_small_talk_goes_without_a_trace_and_changes_nothing(alice, home):
    before = alice.state()
    done = alice.forget(2)
    assert (done.entries, done.notes) == (1, 0)
    assert not found(home, "zanzibar")
    assert same(alice.state(), before)


def test_a_later_process_finds_nothing_of_it(alice, home, tiny_bundle):
    alice.forget(1)
    with Resident.open("alice", home, model=tiny_bundle) as later:
        assert same(later.state(), alice.state())
        assert later.rebuild().notes == 3
        assert same(later.state(), alice.state())
        later.learn("my dog = Rex")
        assert later.version == len(TOLD) + 1


def test_what_was_slept_over_is_forgotten_too(alice, home, tiny_bundle):
    assert alice.sleep(SHORT).kept
    alice.learn("my horse = Fury")
    alice.forget("my city")
    assert not found(home, "Porto", "my city")
    plan = Plan.from_json(alice.entries()[4].text)
    # The cat was the second note of its turn, and is the first one now.
    assert plan.notes == ((1, 0), (3, 0), (4, 0))
    state = alice.state()
    alice.rebuild()
    assert same(alice.state(), state)
    alice.forget("my horse")
    with_sleep = alice.state()
    assert not bool(with_sleep["memory.delta.fast.down"].any())


def test_a_value_that_comes_back_was_slept_over(alice, home, tiny_bundle):
    alice.learn("my dog = Rex")
    assert alice.sleep(SHORT).kept
    alice.forget(5)
    assert {note.key: note.value for note in alice.notes()}["my dog"] == "Pixel"
    # In the place of Rex, Pixel is what the sleep rehearses.
    with Resident.open("other", home, model=tiny_bundle) as never:
        never.learn_all(TOLD)
        never.sleep(SHORT)
        plans = [
            Plan.from_json(entry.text).notes
            for memory in (alice, never)
            for entry in memory.entries()
            if entry.role == "sleep"
        ]
        assert plans[0] == plans[1]
        assert same(alice.state(), never.state())


def test_what_was_asked_in_other_words_goes_too(alice, home):
    alice._folder.journal.recalled(
        "asked", {"our old dog": 1.0}, alice._folder.journal.head().sha256
    )
    alice.forget("my dog")
    assert not found(home, "our old dog")


def test_a_question_of_before_leaves_nothing_after(alice):
    sha256 = alice._folder.journal.head().sha256
    alice.forget("my dog")
    alice._folder.journal.recalled("asked", {"my dog": 1.0}, sha256)
    assert alice._folder.journal.recall_rows() == []


def test_undo_takes_what_is_left_of_the_last_turn(alice):
    alice.learn("my horse = Fury; my fish = Bo")
    alice.forget("my fish")
    alice.undo()
    assert [note.key for note in alice.notes()] == ["my dog", "my city", "my cat", "my boat"]


def test_what_cannot_be_scrubbed_now_is_forgotten_all_the_same(alice, home, monkeypatch):
    def full(_):
        raise JournalError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(alice._folder.journal), "scrub", full)
        assert not alice.forget("my dog").scrubbed
    assert "my dog" not in [note.key for note in alice.notes()]
    alice.learn("my horse = Fury")
    assert not found(home, "Pixel", "my dog")


def test_a_sleep_of_before_is_the_same_without_what_comes_later(alice, home, tiny_bundle):
    alice.sleep(SHORT)
    before = alice.state()
    alice.learn("my horse = Fury")
    alice.undo()
    assert same(alice.state(), before)


def test_a_sleep_that_is_not_over_does_not_keep_it(alice, home):
    class Stop(Exception):
        pass

    def stop(done, steps):
        if done > 11:
            raise Stop

    often = dataclasses.replace(SHORT.consolidation, check_every=5)
    with pytest.raises(Stop):
        alice.sleep(dataclasses.replace(SHORT, consolidation=often), progress=stop)
    assert (alice.path / SLEEP).exists()
    alice.forget(1)
    assert not (alice.path / SLEEP).exists()


def test_only_the_snapshot_of_now_is_left(alice):
    alice.learn("my horse = Fury")
    assert len(list((alice.path / "snapshots").iterdir())) == 2
    alice.forget(1)
    assert len(list((alice.path / "snapshots").iterdir())) == 1


def test_several_items_are_forgotten_at_once_as_one_by_one(alice, home, tiny_bundle):
    alice.learn("my dog = Rex")
    alice.sleep(SHORT)
    alice.learn("my dog = Bo")
    with Resident.open("other", home, model=tiny_bundle) as one_by_one:
        one_by_one.learn_all([*TOLD, "my dog = Rex"])
        one_by_one.sleep(SHORT)
        one_by_one.learn("my dog = Bo")
        for item in (5, "my cat"):
            one_by_one.forget(item)
        # Turn 5 is named twice, and counted once.
        done = alice.forget(5, "my cat", 5)
        assert (done.entries, done.notes) == (2, 2)
        assert same(alice.state(), one_by_one.state())
        assert [e.notes for e in alice.entries()] == [e.notes for e in one_by_one.entries()]
    assert alice.verify().replayed


def test_of_several_items_all_are_forgotten_or_none(alice):
    before = alice.state()
    with pytest.raises(ValueError, match="no note under 'my fish'"):
        alice.forget(1, "my fish")
    with pytest.raises(ValueError, match="nothing was named"):
        alice.forget()
    assert same(alice.state(), before) and len(alice.notes()) == 4


@pytest.mark.parametrize(
    ("item", "message"),
    [(77, "no turn 77"), ("my fish", "no note under 'my fish'"), (0, "no turn 0")],
)
def test_what_is_not_there_cannot_be_forgotten(alice, item, message):
    before = alice.state()
    with pytest.raises(ValueError, match=message):
        alice.forget(item)
    assert same(alice.state(), before)


def test_nothing_is_forgotten_twice_and_nothing_told_is_not_undone(alice):
    alice.forget(1)
    with pytest.raises(ValueError, match="no turn 1"):
        alice.forget(1)
    for _ in range(3):
        alice.undo()
    with pytest.raises(ValueError, match="nothing that could be undone"):
        alice.undo()
    assert alice.notes() == []
    assert not any(bool(leaf.any()) for name, leaf in alice.state().items() if ".delta." in name)


def test_a_damaged_snapshot_does_not_keep_one_from_forgetting(alice, home, tiny_bundle):
    for path in (alice.path / "snapshots").iterdir():
        path.write_bytes(b"damaged")
    with Resident.open("alice", home, model=tiny_bundle) as again:
        again.forget(1)
        assert same(again.state(), other(home, tiny_bundle, TOLD[1:]))


def test_a_reader_holds_the_scrub_up_and_the_next_writer_finishes_it(alice, home):
    reader = sqlite3.connect(alice.path / "journal.sqlite3")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM entries").fetchone()
    folder = MemoryFolder("alice", home)
    try:
        # The state is without it at once; the bytes wait for the reader.
        assert not _forget_impatiently(alice, 1).scrubbed
        assert [note.key for note in alice.notes()] == ["my city", "my cat", "my boat"]
        assert folder.journal.scrub_is_due()
    finally:
        reader.close()
    alice.learn("my horse = Fury")
    assert not folder.journal.scrub_is_due()
    assert not found(home, "Pixel", "my dog")


def _forget_impatiently(resident, item):
    patience, journal._BUSY_SECONDS = journal._BUSY_SECONDS, 0.1
    try:
        return resident.forget(item)
    finally:
        journal._BUSY_SECONDS = patience


def test_a_forgetting_that_was_cut_off_is_finished_by_the_next_writer(alice, home, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFolder, "clear_snapshots", killed)
        with pytest.raises(Killed):
            alice.forget(1)
    # From the moment on at which the journal is without it, it is forgotten.
    assert "my dog" not in [note.key for note in alice.notes()]
    alice.learn("my horse = Fury")
    assert not found(home, "Pixel", "my dog")


def test_a_forgetting_that_fails_before_changes_nothing(alice, monkeypatch):
    before = alice.state()

    def fail(*_, **__):
        raise JournalError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(alice._folder.journal), "forget", fail)
        with pytest.raises(JournalError, match="disk is full"):
            alice.forget(1)
    assert same(alice.state(), before)
    assert len(alice.notes()) == 4


def test_what_was_noted_under_a_wide_word_too_goes_with_it(home, tiny_bundle):
    with Resident.open("alice", home, model=tiny_bundle) as alice:
        alice.learn("my liked music = jazz; my like = jazz; Ana's like = jazz; my city = Porto")
        alice.forget("my liked music")
        assert [(note.key, note.value) for note in alice.notes()] == [
            ("Ana's like", "jazz"),
            ("my city", "Porto"),
        ]
