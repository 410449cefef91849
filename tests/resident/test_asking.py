"""Where an answer comes from: turns that are left out, texts that are found and labelled."""

import pytest
import torch

from nestling.models.bundle import load_bundle
from nestling.models.dialogue import Note
from nestling.resident import Resident
from nestling.resident.records import Entry
from nestling.resident.search import find_texts

TOLD = ["My dog is called Pixel.", "I live in Porto.", "Lovely weather today.", "My cat is Mia."]


@pytest.fixture(scope="module")
def bundle():
    return load_bundle()


@pytest.fixture
def alice(home, bundle):
    with Resident.open("alice", home, model=bundle) as resident:
        resident.learn_all(TOLD)
        yield resident


def test_the_turn_that_told_it_is_why(alice):
    told = []
    why = alice.why("What is my dog called?", progress=lambda done, of: told.append((done, of)))
    assert why.answer.text == "Pixel"
    assert why.sources[0].entry == 1
    assert why.sources[0].margin < 0 < why.margin
    assert why.sources[0].weight > 5 * max(source.weight for source in why.sources[1:])
    assert (why.tried, why.told) == (3, 3)
    assert told[-1] == (3, 3)


def test_an_answer_that_is_not_known_has_no_source(alice):
    why = alice.why("What is my boat called?")
    assert (why.answer.known, why.sources, why.tried) == (False, (), 0)


def test_why_leaves_the_memory_as_it_is(alice):
    before = alice.version, alice._folder.journal.recall_rows()
    alice.why("What is my dog called?", among=1)
    assert (alice.version, alice._folder.journal.recall_rows()) == before


def test_weights_and_texts_answer_apart_and_together(alice):
    compared = alice.compare("What is my dog called?")
    assert compared.weights.text == compared.text.text == compared.both.text == "Pixel"
    assert not compared.nothing.known
    assert compared.weights.found == compared.nothing.found == ()
    assert compared.text.found[0] == TOLD[0]


def test_no_text_is_read_unless_asked_for(alice, monkeypatch):
    from nestling.resident import session

    def never(*_):
        raise AssertionError

    monkeypatch.setattr(session, "find_texts", never)
    assert alice.ask("What is my dog called?").text == "Pixel"
    assert alice.hear("What is my dog called?").text == "Pixel"


def test_reading_texts_changes_nothing(alice):
    before = {name: leaf.clone() for name, leaf in alice.state().items()}
    alice.ask("Where do I live?", texts=3)
    assert alice.version == len(TOLD)
    assert all(torch.equal(leaf, before[name]) for name, leaf in alice.state().items())
    assert alice._folder.journal.recall_rows() == []


def test_what_was_forgotten_or_rolled_back_is_not_found(alice):
    alice.forget(1)
    assert TOLD[0] not in alice.ask("What is my dog called?", texts=4).found
    alice.rollback(1)
    assert alice.ask("Where do I live?", texts=4).found == ()


def entry(number, text, role="user"):
    return Entry(number, "", role, text, (Note("a", "b"),))


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("Where is the dog?", [1, 3]),
        ("dogs", [1, 3]),
        ('" OR 1=1 -- NEAR(a b) *', []),
        ("the of my", []),
        ("", []),
        ("Übermut?", [4]),
    ],
)
def test_texts_are_found_by_their_words(question, found):
    texts = [entry(1, "The dog sleeps."), entry(2, "A plan", "sleep"), entry(3, "Dogs bark a lot.")]
    texts.append(entry(4, "So viel Übermut!"))
    assert sorted(e.id for e in find_texts(texts, question)) == found
