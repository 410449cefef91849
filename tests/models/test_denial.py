"""What a turn denies, supposes or asks is not what it tells."""

import random

import pytest

from nestling.models.denial import is_asked, is_said
from nestling.models.dialogue import Note, typed
from nestling.training.told_facts.source import FactSource


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("I don't live in Rome.", "Rome"),
        ("My cat is not called Tom.", "Tom"),
        ("I'm not a baker.", "baker"),
        ("My wifi password is no longer zorvik82.", "zorvik82"),
        ("My wifi password is no longer zorvik82.", "no longer zorvik82"),
        ("If I lived in Paris, I would be happy.", "Paris"),
        ("Do not remember that my dog is called Rex.", "Rex"),
        ("Forget that my bike is called Blitz.", "Blitz"),
        ("Is my dog called Rex or Max?", "Max"),
        ("Hello. Should I call my cat Tom?", "Tom"),
        ("My dog isn't called Rex, he's called Max.", "Rex"),
        ("I am not allergic to nuts.", "nuts"),
        ("I don't have a dog named Rex.", "Rex"),
        ("I haven't got a dog called Rex.", "Rex"),
        ("There's no dog called Rex.", "Rex"),
        ("I wasn't born in Rome.", "Rome"),
        ("I won't move to Rome.", "Rome"),
        ("I don't think I live in Rome.", "Rome"),
        ("If I lived in Rome, my dog would be called Max.", "Max"),
        ("If I had a cat, I'd call it Tom.", "Tom"),
        ("Suppose my dog is called Rex.", "Rex"),
        ("I'd love to live in Rome.", "Rome"),
        ("I almost moved to Rome.", "Rome"),
        ("My friend thinks I live in Rome.", "Rome"),
        ("Isn't my dog called Rex?", "Rex"),
        ("Could my dog be called Rex?", "Rex"),
        ("Have I got a dog called Rex?", "Rex"),
    ],
)
def test_what_is_denied_supposed_or_asked_is_not_said(text, value):
    assert not is_said(text, Note("my thing", value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("My dog isn't called Rex, he's called Max.", "Max"),
        ("My cat isn't called Tom and my dog is called Rex.", "Rex"),
        ("I no longer live in Rome but in Paris.", "Paris"),
        ("I don't like cheese.", "cheese"),
        ("I'm not good at directions.", "directions"),
        ("I can't come on Friday.", "Friday"),
        ("If you see KK32 VVZ, that's my car.", "KK32 VVZ"),
        ("Did you know that my dog is called Rex?", "Rex"),
        ("Did I mention that I live in Rome?", "Rome"),
        ("Forget what I said, my cat is called Tom.", "Tom"),
        ("Is my dog called Rex? Yes, my dog is called Rex.", "Rex"),
        ("It is in other words.", "elsewhere"),
        ("If I had to pick one colour, it would be green.", "green"),
        ("If my husband could only eat one thing, it would be rice.", "rice"),
        ("I don't think I told you that my dog is called Rex.", "Rex"),
        ("I'd like you to know that I live in Rome.", "Rome"),
        ("Have I mentioned that I live in Rome?", "Rome"),
        ("I think my bike is in the shed.", "in the shed"),
    ],
)
def test_what_is_told_is_said_however_it_is_told(text, value):
    assert is_said(text, Note("my thing", value))


@pytest.mark.parametrize("phrasings", ["train", "held_out"])
def test_hardly_a_fact_of_the_generator_is_taken_for_denied(phrasings):
    told = denied = 0
    for seed in range(40):
        source = FactSource(random.Random(seed), phrasings=phrasings, open_facts=0.5, sentences=0.3)
        for fact in source.facts(12):
            for turn in (source.telling([fact]), source.update(fact)):
                notes = [note for some in turn.facts for note in some.notes]
                told += len(notes)
                text = typed(turn.text)
                denied += sum(not is_said(text, Note(n.key, n.value)) for n in notes)
    assert told > 800 and denied <= told // 500


def test_a_question_is_told_from_a_telling_that_begins_like_one():
    assert is_asked("Do I live in Rome?") and is_asked("So, what is my dog called?")
    assert not is_asked("Did you know I live in Rome?") and not is_asked("I live in Rome.")


def test_what_is_wished_is_a_wish():
    text = "I would love to work as a pilot."
    assert is_said(text, Note("my dream job", "pilot"))
    assert not is_said(text, Note("my job", "pilot"))


def test_what_is_said_of_another_is_not_the_speakers():
    text = "She lives in Porto."
    assert not is_said(text, Note("my city", "Porto"))
    assert is_said(text, Note("my sister's city", "Porto"))
    assert is_said("She is called Ana.", Note("my sister", "Ana"))
    assert is_said("She lives with me in Porto.", Note("my city", "Porto"))
