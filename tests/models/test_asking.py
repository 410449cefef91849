"""Second thoughts about a question, where the memory was never told of its likeliest reading."""

from dataclasses import replace

import pytest

from nestling.models import asking
from nestling.models.asking import (
    Asked,
    Reading,
    asked_of,
    in_other_words,
    names_of,
    readings,
    recall_asked,
    same_person,
)
from nestling.models.bundle import load_bundle
from nestling.models.dialogue import Note, owner_of
from nestling.models.restate import learn_notes, recall, restate

NOTES = (
    Note("my sister", "Ana"),
    Note("Ana's job", "nurse"),
    Note("my mum's job", "baker"),
    Note("my dog", "Pixel"),
    Note("my city", "Porto"),
)


@pytest.fixture(scope="module")
def bundle():
    return load_bundle(None)


@pytest.fixture(scope="module")
def memory(bundle):
    return learn_notes(bundle.model, bundle.dialogue, NOTES, bundle.model.new_state(1))[0]


def answers(bundle, memory, *questions: str):
    model, dialogue = bundle.model, bundle.dialogue
    return recall_asked(model, dialogue, asked_of(model, dialogue, questions), memory)


def test_what_is_known_is_answered_as_before(bundle, memory):
    found = answers(bundle, memory, "What is my dog called?", "Where do I live?")
    assert found == list(
        zip(
            ("my dog", "my city"),
            recall(bundle.model, bundle.dialogue, ["my dog", "my city"], memory),
            strict=True,
        )
    )
    assert [item.text for _, item in found] == ["Pixel", "Porto"]


def test_kin_is_known_by_name_and_by_other_words(bundle, memory):
    found = answers(bundle, memory, "What is my sister's job?", "What is my mother's job?")
    assert [(key, item.text) for key, item in found] == [
        ("Ana's job", "nurse"),
        ("my mum's job", "baker"),
    ]


def test_what_was_never_told_is_refused_after_second_thoughts_too(bundle, memory):
    questions = ("What is my brother's job?", "What is my shoe size?", "Who is Ana's doctor?")
    assert not any(item.known for _, item in answers(bundle, memory, *questions))


def test_a_model_without_memory_has_no_second_thoughts(bundle, monkeypatch):
    monkeypatch.setattr(asking, "think_again", lambda *_: pytest.fail("there is nothing to know"))
    assert not answers(bundle, None, "What is my dog called?")[0][1].known


def test_another_reading_answers_if_its_value_is_sure(bundle, memory, monkeypatch):
    others = [Reading("my boat", -0.5), Reading("my dog", -2.0), Reading("my city", -2.5)]
    monkeypatch.setattr(asking, "readings", lambda *_, **__: others)
    asked = [Asked("What is my pet called?", "my pet")]
    [(key, found)] = recall_asked(bundle.model, bundle.dialogue, asked, memory)
    assert (key, found.text) == ("my dog", "Pixel")
    monkeypatch.setattr(asking, "is_sure", lambda found: False)
    [(key, found)] = recall_asked(bundle.model, bundle.dialogue, asked, memory)
    assert key == "my pet" and not found.known


def test_what_is_liked_is_no_answer_to_what_is_not(bundle, monkeypatch):
    model, dialogue = bundle.model, bundle.dialogue
    state = learn_notes(model, dialogue, [Note("my like", "jazz")], model.new_state(1))[0]
    both = [Reading("my like", -0.9), Reading("my dislike", -1.0), Reading("my liked food", -2.0)]
    monkeypatch.setattr(asking, "readings", lambda *_, **__: both)
    [(key, found)] = recall_asked(
        model, dialogue, [Asked("What don't I like?", "my dislike")], state
    )
    assert key == "my dislike" and not found.known
    [(key, found)] = recall_asked(
        model, dialogue, [Asked("What do I like?", "my liked food")], state
    )
    assert (key, found.text) == ("my like", "jazz")


def test_readings_come_in_order_and_within_the_margin(bundle):
    question = "Where does Ana work?"
    near, far = (readings(bundle.model, bundle.dialogue, question, margin=m) for m in (0.0, 8.0))
    assert [item.key for item in near] == [far[0].key] and len(far) > 1
    assert len({item.key for item in far}) == len(far)
    chances = [item.logprob for item in far]
    assert chances == sorted(chances, reverse=True) and chances[-1] >= chances[0] - 8.0
    [first] = restate(bundle.model, bundle.dialogue, [question], asking=True)
    assert first.asked == far[0].key


def test_names_are_those_that_the_memory_is_sure_of(bundle, memory, monkeypatch):
    keys = ["my sister's job", "my brother's job", "my dog"]
    assert names_of(bundle.model, bundle.dialogue, keys, memory) == {"my sister": "Ana"}
    # By a name it may be anybody.
    named = names_of(bundle.model, bundle.dialogue, ["Ana's city"], memory)
    assert named == {"my sister": "Ana", "my dog": "Pixel"}
    monkeypatch.setattr(asking, "is_sure", lambda found: False)
    assert names_of(bundle.model, bundle.dialogue, keys, memory) == {}


def test_the_name_of_kin_is_that_of_the_same_kin_in_other_words(bundle):
    told = [Note("my mum", "Ingrid")]
    state = learn_notes(bundle.model, bundle.dialogue, told, bundle.model.new_state(1))[0]
    names = names_of(bundle.model, bundle.dialogue, ["my mother's job"], state)
    assert names["my mother"] == "Ingrid"


def test_owners_and_other_words():
    assert owner_of("my sister's job") == ("my sister", "job")
    assert owner_of("my job") == ("my job", "")
    assert set(same_person("my mother")) == {"my mum", "my mom"}
    assert "my partner" in set(same_person("my wife"))
    assert not list(same_person("Ana")) and not list(same_person("my job"))
    words = set(in_other_words("my dad's job", {"my dad": "Tom"}))
    assert words == {"my father's job", "Tom's job"}
    assert set(in_other_words("my mum", {})) == {"my mother", "my mom"}
    assert not list(in_other_words("Ana's job", {}))
    assert list(in_other_words("Ana's job", {"my sister": "Ana"})) == ["my sister's job"]


def test_what_was_told_of_kin_is_known_by_name(bundle):
    told = [Note("my sister", "Ana"), Note("my sister's city", "Porto"), Note("my dog", "Rex")]
    state = learn_notes(bundle.model, bundle.dialogue, told, bundle.model.new_state(1))[0]
    found = answers(bundle, state, "Where does Ana live?", "Where does Rex live?")
    assert [item.text for _, item in found] == ["Porto", None]


def test_nobody_is_called_by_what_the_memory_refuses(bundle, memory):
    [found] = recall(bundle.model, bundle.dialogue, ["my brother"], memory)
    assert not asking.is_sure(replace(found, text=None, known=False))
    # Not even where the refusal itself is certain.
    assert not asking.is_sure(replace(found, text=None, known=False, logprob=0.0))
    assert asking.is_sure(replace(found, text="Tom", known=True, logprob=0.0))


def test_what_could_not_be_learned_is_not_answered(bundle):
    notes = [Note("my manager", "Łukasz"), Note("my city", "Porto")]
    state, reports = learn_notes(bundle.model, bundle.dialogue, notes, bundle.model.new_state(1))
    found = answers(bundle, state, "What is my boss called?", "Where do I live?")
    for (_, answer), note, report in zip(found, notes, reports, strict=True):
        assert answer.known == report.held
        assert not answer.known or answer.text == note.value
    assert reports[1].held
