"""Whose words are learned, which writes are refused, and what leaves nothing behind."""

import pytest

from nestling.memory.state import MemoryState
from nestling.resident import Guard, Resident, WriteRefused, guard

same = MemoryState.equals
pytestmark = pytest.mark.usefixtures("plain_turns")


@pytest.fixture
def alice(home, tiny_bundle):
    with Resident.open("alice", home, model=tiny_bundle) as resident:
        yield resident


@pytest.mark.parametrize("role", ["assistant", "system", "tool"])
def test_of_others_the_words_are_kept_and_not_learned(alice, role):
    before = alice.state()
    learned = alice.learn("my dog = Rex", role=role)
    assert learned.notes == ()
    assert same(alice.state(), before)
    assert [(entry.role, entry.text) for entry in alice.entries()] == [(role, "my dog = Rex")]
    assert alice.notes() == []


def test_who_is_named_is_learned_from(home, tiny_bundle):
    with Resident.open(
        "alice", home, model=tiny_bundle, learns_from=("user", "assistant")
    ) as alice:
        alice.learn("my dog = Rex", role="assistant")
        alice.learn("my cat = Mia", role="tool")
        assert [note.key for note in alice.notes()] == ["my dog"]
        assert alice.verify().replayed
        alice.forget("my dog")
        assert [entry.role for entry in alice.entries()] == ["forgotten", "tool"]


def test_unknown_roles_are_named(alice, home, tiny_bundle):
    with pytest.raises(ValueError, match="a role is one of"):
        alice.learn("hello", role="robot")
    with pytest.raises(ValueError, match="learns_from names some of"):
        Resident.open("bob", home, model=tiny_bundle, learns_from=("robot",))
    with pytest.raises(ValueError, match="a role is one of"):
        alice.learn_restated([("robot", "hello", ())])
    assert not (home / "bob").exists()
    assert alice.entries() == []


def test_what_is_not_to_be_learned_leaves_nothing(alice, home):
    before = alice.state()
    alice.hear("my dog = Zanzibar", learn=False)
    alice.hear("my dog?", learn=False)
    assert alice.entries() == []
    assert same(alice.state(), before)
    assert not [p for p in home.rglob("*") if p.is_file() and b"Zanzibar" in p.read_bytes()]


def test_a_write_beyond_the_norm_is_refused(home, tiny_bundle):
    with Resident.open("alice", home, model=tiny_bundle, guard=Guard(norm=1e-6)) as alice:
        before = alice.state()
        with pytest.raises(WriteRefused, match="the level 'fast' would have grown"):
            alice.learn("my dog = Rex")
        assert alice.entries() == []
        assert same(alice.state(), before)
        # Small talk writes nothing.
        alice.learn("how nice")
    with Resident.open("alice", home, model=tiny_bundle) as alice:
        assert alice.learn("my dog = Rex").notes


def test_a_write_that_would_answer_anything_is_refused(alice, monkeypatch):
    shares = iter([0.75, 0.25])
    monkeypatch.setattr(guard.Canaries, "answered", lambda *_: next(shares))
    with pytest.raises(WriteRefused, match="answered 75% of the keys that nobody told"):
        alice.learn("my dog = Rex")
    assert alice.entries() == []


def test_a_memory_that_answers_anything_already_may_be_written(alice, monkeypatch):
    monkeypatch.setattr(guard.Canaries, "answered", lambda *_: 1.0)
    assert alice.learn("my dog = Rex").notes


@pytest.mark.parametrize("values", [{"norm": 0.0}, {"norm": float("nan")}, {"answered": 1.5}])
def test_a_guard_says_what_it_may_be(values):
    with pytest.raises(ValueError, match="must be positive|is a share from 0 to 1"):
        Guard(**values)
