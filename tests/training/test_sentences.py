"""Sentences that state several facts at once."""

import random
from itertools import islice

import pytest

from nestling.models.dialogue import is_of_thing, owner_of
from nestling.training.told_facts import Fact, FactSource
from nestling.training.told_facts.kinds import ALL_KINDS
from nestling.training.told_facts.open_families import families
from nestling.training.told_facts.relations import RELATIONS
from nestling.training.told_facts.sentences import SentenceFact, all_sentences
from nestling.training.told_facts.splits import SPLITS, split_of
from nestling.training.told_facts_task import draw_turns

LABELS = {*RELATIONS, *(label for family in families() for label in family.labels)}


def source(seed: int = 0, **options) -> FactSource:
    return FactSource(random.Random(seed), open_facts=0.7, **options)


def test_what_a_sentence_states_can_be_asked():
    assert len(all_sentences()) >= 60
    for sentence in all_sentences():
        assert 2 <= len(sentence.labels) <= 3
        assert len(set(sentence.labels)) == len(sentence.kinds) == len(sentence.labels)
        # "my daughter's hobby" is asked as hobbies are.
        for label in sentence.labels:
            assert label in LABELS or owner_of(f"my {label}")[1] in LABELS, label
        assert not any(map(is_of_thing, sentence.labels))
        for kinds, own in zip(sentence.kinds, sentence.values, strict=True):
            assert kinds or own, sentence.labels
            assert set(kinds) <= {*ALL_KINDS, "any"}


def test_every_telling_holds_every_value_once():
    drawn, rng = source(), random.Random(0)
    more = {"w": "Quenby", "b": "a", "x": "Drummel", "c": "an"}
    for sentence in all_sentences():
        said = ("Zorvik", "Quenby", "Drummel")[: len(sentence.labels)]
        for template in sentence.tellings["train"]:
            for subject in ("me",) if sentence.only_me else ("me", "Ana", "my best friend"):
                text = template.forms.fill(rng, subject, "Zorvik", more=more)
                assert [text.count(value) for value in said] == [1] * len(said), text
                assert not set("{}|") & set(text), text
        fact = drawn.sentence_fact(sentence)
        assert [note.relation for note in fact.notes] == list(sentence.labels)
        assert len({note.value for note in fact.notes}) == len(fact.notes)


@pytest.mark.parametrize("split", SPLITS)
def test_values_are_of_the_split(split):
    drawn = source(1, values=split)
    for fact in (drawn.sentence_fact() for _ in range(200)):
        assert all(split_of(note.value) == split for note in fact.notes)


def test_a_sentence_about_kin_may_say_a_name_and_all_of_it_is_noted_under_that():
    drawn, named = source(2), 0
    for _ in range(400):
        fact = drawn.sentence_fact()
        telling = drawn.telling([fact])
        assert all(note.value in telling.text for said in telling.facts for note in said.notes)
        if len(telling.facts) == 2:
            who, rest = telling.facts
            assert who.subject == "me" and who.value == rest.subject
            assert who.key == fact.subject or fact.relation.startswith(f"{who.relation}'s ")
            assert [note.value for note in rest.notes] == [note.value for note in fact.notes]
            assert all(note.subject == who.value for note in rest.notes)
            named += 1
    assert named > 10


def test_notes_stand_in_the_order_of_the_text():
    drawn = source(3, sentences=1.0)
    said, telling = set(), drawn.telling

    def heard(facts: list[Fact]):
        told = telling(facts)
        if isinstance(facts[0], SentenceFact):
            said.add(told.text)
        return told

    drawn.telling = heard
    several = [
        (text, restated.notes)
        for text, restated in islice(draw_turns(drawn, random.Random(3)), 800)
        if text in said
    ]
    assert len(several) > 100
    for text, notes in several:
        places = [text.find(note.value) for note in notes]
        assert -1 not in places
        assert places == sorted(places) or len({note.value for note in notes}) < len(notes), text


def test_sentences_come_as_often_as_they_should():
    def share(sentences: float) -> int:
        drawn = source(4, sentences=sentences)
        told, telling = 0, drawn.telling

        def counted(facts: list[Fact]):
            nonlocal told
            told += isinstance(facts[0], SentenceFact)
            return telling(facts)

        drawn.telling = counted
        list(islice(draw_turns(drawn, random.Random(4)), 1000))
        return told

    assert share(0.0) == 0
    assert 90 < share(0.5) < 175
    with pytest.raises(ValueError, match="sentences is a share"):
        source(sentences=-0.1)
